using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace GroupViT.Native.Imaging;

/// <summary>Writes NumPy's array files, format 1.0.</summary>
internal static class NpyWriter
{
    private const int BlockValues = 32 << 10;

    /// <summary>Writes an array of shape (height, width), rows first, of little-endian unsigned 16-bit numbers. The stream is left open.</summary>
    public static void Write(Stream target, int width, int height, ReadOnlySpan<ushort> values)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (values.Length != (long)width * height)
        {
            throw new ArgumentException($"a shape of ({height}, {width}) needs as many values, not {values.Length}", nameof(values));
        }
        string header = $"{{'descr': '<u2', 'fortran_order': False, 'shape': ({height}, {width}), }}";
        // Magic, version and length are 10 bytes; the values begin at a multiple of 64, behind a line's end.
        int length = (10 + header.Length + 1 + 63) / 64 * 64;
        Span<byte> head = stackalloc byte[length];
        head.Fill((byte)' ');
        ((ReadOnlySpan<byte>)[0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0]).CopyTo(head);
        BinaryPrimitives.WriteUInt16LittleEndian(head[8..], (ushort)(length - 10));
        Encoding.ASCII.GetBytes(header, head[10..]);
        head[^1] = (byte)'\n';
        target.Write(head);
        ushort[] swapped = BitConverter.IsLittleEndian ? [] : new ushort[Math.Min(values.Length, BlockValues)];
        while (values.Length > 0)
        {
            ReadOnlySpan<ushort> block = values[..Math.Min(values.Length, BlockValues)];
            values = values[block.Length..];
            if (swapped.Length > 0)
            {
                BinaryPrimitives.ReverseEndianness(block, swapped);
                block = swapped.AsSpan(0, block.Length);
            }
            target.Write(MemoryMarshal.AsBytes(block));
        }
    }
}
