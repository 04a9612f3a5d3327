namespace GroupViT.Kernels;

/// <summary>
/// Bicubic resampling of the learned position table (spec A.2): a = −0.75, no aligned corners, no antialiasing, edges repeated.
/// </summary>
/// <remarks>
/// Runs on the host when a program is prepared, in float64, rounded once: the table is a constant of the program, not a step of it.
/// (PIL's bicubic, for pictures, is another kernel: a = −0.5 with antialiasing.)
/// </remarks>
internal static class Bicubic
{
    /// <summary>
    /// Resamples a table of <paramref name="channels"/> values per cell from [inHeight, inWidth] to [outHeight, outWidth].
    /// </summary>
    public static void Resample(ReadOnlySpan<float> table, int inHeight, int inWidth, int channels, int outHeight, int outWidth, Span<float> output)
    {
        (int[] rows, double[] rowWeights) = Taps(inHeight, outHeight);
        (int[] columns, double[] columnWeights) = Taps(inWidth, outWidth);
        double[] sum = new double[channels];
        for (int r = 0; r < outHeight; r++)
        {
            for (int c = 0; c < outWidth; c++)
            {
                Array.Clear(sum);
                for (int i = 0; i < 4; i++)
                {
                    for (int j = 0; j < 4; j++)
                    {
                        double weight = rowWeights[4 * r + i] * columnWeights[4 * c + j];
                        ReadOnlySpan<float> cell = table.Slice((rows[4 * r + i] * inWidth + columns[4 * c + j]) * channels, channels);
                        for (int k = 0; k < channels; k++)
                        {
                            sum[k] += weight * cell[k];
                        }
                    }
                }
                Span<float> target = output.Slice((r * outWidth + c) * channels, channels);
                for (int k = 0; k < channels; k++)
                {
                    target[k] = (float)sum[k];
                }
            }
        }
    }

    /// <summary>Four source positions and weights per output position.</summary>
    public static (int[] Positions, double[] Weights) Taps(int input, int output)
    {
        int[] positions = new int[4 * output];
        double[] weights = new double[4 * output];
        for (int i = 0; i < output; i++)
        {
            double s = (i + 0.5) * input / output - 0.5;
            int f = (int)Math.Floor(s);
            double t = s - f;
            for (int tap = 0; tap < 4; tap++)
            {
                positions[4 * i + tap] = Math.Clamp(f - 1 + tap, 0, input - 1);
                weights[4 * i + tap] = Weight(Math.Abs(t + 1 - tap));
            }
        }
        return (positions, weights);
    }

    private static double Weight(double d)
    {
        const double a = -0.75;
        return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}
