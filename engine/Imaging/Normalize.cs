namespace GroupViT.Native.Imaging;

/// <summary>
/// Turns 8-bit samples into the network's input: planar float32, red, green, blue. A channel has 256 possible values, so each is
/// computed once, in double precision, and looked up.
/// </summary>
internal sealed class Normalize
{
    private readonly float[] _table;

    private Normalize(Func<int, int, double> value)
    {
        _table = new float[3 * 256];
        for (int i = 0; i < _table.Length; i++)
        {
            _table[i] = (float)value(i >> 8, i & 255);
        }
    }

    /// <summary>The original's form on the 0..255 scale with ImageNet's statistics (spec E.1): <c>(x - mean) * (1 / std)</c>.</summary>
    public static Normalize Nvlabs { get; } = On255Scale([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);

    /// <summary>ImageNet's statistics on the 0..1 scale (spec E.2).</summary>
    public static Normalize ImageNet { get; } = OnUnitScale(1 / 255.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

    public static Normalize On255Scale(double[] mean, double[] std) => new((c, x) => (x - mean[c]) * (1 / std[c]));

    /// <summary>Hugging Face's form (spec E.4): <c>(x * rescale - mean) / std</c>.</summary>
    public static Normalize OnUnitScale(double rescale, double[] mean, double[] std) => new((c, x) => ((x * rescale) - mean[c]) / std[c]);

    /// <summary>Writes <c>[3, height, width]</c> values.</summary>
    /// <exception cref="ArgumentException"><paramref name="target"/> does not hold exactly 3 * height * width values.</exception>
    public void Apply(RgbImage image, Span<float> target) => Apply(image, image.Width, image.Height, target);

    /// <summary>Writes <c>[3, height, width]</c> values of the picture's upper left part.</summary>
    /// <exception cref="ArgumentException">The part is no part, or <paramref name="target"/> does not hold exactly its values.</exception>
    public void Apply(RgbImage image, int width, int height, Span<float> target) => Apply(image, new Window(0, 0, width, height), target);

    /// <summary>Writes <c>[3, height, width]</c> values of a part of the picture.</summary>
    /// <exception cref="ArgumentException">The part is no part, or <paramref name="target"/> does not hold exactly its values.</exception>
    public void Apply(RgbImage image, Window part, Span<float> target)
    {
        (int width, int height) = (part.Width, part.Height);
        int plane = width * height;
        if (part.Left < 0 || part.Top < 0 || part.Left + width > image.Width || part.Top + height > image.Height || target.Length != plane * 3)
        {
            throw new ArgumentException($"{part} of {image.Width} x {image.Height} pixels does not fill {target.Length} values", nameof(target));
        }
        ReadOnlySpan<float> red = _table.AsSpan(0, 256), green = _table.AsSpan(256, 256), blue = _table.AsSpan(512, 256);
        for (int y = 0; y < height; y++)
        {
            Span<float> r = target.Slice(y * width, width), g = target.Slice(plane + (y * width), width), b = target.Slice((2 * plane) + (y * width), width);
            ReadOnlySpan<byte> source = image.Row(part.Top + y)[(part.Left * 3)..];
            for (int i = 0; i < r.Length; i++)
            {
                ReadOnlySpan<byte> pixel = source.Slice(i * 3, 3);
                r[i] = red[pixel[0]];
                g[i] = green[pixel[1]];
                b[i] = blue[pixel[2]];
            }
        }
    }
}
