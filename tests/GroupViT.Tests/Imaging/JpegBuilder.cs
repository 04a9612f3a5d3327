namespace GroupViT.Tests.Imaging;

/// <summary>
/// Puts sequential JPEG files together, well-formed or not. The encoder is the plainest there is: exact cosine sums, quantisers of one, and
/// Huffman codes that are all of one length.
/// </summary>
internal static class JpegBuilder
{
    public static byte[] Start => [0xFF, 0xD8];

    public static byte[] End => [0xFF, 0xD9];

    /// <summary>One quantisation table of ones.</summary>
    public static byte[] Quantization => Segment(0xDB, [0, .. Enumerable.Repeat((byte)1, 64)]);

    /// <summary>DC table 0: sizes 0 to 11 with codes of four bits. AC table 0: all run and size pairs with codes of eight bits.</summary>
    public static byte[] Huffman => Segment(0xC4, [0x00, .. Counts(4, 12), .. DcValues, 0x10, .. Counts(8, AcValues.Length), .. AcValues]);

    private static byte[] DcValues { get; } = [.. Enumerable.Range(0, 12).Select(i => (byte)i)];

    private static byte[] AcValues { get; } = [0x00, 0xF0, .. Enumerable.Range(0, 160).Select(i => (byte)(((i / 10) << 4) | ((i % 10) + 1)))];

    public static byte[] Segment(byte marker, params byte[] data) => [0xFF, marker, (byte)((data.Length + 2) >> 8), (byte)(data.Length + 2), .. data];

    public static byte[] Frame(int width, int height, (int H, int V)[] components, byte marker = 0xC0, byte precision = 8) =>
        Segment(marker, [precision, (byte)(height >> 8), (byte)height, (byte)(width >> 8), (byte)width, (byte)components.Length,
            .. components.SelectMany((c, i) => new[] { (byte)(i + 1), (byte)((c.H << 4) | c.V), (byte)0 })]);

    public static byte[] Scan(params int[] components) =>
        Segment(0xDA, [(byte)components.Length, .. components.SelectMany(c => new byte[] { (byte)(c + 1), 0 }), 0, 63, 0]);

    public static byte[] Restart(int interval) => Segment(0xDD, (byte)(interval >> 8), (byte)interval);

    public static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(p => p)];

    /// <summary>A whole baseline file.</summary>
    /// <param name="sample">The sample of (component, x, y) on that component's own grid.</param>
    public static byte[] Encode(int width, int height, (int H, int V)[] components, Func<int, int, int, int> sample, int restart = 0, bool interleaved = true)
    {
        List<byte[]> parts = [Start, Quantization, Huffman, Frame(width, height, components)];
        if (restart > 0)
        {
            parts.Add(Restart(restart));
        }
        int[] all = [.. Enumerable.Range(0, components.Length)];
        foreach (int[] scan in interleaved ? [all] : all.Select(c => new[] { c }))
        {
            parts.Add(Scan(scan));
            parts.Add(ScanData(width, height, components, scan, sample, restart));
        }
        return Join([.. parts, End]);
    }

    public static byte[] ScanData(int width, int height, (int H, int V)[] components, int[] scan, Func<int, int, int, int> sample, int restart)
    {
        int maxH = components.Max(c => c.H), maxV = components.Max(c => c.V);
        bool single = scan.Length == 1;
        (int h0, int v0) = single ? components[scan[0]] : (maxH, maxV);
        int wide = single ? Ceil(Ceil(width * h0, maxH), 8) : Ceil(width, 8 * maxH);
        int high = single ? Ceil(Ceil(height * v0, maxV), 8) : Ceil(height, 8 * maxV);
        BitWriter bits = new();
        int[] previous = new int[components.Length];
        for (int mcu = 0; mcu < wide * high; mcu++)
        {
            if (restart > 0 && mcu > 0 && mcu % restart == 0)
            {
                bits.Marker((byte)(0xD0 + (((mcu / restart) - 1) & 7)));
                Array.Clear(previous);
            }
            foreach (int c in scan)
            {
                (int h, int v) = single ? (1, 1) : components[c];
                for (int block = 0; block < h * v; block++)
                {
                    WriteBlock(bits, ((mcu % wide * h) + (block % h)) * 8, ((mcu / wide * v) + (block / h)) * 8, (x, y) => sample(c, x, y), ref previous[c]);
                }
            }
        }
        return bits.Finish();
    }

    private static void WriteBlock(BitWriter bits, int x0, int y0, Func<int, int, int> sample, ref int previous)
    {
        int run = 0;
        for (int k = 0; k < 64; k++)
        {
            (int u, int v) = ZigZag[k];
            double sum = 0;
            for (int y = 0; y < 8; y++)
            {
                for (int x = 0; x < 8; x++)
                {
                    sum += (sample(x0 + x, y0 + y) - 128) * Math.Cos(((2 * x) + 1) * u * Math.PI / 16) * Math.Cos(((2 * y) + 1) * v * Math.PI / 16);
                }
            }
            int value = (int)Math.Round(sum / 4 * (u == 0 ? Math.Sqrt(0.5) : 1) * (v == 0 ? Math.Sqrt(0.5) : 1));
            if (k == 0)
            {
                int difference = value - previous;
                previous = value;
                bits.Write(Size(difference), 4);
                bits.WriteValue(difference, Size(difference));
                continue;
            }
            if (value == 0)
            {
                run++;
                continue;
            }
            for (; run > 15; run -= 16)
            {
                bits.Write(Array.IndexOf(AcValues, (byte)0xF0), 8);
            }
            bits.Write(Array.IndexOf(AcValues, (byte)((run << 4) | Size(value))), 8);
            bits.WriteValue(value, Size(value));
            run = 0;
        }
        if (run > 0)
        {
            bits.Write(Array.IndexOf(AcValues, (byte)0), 8);
        }
    }

    private static (int U, int V)[] ZigZag { get; } =
        [.. from i in Enumerable.Range(0, 64) let u = i % 8 let v = i / 8 orderby u + v, (u + v) % 2 == 0 ? v : u descending select (u, v)];

    private static byte[] Counts(int length, int count)
    {
        byte[] counts = new byte[16];
        counts[length - 1] = (byte)count;
        return counts;
    }

    private static int Size(int value) => value == 0 ? 0 : (int)Math.Log2(Math.Abs(value)) + 1;

    private static int Ceil(int a, int b) => (a + b - 1) / b;

    private sealed class BitWriter
    {
        private readonly List<byte> _bytes = [];
        private int _current;
        private int _count;

        public void Write(int value, int bits)
        {
            for (int bit = bits - 1; bit >= 0; bit--)
            {
                _current = (_current << 1) | ((value >> bit) & 1);
                if (++_count == 8)
                {
                    _bytes.Add((byte)_current);
                    if (_current == 0xFF)
                    {
                        _bytes.Add(0);
                    }
                    (_current, _count) = (0, 0);
                }
            }
        }

        public void WriteValue(int value, int size) => Write(value < 0 ? value + (1 << size) - 1 : value, size);

        public void Marker(byte code)
        {
            Finish();
            _bytes.AddRange([0xFF, code]);
        }

        public byte[] Finish()
        {
            while (_count != 0)
            {
                Write(1, 1);
            }
            return [.. _bytes];
        }
    }
}
