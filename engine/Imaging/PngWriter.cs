using System.Buffers.Binary;
using System.IO.Compression;

namespace GroupViT.Native.Imaging;

/// <summary>
/// Writes PNG: indexed and grey of 8 bits, grey of 16 bits, RGB and RGBA of 8 bits; from rows that are made as they are written, so that a
/// picture need not be whole in memory. The stream is left open.
/// </summary>
internal static class PngWriter
{
    private const int ColorGray = 0;
    private const int ColorRgb = 2;
    private const int ColorPalette = 3;
    private const int ColorRgba = 6;

    // Below, a photograph is packed as well as zlib can; above, quickly.
    private const int FastAbove = 1 << 19;

    /// <summary>Writes the samples of a row, all of them.</summary>
    public delegate void RowFiller(int y, Span<byte> row);

    /// <summary>Writes an indexed picture.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="indices"><c>height * width</c> palette indices.</param>
    /// <param name="palette">Red, green, blue for each entry, 1 to 256 entries; every index must be in it.</param>
    public static void WriteIndexed(Stream target, int width, int height, ReadOnlySpan<byte> indices, ReadOnlySpan<byte> palette)
    {
        if (palette.Length is > 0 and < 768 && indices.ContainsAnyExceptInRange((byte)0, (byte)((palette.Length / 3) - 1)))
        {
            throw new ArgumentException($"an index is past the palette's {palette.Length / 3} colours", nameof(indices));
        }
        byte[] whole = Whole(indices, width, height, 1);
        WriteIndexed(target, width, height, palette, (y, row) => whole.AsSpan(y * width, width).CopyTo(row));
    }

    /// <summary>Writes an indexed picture; every index must be in the palette.</summary>
    public static void WriteIndexed(Stream target, int width, int height, ReadOnlySpan<byte> palette, RowFiller rows)
    {
        if (palette.Length is 0 or > 768 || palette.Length % 3 != 0)
        {
            throw new ArgumentException($"a palette has 1 to 256 colours of three bytes, not {palette.Length} bytes", nameof(palette));
        }
        Write(target, width, height, 8, ColorPalette, palette, rows);
    }

    /// <summary>Writes a grey picture of <c>height * width</c> samples.</summary>
    public static void WriteGray8(Stream target, int width, int height, ReadOnlySpan<byte> samples)
    {
        byte[] whole = Whole(samples, width, height, 1);
        WriteGray8(target, width, height, (y, row) => whole.AsSpan(y * width, width).CopyTo(row));
    }

    /// <summary>Writes a grey picture.</summary>
    public static void WriteGray8(Stream target, int width, int height, RowFiller rows) => Write(target, width, height, 8, ColorGray, [], rows);

    /// <summary>Writes a grey picture of 16 bits; samples are big-endian.</summary>
    public static void WriteGray16(Stream target, int width, int height, RowFiller rows) => Write(target, width, height, 16, ColorGray, [], rows);

    /// <summary>Writes a grey picture of <c>height * width</c> samples of 16 bits.</summary>
    public static void WriteGray16(Stream target, int width, int height, ReadOnlyMemory<ushort> samples)
    {
        if (samples.Length != (long)width * height)
        {
            throw new ArgumentException($"{width} x {height} pixels take as many samples, not {samples.Length}", nameof(samples));
        }
        WriteGray16(target, width, height, (y, row) =>
        {
            ReadOnlySpan<ushort> source = samples.Span.Slice(y * width, width);
            for (int x = 0; x < source.Length; x++)
            {
                BinaryPrimitives.WriteUInt16BigEndian(row[(2 * x)..], source[x]);
            }
        });
    }

    public static void WriteRgb(Stream target, RgbImage image) => WriteRgb(target, image.Width, image.Height, (y, row) => image.Row(y).CopyTo(row));

    /// <summary>Writes an RGB picture.</summary>
    public static void WriteRgb(Stream target, int width, int height, RowFiller rows) => Write(target, width, height, 8, ColorRgb, [], rows);

    /// <summary>Writes an RGB picture with alpha, not premultiplied.</summary>
    public static void WriteRgba(Stream target, int width, int height, RowFiller rows) => Write(target, width, height, 8, ColorRgba, [], rows);

    private static byte[] Whole(ReadOnlySpan<byte> samples, int width, int height, int pixelBytes)
        => samples.Length == (long)width * height * pixelBytes
            ? samples.ToArray()
            : throw new ArgumentException($"{width} x {height} pixels take {(long)width * height * pixelBytes} bytes, not {samples.Length}", nameof(samples));

    private static void Write(Stream target, int width, int height, int depth, int color, ReadOnlySpan<byte> palette, RowFiller rows)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        bool photograph = color is ColorRgb or ColorRgba;
        int pixelBytes = depth / 8 * (color == ColorRgb ? 3 : color == ColorRgba ? 4 : 1);
        target.Write(PngFile.Signature);
        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        header[8] = (byte)depth;
        header[9] = (byte)color;
        header[10..].Clear(); // Deflate, the five filters, no interlace.
        WriteChunk(target, "IHDR"u8, header);
        if (palette.Length > 0)
        {
            WriteChunk(target, "PLTE"u8, palette);
        }
        using (BufferedStream buffered = new(new DataStream(target), 1 << 16))
        {
            // A photograph of 12 megapixels took 1.5 s at the optimal level, longer than anything else done with it; at the fastest 0.6 s
            // and half as many bytes again. Small pictures and label maps are quick either way.
            CompressionLevel level = photograph && (long)width * height * pixelBytes > FastAbove ? CompressionLevel.Fastest : CompressionLevel.Optimal;
            using ZLibStream zlib = new(buffered, level, leaveOpen: true);
            int rowBytes = width * pixelBytes;
            // Flat areas of labels are not filtered: a row is written with its filter's number, 0 for none, before it.
            PngFilters? filters = photograph ? new(rowBytes, pixelBytes) : null;
            byte[] row = new byte[1 + rowBytes];
            for (int y = 0; y < height; y++)
            {
                rows(y, row.AsSpan(1));
                zlib.Write(filters is null ? row : filters.Apply(row.AsSpan(1)));
            }
        }
        WriteChunk(target, "IEND"u8, []);
    }

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
