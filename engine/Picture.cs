using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>A decoded picture in memory. Immutable; may be used by many threads.</summary>
public sealed class Picture
{
    internal Picture(RgbImage image) => Image = image;

    /// <summary>Width in pixels, after the EXIF orientation was applied.</summary>
    public int Width => Image.Width;

    /// <summary>Height in pixels, after the EXIF orientation was applied.</summary>
    public int Height => Image.Height;

    internal RgbImage Image { get; }

    /// <summary>Decodes a PNG or JPEG file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="alpha">What becomes of transparency.</param>
    /// <param name="maxPixels">The most pixels that are decoded.</param>
    /// <exception cref="ImageFileException">The file is missing, no picture, damaged, or too large.</exception>
    public static Picture FromFile(string path, AlphaMode alpha = AlphaMode.White, long maxPixels = 64L << 20)
        => new(ImageDecoder.DecodeFile(path, new ImageDecodeOptions { Alpha = alpha, MaxPixels = maxPixels }));

    /// <summary>Decodes a PNG or JPEG stream.</summary>
    /// <exception cref="ImageFileException">The stream holds no picture, a damaged one, or one that is too large.</exception>
    public static Picture FromStream(Stream stream, string name = "picture", AlphaMode alpha = AlphaMode.White, long maxPixels = 64L << 20)
        => new(ImageDecoder.Decode(stream, name, new ImageDecodeOptions { Alpha = alpha, MaxPixels = maxPixels }));

    /// <summary>Copies pixels from memory.</summary>
    /// <param name="pixels">8-bit samples, row by row.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="stride">Bytes from one row to the next.</param>
    /// <param name="format">The order of the samples.</param>
    /// <param name="alpha">What becomes of transparency.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the pixels.</exception>
    public static Picture FromPixels(ReadOnlySpan<byte> pixels, int width, int height, int stride, PixelFormat format, AlphaMode alpha = AlphaMode.White)
        => new(RgbImage.FromPixels(pixels, width, height, stride, format, alpha));
}
