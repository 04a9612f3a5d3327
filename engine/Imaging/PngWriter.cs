using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;

namespace GroupViT.Native.Imaging;

/// <summary>Fills the bytes of one row of a picture that is being written; rows are asked for once each, from the top.</summary>
internal delegate void RowSource(int y, Span<byte> row);

/// <summary>
/// Writes PNG: indexed and grey of 8 bits, grey of 16 bits, RGB and RGBA of 8 bits. Rows go to the stream as they are made, so that a picture
/// of any size takes a few rows of memory. The stream is left open.
/// </summary>
internal static class PngWriter
{
    private const int FastAbove = 6 << 20;

    /// <summary>Writes an indexed picture.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="indices"><c>height * width</c> palette indices.</param>
    /// <param name="palette">Red, green, blue for each entry, 1 to 256 entries; every index must be in it.</param>
    public static void WriteIndexed(Stream target, int width, int height, ReadOnlySpan<byte> indices, ReadOnlySpan<byte> palette)
    {
        if (palette.Length is > 0 and < 768 && palette.Length % 3 == 0 && indices.ContainsAnyExceptInRange((byte)0, (byte)((palette.Length / 3) - 1)))
        {
            throw new ArgumentException($"an index is past the palette's {palette.Length / 3} colours", nameof(indices));
        }
        Write(target, width, height, 8, PngColorType.Palette, palette, indices, null);
    }

    /// <summary>Writes a grey picture of <c>height * width</c> samples.</summary>
    public static void WriteGray8(Stream target, int width, int height, ReadOnlySpan<byte> samples) =>
        Write(target, width, height, 8, PngColorType.Gray, [], samples, null);

    /// <summary>Writes a grey picture of <c>height * width</c> samples of 16 bits.</summary>
    public static void WriteGray16(Stream target, int width, int height, ReadOnlySpan<ushort> samples) =>
        Write(target, width, height, 16, PngColorType.Gray, [], MemoryMarshal.AsBytes(samples), null);

    public static void WriteRgb(Stream target, RgbImage image) =>
        Write(target, image.Width, image.Height, 8, PngColorType.Rgb, [], image.Pixels, null);

    /// <summary>Writes a picture whose rows are made one after the other.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="color">What a pixel is made of, in samples of 8 bits: grey, RGB, RGBA or an index.</param>
    /// <param name="rows">Fills the bytes of a row.</param>
    /// <param name="palette">Red, green, blue for each entry of an indexed picture, which must hold every index; else empty.</param>
    public static void WriteRows(Stream target, int width, int height, PngColorType color, RowSource rows, ReadOnlySpan<byte> palette = default)
    {
        ArgumentNullException.ThrowIfNull(rows);
        Write(target, width, height, 8, color, palette, [], rows);
    }

    // Rows come from the samples, or from the source if there is one.
    private static void Write(Stream target, int width, int height, int depth, PngColorType color, ReadOnlySpan<byte> palette, ReadOnlySpan<byte> samples, RowSource? source)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        if (color == PngColorType.Palette && (palette.Length is 0 or > 768 || palette.Length % 3 != 0))
        {
            throw new ArgumentException($"a palette has 1 to 256 colours of three bytes, not {palette.Length} bytes", nameof(palette));
        }
        int pixelBytes = depth / 8 * Channels(color);
        int rowBytes = checked(width * pixelBytes);
        long bytes = (long)rowBytes * height;
        if (source is null && samples.Length != bytes)
        {
            throw new ArgumentException($"{width} x {height} pixels take {bytes} bytes, not {samples.Length}", nameof(samples));
        }
        target.Write(PngFile.Signature);
        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        header[8] = (byte)depth;
        header[9] = (byte)color;
        header[10..].Clear(); // Deflate, the five filters, no interlace.
        WriteChunk(target, "IHDR"u8, header);
        if (color == PngColorType.Palette)
        {
            WriteChunk(target, "PLTE"u8, palette);
        }
        using (BufferedStream buffered = new(new DataStream(target), 1 << 16))
        {
            // Photographs are filtered, flat areas of labels are not.
            PngFilters? filters = pixelBytes > 2 ? new(rowBytes, pixelBytes) : null;
            // A photograph of 12 megapixels took 1.5 s at the optimal level, longer than anything else done with it; at the fastest 0.6 s
            // and half as many bytes again. Small pictures and label maps are quick either way.
            CompressionLevel level = filters is not null && bytes > FastAbove ? CompressionLevel.Fastest : CompressionLevel.Optimal;
            using ZLibStream zlib = new(buffered, level, leaveOpen: true);
            byte[] row = new byte[rowBytes + 1];
            for (int y = 0; y < height; y++)
            {
                Span<byte> pixels = row.AsSpan(1);
                if (source is not null)
                {
                    source(y, pixels);
                }
                else
                {
                    samples.Slice(y * rowBytes, rowBytes).CopyTo(pixels);
                }
                if (depth == 16 && BitConverter.IsLittleEndian)
                {
                    Span<ushort> words = MemoryMarshal.Cast<byte, ushort>(pixels);
                    BinaryPrimitives.ReverseEndianness(words, words);
                }
                zlib.Write(filters is null ? row : filters.Apply(pixels));
            }
        }
        WriteChunk(target, "IEND"u8, []);
    }

    private static int Channels(PngColorType color) => color switch
    {
        PngColorType.Gray or PngColorType.Palette => 1,
        PngColorType.Rgb => 3,
        PngColorType.Rgba => 4,
        _ => throw new ArgumentOutOfRangeException(nameof(color), color, "grey and alpha together are not written"),
    };

    private static void WriteChunk(Stream target, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> word = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(word, data.Length);
        target.Write(word);
        target.Write(type);
        target.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(word, Crc32.Append(Crc32.Append(0, type), data));
        target.Write(word);
    }

    /// <summary>Writes each block it is given as one IDAT chunk.</summary>
    private sealed class DataStream(Stream target) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (buffer.Length > 0)
            {
                WriteChunk(target, "IDAT"u8, buffer);
            }
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
