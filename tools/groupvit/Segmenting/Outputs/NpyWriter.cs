using System.Buffers.Binary;
using System.Text;

namespace GroupViT.Tool.Segmenting.Outputs;

/// <summary>NumPy's array file, version 1.0: a header that is a Python dictionary, padded to 64 bytes, then the values row by row.</summary>
internal static class NpyWriter
{
    public static void Write(Stream target, int width, int height, ReadOnlyMemory<ushort> values)
    {
        string text = $"{{'descr': '<u2', 'fortran_order': False, 'shape': ({height}, {width}), }}";
        // Magic, version and length take ten bytes; the header ends in a line feed.
        string header = text.PadRight((text.Length + 11 + 63) / 64 * 64 - 11) + '\n';
        target.Write([0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0, (byte)header.Length, (byte)(header.Length >> 8)]);
        target.Write(Encoding.ASCII.GetBytes(header));
        byte[] row = new byte[2 * width];
        for (int y = 0; y < height; y++)
        {
            ReadOnlySpan<ushort> source = values.Span.Slice(y * width, width);
            for (int x = 0; x < width; x++)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(row.AsSpan(2 * x), source[x]);
            }
            target.Write(row);
        }
    }
}
