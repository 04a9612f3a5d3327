using System.Globalization;

namespace GroupViT.Native.Imaging;

/// <summary>What a picture may at most be, and what becomes of its transparency.</summary>
internal sealed record ImageDecodeOptions
{
    public static ImageDecodeOptions Default { get; } = new();

    /// <summary>The most pixels a picture may declare (64 Mi, room for 8192 x 8192).</summary>
    public long MaxPixels { get; init; } = 64L << 20;

    /// <summary>The longest side a picture may declare.</summary>
    public int MaxSide { get; init; } = RgbImage.MaxSide;

    /// <summary>The longest file that is read. 64 Mi pixels of the widest kind (16-bit RGBA), not compressed, are 512 MiB.</summary>
    public int MaxBytes { get; init; } = 512 << 20;

    public AlphaMode Alpha { get; init; } = AlphaMode.White;

    /// <summary>Refuses sizes above the limits, before anything is allocated for them.</summary>
    public void CheckSize(string name, long width, long height)
    {
        int side = Math.Min(MaxSide, RgbImage.MaxSide);
        long pixels = Math.Min(MaxPixels, RgbImage.MaxPixels);
        if (width < 1 || height < 1 || width > side || height > side)
        {
            throw new ImageFileException(name, $"declares {width} x {height} pixels, but sides must be 1 to {side}");
        }
        if (width * height > pixels)
        {
            string given = (width * height).ToString("N0", CultureInfo.InvariantCulture);
            string limit = pixels.ToString("N0", CultureInfo.InvariantCulture);
            throw new ImageFileException(name, $"declares {width} x {height} = {given} pixels, above the limit of {limit}");
        }
    }
}

/// <summary>
/// The gate for pictures from outside: PNG and JPEG by their first bytes, everything else refused by name. Headers are walked
/// and sizes checked before anything is allocated; the memory used is bounded by the file's size plus a small multiple of the
/// raster its data can really fill. The result is upright (EXIF orientation applied) and opaque.
/// <para>A PNG file above 4 MiB takes 3 bytes a pixel and a few rows while it is decoded (4 with all that is around it), a smaller one
/// its own size more; a JPEG 9 bytes a pixel and its own size (12 at most for files of up to 3 bytes a pixel).</para>
/// </summary>
internal static class ImageDecoder
{
    private const int MagicBytes = 16;
    private const int LargeFile = 4 << 20;

    /// <summary>Decodes a file.</summary>
    /// <exception cref="ImageFileException">The file cannot be read, or is no picture that this library reads.</exception>
    public static RgbImage DecodeFile(string path, ImageDecodeOptions? options = null) =>
        ReadFile(path, stream => Decode(stream, path, options));

