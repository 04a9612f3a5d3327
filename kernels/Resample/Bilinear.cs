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

    /// <summary>The definition, in float64.</summary>
    public static double Sample(Func<int, int, double> plane, int height, int width, double y, double x)
    {
        (int y0, double ty) = Split(y, height);
        (int x0, double tx) = Split(x, width);
        int y1 = Math.Min(y0 + 1, height - 1);
        int x1 = Math.Min(x0 + 1, width - 1);
        return (1 - ty) * ((1 - tx) * plane(y0, x0) + tx * plane(y0, x1)) + ty * ((1 - tx) * plane(y1, x0) + tx * plane(y1, x1));
    }

    public static double Position(int i, int input, int output) => Math.Max((i + 0.5) * input / output - 0.5, 0);

    private static (int Low, double Weight) Split(double position, int size)
    {
        int low = Math.Min((int)Math.Floor(position), size - 1);
        return (low, position - low);
    }
}
