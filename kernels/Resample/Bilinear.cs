namespace GroupViT.Kernels;

/// <summary>
/// Bilinear sampling without aligned corners (spec F.1 step 2): output i of <c>output</c> reads at max((i + ½)·input/output − ½, 0).
/// </summary>
/// <remarks>The position is an exact fraction of integers, so large pictures lose nothing; both sizes stay below 16,384 · 32,768 = 2^29.</remarks>
internal static class Bilinear
{
    public const int MaxInput = 16384;
    public const int MaxOutput = 32768;

    /// <summary>The two neighbours and the weight of the second. Also runs inside GPU kernels.</summary>
    public static void At(int i, int input, int output, out int low, out int high, out float weight)
    {
        int numerator = (2 * i + 1) * input - output;
        numerator = numerator < 0 ? 0 : numerator;
        int denominator = 2 * output;
        low = numerator / denominator;
        weight = (float)(numerator - low * denominator) / denominator;
        high = low + 1 < input ? low + 1 : input - 1;
        low = low < input ? low : input - 1;
    }

    /// <summary>The definition, in float64, of output pixel (row, column).</summary>
    public static BilinearSample Sample(Func<int, int, double> plane, int inHeight, int inWidth, int outHeight, int outWidth, int row, int column)
    {
        (int y0, double ty) = Split(Position(row, inHeight, outHeight), inHeight);
        (int x0, double tx) = Split(Position(column, inWidth, outWidth), inWidth);
        int y1 = Math.Min(y0 + 1, inHeight - 1);
        int x1 = Math.Min(x0 + 1, inWidth - 1);
        return new BilinearSample(plane(y0, x0), plane(y0, x1), plane(y1, x0), plane(y1, x1), ty, tx);
    }

    public static double Position(int i, int input, int output) => Math.Max((i + 0.5) * input / output - 0.5, 0);

    private static (int Low, double Weight) Split(double position, int size)
    {
        int low = Math.Min((int)Math.Floor(position), size - 1);
        return (low, position - low);
    }
}

/// <summary>An axis's <see cref="Bilinear.At"/>, worked out once: two integer divisions a pixel would cost as much as the sampling.</summary>
internal sealed class BilinearAxis
{
    public BilinearAxis(int input, int output)
    {
        (Low, High, Weight) = (new int[output], new int[output], new float[output]);
        for (int i = 0; i < output; i++)
        {
            Bilinear.At(i, input, output, out Low[i], out High[i], out Weight[i]);
        }
    }

    public int[] Low { get; }

    public int[] High { get; }

    /// <summary>Of the higher neighbour.</summary>
    public float[] Weight { get; }
}

/// <summary>Four neighbours and the two weights of the later ones. Samples of the same neighbours and weights are the same bits on a device.</summary>
internal readonly record struct BilinearSample(double Above, double AboveRight, double Below, double BelowRight, double Ty, double Tx)
{
    public double Value => (1 - Ty) * ((1 - Tx) * Above + Tx * AboveRight) + Ty * ((1 - Tx) * Below + Tx * BelowRight);

    public double Magnitude => (1 - Ty) * ((1 - Tx) * Math.Abs(Above) + Tx * Math.Abs(AboveRight)) + Ty * ((1 - Tx) * Math.Abs(Below) + Tx * Math.Abs(BelowRight));

    public double Largest => Math.Max(Math.Max(Math.Abs(Above), Math.Abs(AboveRight)), Math.Max(Math.Abs(Below), Math.Abs(BelowRight)));

    /// <summary>
    /// What float32 may be off by. A weight t is rounded once and 1 − t once more, so both are off by up to u whatever their size: 2·u of the
    /// largest neighbour per axis. Products and sums add 2·u of the magnitude per axis. Mixing shares of one source, whose weights are
    /// multiplied first, costs less than 6·u of either.
    /// </summary>
    public double Bound => 6 * ReferenceMemory.U * (Magnitude + Largest);
}
