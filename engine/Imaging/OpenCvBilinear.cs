namespace GroupViT.Native.Imaging;

/// <summary>
/// OpenCV's INTER_LINEAR on 8 bits: two taps an axis whatever the scale (no antialiasing), 11-bit weights. At the left and right
/// border the outer tap's weight becomes zero; at the top and bottom the border row stands in for the missing one with the weight
/// unchanged, and as each product is truncated, that can give one level less. (Spec E.1 clamps both axes like the first, and
/// so misses up to one sample in a hundred of a small picture by one level; this way the recorded pictures are met to the byte.)
/// </summary>
/// <remarks>Made once for a pair of sizes; running it allocates nothing. Not thread-safe: it holds two rows of its own.</remarks>
internal sealed class OpenCvBilinear
{
    private const int Bits = 11;

    private readonly int[] columns, columnWeights, rows, rowWeights;
    private int[] upper, lower;

    public OpenCvBilinear(int fromWidth, int fromHeight, int toWidth, int toHeight)
    {
        (FromWidth, FromHeight, ToWidth, ToHeight) = (fromWidth, fromHeight, toWidth, toHeight);
        (columns, columnWeights) = Taps(fromWidth, toWidth, clampWeights: true);
        (rows, rowWeights) = Taps(fromHeight, toHeight, clampWeights: false);
        (upper, lower) = (new int[toWidth * 3], new int[toWidth * 3]);
    }

    public int FromWidth { get; }

    public int FromHeight { get; }

    public int ToWidth { get; }

    public int ToHeight { get; }

    public void Run(RgbImage image, RgbImage target)
    {
        if (image.Width != FromWidth || image.Height != FromHeight || target.Width != ToWidth || target.Height != ToHeight)
        {
            throw new ArgumentException($"made for {FromWidth} x {FromHeight} to {ToWidth} x {ToHeight}, not {image.Width} x {image.Height} to {target.Width} x {target.Height}");
        }
        int upperRow = -1, lowerRow = -1;
        for (int y = 0; y < ToHeight; y++)
        {
            int first = Math.Max(rows[y], 0), second = Math.Min(rows[y] + 1, FromHeight - 1);
            if (first == lowerRow)
            {
                (upper, lower, upperRow, lowerRow) = (lower, upper, lowerRow, upperRow);
            }
            if (first != upperRow)
            {
                Row(image, upperRow = first, columns, columnWeights, upper);
            }
            if (second != lowerRow)
            {
                Row(image, lowerRow = second, columns, columnWeights, lower);
            }
            int b0 = rowWeights[2 * y], b1 = rowWeights[(2 * y) + 1];
            Span<byte> row = target.Row(y);
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = (byte)((((b0 * (upper[i] >> 4)) >> 16) + ((b1 * (lower[i] >> 4)) >> 16) + 2) >> 2);
            }
        }
    }

    private static (int[] Starts, int[] Weights) Taps(int from, int to, bool clampWeights)
    {
        int[] starts = new int[to], weights = new int[2 * to];
        double scale = (double)from / to;
        for (int i = 0; i < to; i++)
        {
            float position = (float)(((i + 0.5) * scale) - 0.5);
            int start = (int)MathF.Floor(position);
            float t = position - start;
            if (clampWeights && (start < 0 || start >= from - 1))
            {
                (start, t) = (Math.Clamp(start, 0, from - 1), 0);
            }
            starts[i] = start;
            weights[2 * i] = (int)MathF.Round((1 - t) * (1 << Bits));
            weights[(2 * i) + 1] = (int)MathF.Round(t * (1 << Bits));
        }
        return (starts, weights);
    }

    private static void Row(RgbImage image, int y, int[] columns, int[] weights, int[] target)
    {
        ReadOnlySpan<byte> row = image.Row(y);
        int last = row.Length - 3;
        for (int x = 0; x < columns.Length; x++)
        {
            int left = columns[x] * 3, right = Math.Min(left + 3, last);
            int a0 = weights[2 * x], a1 = weights[(2 * x) + 1];
            target[3 * x] = (row[left] * a0) + (row[right] * a1);
            target[(3 * x) + 1] = (row[left + 1] * a0) + (row[right + 1] * a1);
            target[(3 * x) + 2] = (row[left + 2] * a0) + (row[right + 2] * a1);
        }
    }
}
