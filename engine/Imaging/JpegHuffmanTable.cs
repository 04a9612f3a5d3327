namespace GroupViT.Native.Imaging;

/// <summary>A Huffman table of T.81, annex C: codes of up to 16 bits, in order of length.</summary>
internal sealed class JpegHuffmanTable
{
    private const int FastBits = 9;

    // Codes of up to FastBits bits: length in the high byte, value in the low one; 0 where the code is longer.
    private readonly ushort[] _fast = new ushort[1 << FastBits];

    // For each length, the first code above it (shifted to 16 bits), and what turns a code into its value's index.
    private readonly int[] _limit = new int[17];
    private readonly int[] _delta = new int[17];
    private readonly byte[] _values;

    private JpegHuffmanTable(byte[] values) => _values = values;

    /// <summary>Builds a table from the number of codes of each length 1 to 16 and the values; null if there are too many codes.</summary>
    public static JpegHuffmanTable? Build(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> values)
    {
        JpegHuffmanTable table = new(values.ToArray());
        int code = 0, index = 0;
        for (int length = 1; length <= 16; length++)
        {
            table._delta[length] = index - code;
            for (int i = 0; i < counts[length - 1]; i++, code++, index++)
            {
                if (length <= FastBits && code < 1 << length)
                {
                    table._fast.AsSpan(code << (FastBits - length), 1 << (FastBits - length)).Fill((ushort)((length << 8) | values[index]));
                }
            }
            if (code > 1 << length)
            {
                return null;
            }
            table._limit[length] = code << (16 - length);
            code <<= 1;
        }
        return table;
    }

    /// <summary>The length and value of the code at the top of 16 bits; length 0 if there is none.</summary>
    public (int Length, byte Value) Find(int bits16)
    {
        int fast = _fast[bits16 >> (16 - FastBits)];
        if (fast != 0)
        {
            return (fast >> 8, (byte)fast);
        }
        for (int length = FastBits + 1; length <= 16; length++)
        {
            if (bits16 < _limit[length])
            {
                return (length, _values[(bits16 >> (16 - length)) + _delta[length]]);
            }
        }
        return (0, 0);
    }
}
