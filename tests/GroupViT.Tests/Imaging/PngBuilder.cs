using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>Puts PNG files together from chunks, well-formed or not.</summary>
internal static class PngBuilder
{
    /// <summary>Any byte sequence as one zlib stream.</summary>
    public static byte[] Deflate(params byte[] raw)
    {
        using MemoryStream packed = new();
        using (ZLibStream zlib = new(packed, CompressionLevel.SmallestSize))
        {
            zlib.Write(raw);
        }
        return packed.ToArray();
    }

    public static byte[] Chunk(string type, params byte[] data)
    {
        byte[] chunk = new byte[data.Length + 12];
        BinaryPrimitives.WriteInt32BigEndian(chunk, data.Length);
        Encoding.ASCII.GetBytes(type, chunk.AsSpan(4));
        data.CopyTo(chunk, 8);
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(data.Length + 8), ReferenceCrc(chunk.AsSpan(4, data.Length + 4)));
        return chunk;
    }

    public static byte[] Header(int width, int height, int depth, int color, int interlace = 0, int compression = 0, int filter = 0)
    {
        byte[] data = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(data, width);
        BinaryPrimitives.WriteInt32BigEndian(data.AsSpan(4), height);
        (data[8], data[9], data[10], data[11], data[12]) = ((byte)depth, (byte)color, (byte)compression, (byte)filter, (byte)interlace);
        return Chunk("IHDR", data);
    }

    public static byte[] End => Chunk("IEND");

    /// <summary>Signature and chunks.</summary>
    public static byte[] File(params byte[][] chunks) => [.. PngFile.Signature, .. chunks.SelectMany(c => c)];

    /// <summary>
    /// Encodes samples (any colour type and depth, interlaced or not), each row with the next of the five filters in turn. Written from
    /// the specification, apart from the decoder: every step here is the plain one.
    /// </summary>
    /// <param name="sample">The sample of (x, y, channel).</param>
    public static byte[] Encode(int width, int height, int depth, int color, bool interlaced, Func<int, int, int, int> sample, params byte[][] beforeData)
    {
        int channels = color switch
        {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        (int X, int Y, int DX, int DY)[] passes = interlaced
            ? [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
            : [(0, 0, 1, 1)];
        List<byte> raw = [];
        int filter = 0;
        foreach ((int x0, int y0, int dx, int dy) in passes)
        {
            byte[]? above = null;
            for (int y = y0; y < height; y += dy)
            {
                List<bool> bits = [];
                for (int x = x0; x < width; x += dx)
                {
                    for (int c = 0; c < channels; c++)
                    {
                        for (int bit = depth - 1; bit >= 0; bit--)
                        {
                            bits.Add(((sample(x, y, c) >> bit) & 1) != 0);
                        }
                    }
                }
                if (bits.Count == 0)
                {
                    continue;
                }
                byte[] row = new byte[(bits.Count + 7) / 8];
                for (int i = 0; i < bits.Count; i++)
                {
                    row[i / 8] |= (byte)(bits[i] ? 0x80 >> (i % 8) : 0);
                }
                raw.AddRange(Filter(filter = (filter + 1) % 5, row, above ?? new byte[row.Length], Math.Max(1, depth * channels / 8)));
                above = row;
            }
        }
        byte[] packed = Deflate([.. raw]);
        // In three pieces, the middle one empty.
        int half = packed.Length / 2;
        return File([Header(width, height, depth, color, interlaced ? 1 : 0), .. beforeData, Chunk("IDAT", packed[..half]), Chunk("IDAT"), Chunk("IDAT", packed[half..]), End]);
    }

    private static byte[] Filter(int kind, byte[] row, byte[] above, int step)
    {
        byte[] result = new byte[row.Length + 1];
        result[0] = (byte)kind;
        for (int i = 0; i < row.Length; i++)
        {
            int a = i >= step ? row[i - step] : 0, b = above[i], c = i >= step ? above[i - step] : 0;
            int p = a + b - c;
            int nearest = new[] { a, b, c }.MinBy(v => Math.Abs(p - v));
            result[i + 1] = (byte)(row[i] - kind switch
            {
                1 => a,
                2 => b,
                3 => (a + b) / 2,
                4 => nearest,
                _ => 0,
            });
        }
        return result;
    }

    /// <summary>CRC-32, bit by bit.</summary>
    public static uint ReferenceCrc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
            }
        }
        return ~crc;
    }
}
