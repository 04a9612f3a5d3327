namespace GroupViT.Native.Imaging;

/// <summary>An upright 8-bit RGB raster: rows from top to bottom, tightly packed, three bytes a pixel.</summary>
internal sealed class RgbImage
{
    /// <summary>The longest side of any picture.</summary>
    public const int MaxSide = 32768;

    /// <summary>The name of a picture that came without one.</summary>
    public const string Nameless = "picture";

    /// <summary>The most pixels one managed array of three bytes each can hold.</summary>
    public static readonly long MaxPixels = Array.MaxLength / 3;

    public RgbImage(int width, int height, string name = Nameless)
        : this(width, height, new byte[ByteCount(width, height)], name)
    {
    }

    /// <summary>Wraps <paramref name="pixels"/> without copying them.</summary>
    public RgbImage(int width, int height, byte[] pixels, string name = Nameless)
    {
        if (pixels.Length != ByteCount(width, height))
        {
            throw new ArgumentException($"{width} x {height} pixels of three bytes are {ByteCount(width, height)} bytes, not {pixels.Length}", nameof(pixels));
        }
        (Width, Height, Pixels, Name) = (width, height, pixels, name);
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary><c>Height * Width * 3</c> samples.</summary>
    public byte[] Pixels { get; }

    /// <summary>The picture as the user named it, for messages.</summary>
    public string Name { get; }

    public Span<byte> Row(int y) => Pixels.AsSpan(y * Width * 3, Width * 3);

    /// <summary>Copies pixels from the caller's memory.</summary>
    /// <param name="pixels">At least <c>stride * (height - 1) + width * bytes per pixel</c> bytes.</param>
    /// <param name="width">Pixels in a row, 1 to <see cref="MaxSide"/>.</param>
    /// <param name="height">Rows, 1 to <see cref="MaxSide"/>.</param>
    /// <param name="stride">Bytes from one row to the next, at least <c>width * bytes per pixel</c>.</param>
    /// <param name="format">The order of the samples.</param>
    /// <param name="alpha">What becomes of the fourth sample of <see cref="PixelFormat.Rgba"/> and <see cref="PixelFormat.Bgra"/>.</param>
    /// <param name="reuse">A raster to write into if its size fits, so that nothing is allocated.</param>
    /// <exception cref="ArgumentException">A size is out of range, or the memory is too short for it.</exception>
    public static RgbImage FromPixels(ReadOnlySpan<byte> pixels, int width, int height, int stride, PixelFormat format, AlphaMode alpha = AlphaMode.White, RgbImage? reuse = null)
    {
        CheckSide(width, nameof(width));
        CheckSide(height, nameof(height));
        if (!Enum.IsDefined(alpha))
        {
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "not an alpha mode");
        }
        (int bytes, int red, int green, int blue) = format switch
        {
            PixelFormat.Rgb => (3, 0, 1, 2),
            PixelFormat.Bgr => (3, 2, 1, 0),
            PixelFormat.Rgba => (4, 0, 1, 2),
            PixelFormat.Bgra => (4, 2, 1, 0),
            PixelFormat.Gray => (1, 0, 0, 0),
            _ => throw new ArgumentOutOfRangeException(nameof(format), format, "not a pixel format"),
        };
        if ((long)width * height > MaxPixels)
        {
            throw new ArgumentOutOfRangeException(nameof(height), height, $"{width} x {height} pixels are more than the {MaxPixels} that one picture can hold");
        }
        int rowBytes = width * bytes;
        if (stride < rowBytes)
        {
            throw new ArgumentOutOfRangeException(nameof(stride), stride, $"a row of {width} {format} pixels takes {rowBytes} bytes, so the stride cannot be less");
        }
        long needed = ((long)stride * (height - 1)) + rowBytes;
        if (pixels.Length < needed)
        {
            throw new ArgumentException($"{height} rows with a stride of {stride} bytes take {needed} bytes, but only {pixels.Length} were given", nameof(pixels));
        }

        RgbImage image = reuse is not null && reuse.Width == width && reuse.Height == height ? reuse : new(width, height);
        bool compose = bytes == 4 && alpha == AlphaMode.White;
        for (int y = 0; y < height; y++)
        {
            ReadOnlySpan<byte> source = pixels.Slice(y * stride, rowBytes);
            Span<byte> target = image.Row(y);
            if (format == PixelFormat.Rgb)
            {
                source.CopyTo(target);
                continue;
            }
            for (int from = 0, to = 0; from < source.Length; from += bytes, to += 3)
            {
                target[to] = source[from + red];
                target[to + 1] = source[from + green];
                target[to + 2] = source[from + blue];
                if (compose)
                {
                    ComposeOverWhite(target.Slice(to, 3), source[from + 3]);
                }
            }
        }
        return image;
    }

    /// <summary><c>round((c*a + 255*(255 - a)) / 255)</c> for each sample. The divisor is odd, so no ties arise.</summary>
    public static void ComposeOverWhite(Span<byte> samples, byte alpha)
    {
        int white = 255 * (255 - alpha);
        for (int i = 0; i < samples.Length; i++)
        {
            samples[i] = (byte)(((samples[i] * alpha) + white + 127) / 255);
        }
    }

    private static int ByteCount(int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        return (long)width * height <= MaxPixels
            ? width * height * 3
            : throw new ArgumentOutOfRangeException(nameof(height), height, $"{width} x {height} pixels are more than the {MaxPixels} that one picture can hold");
    }

    private static void CheckSide(int side, string name)
    {
        if (side is < 1 or > MaxSide)
        {
            throw new ArgumentOutOfRangeException(name, side, $"a picture's sides are 1 to {MaxSide} pixels");
        }
    }
}
