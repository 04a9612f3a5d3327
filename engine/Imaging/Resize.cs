using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace GroupViT.Native.Imaging;

/// <summary>A rectangle of a (resized) picture, in pixels; it may reach past the picture's borders where a method says so.</summary>
internal readonly record struct Window(int Left, int Top, int Width, int Height);

/// <summary>
/// The resizes of the references, by name and to the bit (spec E.1, E.4): integer arithmetic on 8-bit samples. An output pixel
/// depends on its place alone, so a window of the result can be computed without the rest.
/// </summary>
internal static class Resize
{
    private const int PilBits = 22;

    /// <summary>Pillow's BICUBIC: antialiased, a = -0.5. Used by Hugging Face's CLIP image processor.</summary>
    public static RgbImage PilBicubic(RgbImage image, int width, int height, Window? window = null) =>
        Pil(image, width, height, window, 2, BicubicWeight);

    /// <summary>Pillow's BILINEAR: antialiased. Used by the original's ImageNet evaluation.</summary>
    public static RgbImage PilBilinear(RgbImage image, int width, int height, Window? window = null) =>
        Pil(image, width, height, window, 1, x => Math.Max(0, 1 - Math.Abs(x)));

    /// <summary>OpenCV's INTER_LINEAR on 8 bits; see <see cref="OpenCvBilinear"/>.</summary>
    public static RgbImage OpenCvBilinear(RgbImage image, int width, int height)
    {
        RgbImage target = new(width, height, image.Name);
        new OpenCvBilinear(image.Width, image.Height, width, height).Run(image, target);
        return target;
    }

    private static double BicubicWeight(double x)
    {
        const double A = -0.5;
        x = Math.Abs(x);
        return x < 1 ? ((((A + 2) * x) - (A + 3)) * x * x) + 1
            : x < 2 ? ((((x - 5) * x) + 8) * x * A) - (4 * A)
            : 0;
    }

    /// <summary>The taps of one axis: output i of the window is the sum over j of Weights[i * Stride + j] * input[Starts[i] + j].</summary>
    private sealed record Taps(int[] Starts, int[] Counts, int[] Weights, int Stride);

    private static RgbImage Pil(RgbImage image, int width, int height, Window? part, int radius, Func<double, double> weight)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        Window window = part ?? new(0, 0, width, height);
        if (window.Left < 0 || window.Top < 0 || window.Width < 1 || window.Height < 1 || window.Left > width - window.Width || window.Top > height - window.Height)
        {
            throw new ArgumentOutOfRangeException(nameof(part), part, $"not inside {width} x {height}");
        }
        Taps columns = PilTaps(image.Width, width, window.Left, window.Width, radius, weight);
        Taps rows = PilTaps(image.Height, height, window.Top, window.Height, radius, weight);
        // Horizontally first, rounded to 8 bits, and only those rows that the second pass will ask for.
        int firstRow = rows.Starts[0], endRow = rows.Starts[^1] + rows.Counts[^1];
        RgbImage between = new(window.Width, endRow - firstRow, image.Name);
        PilHorizontal(image, firstRow, columns, between);
        RgbImage target = new(window.Width, window.Height, image.Name);
        PilVertical(between, firstRow, rows, target);
        return target;
    }

    private static Taps PilTaps(int from, int to, int offset, int count, int radius, Func<double, double> weight)
    {
        double scale = (double)from / to;
        double filterScale = Math.Max(scale, 1);
        double support = radius * filterScale;
        // An axis that keeps its size is not resampled: its only weight is one.
        int stride = from == to ? 1 : (int)Math.Min(((long)Math.Ceiling(support) * 2) + 1, from);
        Taps taps = new(new int[count], new int[count], new int[checked(count * stride)], stride);
        double[] raw = new double[stride];
        for (int i = 0; i < count; i++)
        {
            if (from == to)
            {
                (taps.Starts[i], taps.Counts[i], taps.Weights[i]) = (i + offset, 1, 1 << PilBits);
                continue;
            }
            double center = (i + offset + 0.5) * scale;
            int low = Math.Max((int)(center - support + 0.5), 0);
            int high = Math.Min((int)(center + support + 0.5), from);
            double sum = 0;
            for (int j = low; j < high; j++)
            {
                sum += raw[j - low] = weight((j - center + 0.5) / filterScale);
            }
            (taps.Starts[i], taps.Counts[i]) = (low, high - low);
            for (int j = 0; j < high - low; j++)
            {
                taps.Weights[(i * stride) + j] = (int)Math.Round(raw[j] / sum * (1 << PilBits), MidpointRounding.AwayFromZero);
            }
        }
        return taps;
    }

    private static void PilHorizontal(RgbImage image, int firstRow, Taps columns, RgbImage target)
    {
        // One byte more, so that the last pixel too can be read as four bytes.
        byte[] padded = new byte[(image.Width * 3) + 1];
        for (int y = 0; y < target.Height; y++)
        {
            image.Row(firstRow + y).CopyTo(padded);
            Span<byte> row = target.Row(y);
            for (int x = 0; x < target.Width; x++)
            {
                ReadOnlySpan<int> weights = columns.Weights.AsSpan(x * columns.Stride, columns.Counts[x]);
                ReadOnlySpan<byte> source = padded.AsSpan(columns.Starts[x] * 3, (weights.Length * 3) + 1);
                // The three samples side by side in one vector; the fourth lane is not used.
                Vector128<int> sum = Vector128.Create(1 << (PilBits - 1));
                for (int j = 0; j < weights.Length; j++)
                {
                    uint pixel = Unsafe.ReadUnaligned<uint>(in source[j * 3]);
                    Vector128<ushort> wide = Vector128.WidenLower(Vector128.CreateScalar(pixel).AsByte());
                    sum += Vector128.WidenLower(wide).AsInt32() * weights[j];
                }
                row[3 * x] = Clip(sum[0]);
                row[(3 * x) + 1] = Clip(sum[1]);
                row[(3 * x) + 2] = Clip(sum[2]);
            }
        }
    }

    private static void PilVertical(RgbImage between, int firstRow, Taps rows, RgbImage target)
    {
        int[] sums = new int[target.Width * 3];
        for (int y = 0; y < target.Height; y++)
        {
            sums.AsSpan().Fill(1 << (PilBits - 1));
            for (int j = 0; j < rows.Counts[y]; j++)
            {
                int weight = rows.Weights[(y * rows.Stride) + j];
                ReadOnlySpan<byte> source = between.Row(rows.Starts[y] + j - firstRow)[..sums.Length];
                for (int i = 0; i < sums.Length; i++)
                {
                    sums[i] += weight * source[i];
                }
            }
            Span<byte> row = target.Row(y);
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = Clip(sums[i]);
            }
        }
    }

    private static byte Clip(int sum) => (byte)Math.Clamp(sum >> PilBits, 0, 255);
}
