using System.Buffers.Binary;

namespace GroupViT.Tool.Pictures;

/// <summary>
/// The size that a PNG or JPEG file declares, from its first bytes: enough to size a session's memory before the pictures are decoded.
/// Nothing is checked here; the decoder does that.
/// </summary>
internal static class PictureHeader
{
    /// <summary>Width and height before the EXIF orientation, or null where the file does not say.</summary>
    public static (int Width, int Height)? TryReadSize(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 4096);
            return Read(stream);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The pixels that a picture declares; none where it does not say, or more than are decoded.</summary>
    public static long Pixels(PictureEntry entry, long maxPixels)
    {
        using MemoryStream? data = entry.Data is null ? null : new(entry.Data);
        (int Width, int Height)? size = entry.Problem is not null ? null : data is null ? TryReadSize(entry.Path) : Read(data);
        return size is { } known && (long)known.Width * known.Height is var pixels && pixels <= maxPixels ? pixels : 0;
    }

    private static (int Width, int Height)? Read(Stream stream)
    {
        byte[] head = new byte[24];
        int count = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        if (count == head.Length && head.AsSpan().StartsWith((ReadOnlySpan<byte>)[0x89, 0x50, 0x4E, 0x47]))
        {
            return Valid(BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(16)), BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(20)));
        }
        return count > 4 && head[0] == 0xFF && head[1] == 0xD8 && stream.CanSeek ? Jpeg(stream) : null;
    }

    /// <summary>The sizes of the pictures that say theirs and are within the limit; the others are refused when it is their turn.</summary>
    public static IEnumerable<(int Width, int Height)> Sizes(IEnumerable<PictureEntry> pictures, long maxPixels)
        => pictures.Where(entry => entry.Problem is null)
            .Select(entry => TryReadSize(entry.Path))
            .OfType<(int Width, int Height)>()
            .Where(size => (long)size.Width * size.Height <= maxPixels);

    // From marker to marker up to the frame header (ITU-T T.81, B.2.2).
    private static (int Width, int Height)? Jpeg(Stream stream)
    {
        stream.Position = 2;
        Span<byte> segment = stackalloc byte[5];
        while (true)
        {
            int marker;
            do
            {
                marker = stream.ReadByte();
            }
            while (marker == 0xFF);
            Span<byte> length = segment[..2];
            if (marker <= 0 || stream.ReadAtLeast(length, 2, throwOnEndOfStream: false) < 2)
            {
                return null;
            }
            int size = BinaryPrimitives.ReadUInt16BigEndian(length);
            if (marker is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC))
            {
                return stream.ReadAtLeast(segment, 5, throwOnEndOfStream: false) < 5
                    ? null
                    : Valid(BinaryPrimitives.ReadUInt16BigEndian(segment[3..]), BinaryPrimitives.ReadUInt16BigEndian(segment[1..]));
            }
            if (size < 2 || marker == 0xDA)
            {
                return null;
            }
            stream.Position += size - 2;
        }
    }

    private static (int Width, int Height)? Valid(uint width, uint height)
        => width is > 0 and <= int.MaxValue && height is > 0 and <= int.MaxValue ? ((int)width, (int)height) : null;
}