    /// <summary>Opens a picture file and hands it on; what goes wrong while opening or reading comes as <see cref="ImageFileException"/>.</summary>
    public static T ReadFile<T>(string path, Func<Stream, T> read)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            throw new ImageFileException(path, "is a folder, not a picture");
        }
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
            return read(stream);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ImageFileException(path, "no such file", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new ImageFileException(path, $"cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Decodes what is left of a stream. The stream need not be seekable and is not disposed.</summary>
    /// <exception cref="ImageFileException">It is no picture that this library reads.</exception>
    public static RgbImage Decode(Stream stream, string name = RgbImage.Nameless, ImageDecodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        options ??= ImageDecodeOptions.Default;
        return stream.CanSeek && IsLargePng(stream, name, options)
            ? PngDecoder.Decode(PictureBytes.Of(stream, name), name, options)
            : Decode(ReadAll(stream, name, options), name, options);
    }

    // A PNG that would take long to fill memory is read where it lies.
    private static bool IsLargePng(Stream stream, string name, ImageDecodeOptions options)
    {
        try
        {
            long length = stream.Length - stream.Position;
            if (length <= LargeFile)
            {
                return false;
            }
            byte[] head = new byte[MagicBytes];
            int count = stream.ReadAtLeast(head, MagicBytes, throwOnEndOfStream: false);
            stream.Position -= count;
            if (RequirePngOrJpeg(head.AsSpan(0, count), name) != ImageFormat.Png)
            {
                return false;
            }
            return length <= 4L * options.MaxBytes ? true : throw new ImageFileException(name, $"is longer than the limit of {4L * options.MaxBytes} bytes");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageFileException(name, $"cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Decodes a picture in memory.</summary>
    /// <exception cref="ImageFileException">It is no picture that this library reads.</exception>
    public static RgbImage Decode(byte[] file, string name = RgbImage.Nameless, ImageDecodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        options ??= ImageDecodeOptions.Default;
        if (RequirePngOrJpeg(file, name) == ImageFormat.Jpeg)
        {
            return JpegDecoder.Decode(file, name, options);
        }
        return PngDecoder.Decode(file, name, options);
    }

    /// <summary>Reads a stream to its end; refuses by the first bytes before it reads on, and past <see cref="ImageDecodeOptions.MaxBytes"/>.</summary>
    public static byte[] ReadAll(Stream stream, string name, ImageDecodeOptions options)
    {
        try
        {
            byte[] head = new byte[MagicBytes];
            int count = stream.ReadAtLeast(head, MagicBytes, throwOnEndOfStream: false);
            RequirePngOrJpeg(head.AsSpan(0, count), name);
            // Grows with what has arrived, never with what a stream claims to hold; but a file's length is known, and growing by doubling
            // would hold it three times.
            using MemoryStream whole = new(stream is FileStream file && file.CanSeek ? (int)Math.Clamp(file.Length, 0, options.MaxBytes) : 0);
            whole.Write(head, 0, count);
            byte[] buffer = new byte[1 << 16];
            while ((count = stream.Read(buffer)) > 0)
            {
                if (whole.Length + count > options.MaxBytes)
                {
                    throw new ImageFileException(name, $"is longer than the limit of {options.MaxBytes} bytes");
                }
                whole.Write(buffer, 0, count);
            }
            return whole.Length == whole.Capacity ? whole.GetBuffer() : whole.ToArray();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageFileException(name, $"cannot be read: {error.Message}", error);
        }
    }

    private enum ImageFormat
    {
        Png,
        Jpeg,
    }

    private static ImageFormat RequirePngOrJpeg(ReadOnlySpan<byte> file, string name)
    {
        if (file.IsEmpty)
        {
            throw new ImageFileException(name, "is empty (0 bytes)");
        }
        if (file.StartsWith(PngFile.Signature))
        {
            return ImageFormat.Png;
        }
        if (file.StartsWith(JpegFile.Signature))
        {
            return ImageFormat.Jpeg;
        }
        string found = Recognise(file) is string known
            ? $"is {known}"
            : $"is no picture that is known here (it begins with {Convert.ToHexString(file[..Math.Min(8, file.Length)])})";
        throw new ImageFileException(name, $"{found}; PNG and JPEG are read");
    }

    private static string? Recognise(ReadOnlySpan<byte> file)
    {
        ReadOnlySpan<byte> box = file.Length >= 12 && file.Slice(4, 4).SequenceEqual("ftyp"u8) ? file.Slice(8, 4) : [];
        return file switch
        {
            _ when file.StartsWith("BM"u8) => "a BMP file",
            _ when file.StartsWith("GIF8"u8) => "a GIF file",
            _ when file.StartsWith("RIFF"u8) && file.Length >= 12 && file.Slice(8, 4).SequenceEqual("WEBP"u8) => "a WebP file",
            _ when file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8) || file.StartsWith("II+\0"u8) || file.StartsWith("MM\0+"u8) => "a TIFF file (or a camera's raw file)",
            _ when box.SequenceEqual("avif"u8) || box.SequenceEqual("avis"u8) => "an AVIF file",
            _ when box.SequenceEqual("heic"u8) || box.SequenceEqual("heix"u8) || box.SequenceEqual("mif1"u8) || box.SequenceEqual("msf1"u8) || box.SequenceEqual("hevc"u8) => "a HEIC file",
            _ when box.Length > 0 => "an MP4 or similar file",
            _ when file.StartsWith((ReadOnlySpan<byte>)[0, 0, 0, 12, (byte)'J', (byte)'X', (byte)'L', (byte)' ']) || file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0x0A]) => "a JPEG XL file",
            _ when file.StartsWith((ReadOnlySpan<byte>)[0, 0, 0, 12, (byte)'j', (byte)'P', (byte)' ', (byte)' ']) || file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0x4F, 0xFF, 0x51]) => "a JPEG 2000 file",
            _ when file.StartsWith("8BPS"u8) => "a Photoshop file",
            _ when file.StartsWith("#?RADIANCE"u8) || file.StartsWith("#?RGBE"u8) => "a Radiance HDR file",
            _ when file.StartsWith((ReadOnlySpan<byte>)[0x76, 0x2F, 0x31, 0x01]) => "an OpenEXR file",
            _ when file.StartsWith("qoif"u8) => "a QOI file",
            _ when file.StartsWith((ReadOnlySpan<byte>)[0x8A, (byte)'M', (byte)'N', (byte)'G']) => "an MNG file",
            _ when file.StartsWith((ReadOnlySpan<byte>)[0, 0, 1, 0]) => "an icon file (ICO)",
            _ when file.StartsWith("%PDF"u8) => "a PDF file",
            _ when file.StartsWith("<svg"u8) || file.StartsWith("<?xml"u8) => "an SVG or XML file",
            _ when file.Length >= 2 && file[0] == 'P' && file[1] is >= (byte)'1' and <= (byte)'7' => "a PNM file",
            _ => null,
        };
    }
}
