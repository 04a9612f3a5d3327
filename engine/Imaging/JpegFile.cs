using System.Buffers.Binary;

namespace GroupViT.Native.Imaging;

/// <summary>One component of a JPEG frame: its sampling factors, and its size in blocks of 8 x 8 samples.</summary>
internal sealed class JpegComponent
{
    public required int Id { get; init; }

    public required int H { get; init; }

    public required int V { get; init; }

    public required int QuantizationTable { get; init; }

    /// <summary>Blocks that hold picture (a scan of this component alone stores just these).</summary>
    public int BlocksWide { get; set; }

    public int BlocksHigh { get; set; }

    /// <summary>Blocks of a row with the padding that fills up whole MCUs.</summary>
    public int PaddedWide { get; set; }

    /// <summary>Progressive: per block, one bit for each AC coefficient known to be non-zero.</summary>
    public ulong[] NonZero { get; set; } = [];

    /// <summary>Progressive: how many low bits of each coefficient are still missing; -1 where nothing came yet.</summary>
    public int[] MissingBits { get; } = Enumerable.Repeat(-1, 64).ToArray();

    public bool Scanned { get; set; }
}

/// <summary>
/// A JPEG file's segments and scans, walked and checked (ITU-T T.81, annexes B, F, G) before the decoder sees a byte. The decoder
/// behind this gate fills what is missing with grey and says nothing, can loop for ever on a bad length, and loses native memory
/// when it throws; so the walk goes through every Huffman code of every scan (<see cref="JpegScan"/>) and lets only complete
/// pictures pass. It allocates 8 bytes for each block of a progressive picture, and nothing for others.
/// </summary>
internal sealed class JpegFile
{
    // No encoder comes near; the standard's own limit (63 coefficients, 14 bits, 3 components) would let a small file
    // keep the decoder busy for minutes.
    private const int MaxScans = 100;

    private readonly byte[] _file;
    private readonly string _name;
    private readonly JpegHuffmanTable?[] _tables = new JpegHuffmanTable?[8];
    private readonly bool[] _quantizations = new bool[4];
    private readonly List<JpegComponent> _components = [];
    private int _restartInterval;
    private int _scans;
    private bool _sawExif;

    private JpegFile(byte[] file, string name) => (_file, _name) = (file, name);

    public static ReadOnlySpan<byte> Signature => [0xFF, 0xD8, 0xFF];

    public int Width { get; private set; }

    public int Height { get; private set; }

    public bool Progressive { get; private set; }

    /// <summary>EXIF orientation, 1 to 8.</summary>
    public int Orientation { get; private set; } = 1;

    /// <summary>Where the picture ends: the position of its EOI marker, or the file's length where that is missing.</summary>
    public int End { get; private set; }

    /// <summary>MCUs in a row and in a column of a scan of several components.</summary>
    public int McusWide { get; private set; }

    public int McusHigh { get; private set; }

    public static JpegFile Parse(byte[] file, string name, ImageDecodeOptions options)
    {
        JpegFile jpeg = new(file, name);
        jpeg.Walk(options);
        return jpeg;
    }

    public ImageFileException Bad(int at, string problem) => new(_name, $"JPEG, byte {at}: {problem}");

    private void Walk(ImageDecodeOptions options)
    {
        int position = 2;
        while (true)
        {
            int at = position;
            if (AtEnd(position))
            {
                // A lost EOI marker alone does no harm where the pixels are all there; a progressive picture could lack scans.
                Require(IsComplete() && !Progressive, at, "the file ends before its picture does: it is truncated");
                End = position;
                return;
            }
            Require(_file[position] == 0xFF, at, $"{_file[position]:X2} where a marker must begin (FF): the file is damaged");
            while (_file[position] == 0xFF)
            {
                position++; // Any number of FF may come before the marker's code.
                Require(position < _file.Length, at, "the file ends inside a marker: it is truncated");
            }
            byte marker = _file[position++];
            if (marker == 0xD9)
            {
                Require(_components.Count > 0, at, "the file ends before its frame header");
                Require(IsComplete(), at, "the picture ends although not all of its components were stored: the file is damaged");
                End = at;
                return;
            }
            RefuseUnreadable(marker, at);
            int length = position + 2 <= _file.Length ? BinaryPrimitives.ReadUInt16BigEndian(_file.AsSpan(position)) : 0;
            Require(length >= 2 && length <= _file.Length - position, at, $"the segment {marker:X2} claims {length} bytes, but {_file.Length - position} are left: the file is truncated or damaged");
            ReadOnlySpan<byte> segment = _file.AsSpan(position + 2, length - 2);
            position += length;
            switch (marker)
            {
                case 0xC0 or 0xC1 or 0xC2:
                    ReadFrame(segment, at, marker == 0xC2, options);
                    break;
                case 0xC4:
                    ReadHuffmanTables(segment, at);
                    break;
                case 0xDB:
                    ReadQuantizationTables(segment, at);
                    break;
                case 0xDD:
                    Require(segment.Length == 2, at, "a DRI segment that does not hold two bytes");
                    _restartInterval = BinaryPrimitives.ReadUInt16BigEndian(segment);
                    break;
                case 0xDA:
                    position = ReadScan(segment, at, position);
                    break;
                case 0xE1 when !_sawExif && segment.StartsWith("Exif\0\0"u8):
                    _sawExif = true;
                    Orientation = Imaging.Orientation.Read(segment[6..]);
                    break;
                default:
                    break; // APPn and COM: nothing that changes pixels is read from them here.
            }
        }
    }

    private bool AtEnd(int position) => position >= _file.Length;

    private bool IsComplete() => _components.Count > 0 && _components.TrueForAll(c => Progressive ? c.MissingBits[0] >= 0 : c.Scanned);

    private void RefuseUnreadable(byte marker, int at)
    {
        string? kind = marker switch
        {
            0xC3 => "lossless",
            0xC5 or 0xC6 => "hierarchical (differential)",
            0xC7 => "hierarchical and lossless",
            0xC9 or 0xCA or 0xCC => "arithmetically coded",
            0xCB => "lossless and arithmetically coded",
            0xCD or 0xCE or 0xCF or 0xDE or 0xDF => "hierarchical",
            0xC8 or (>= 0xF0 and <= 0xFD) => "of an extended kind",
            0xDC => "of a kind that tells its height after the picture (DNL)",
            _ => null,
        };
        if (kind is not null)
        {
            throw new ImageFileException(_name, $"is a JPEG file that is {kind} (marker {marker:X2} at byte {at}); baseline, extended and progressive Huffman-coded ones are read");
        }
        bool known = marker is 0xC0 or 0xC1 or 0xC2 or 0xC4 or 0xDA or 0xDB or 0xDD or 0xFE or (>= 0xE0 and <= 0xEF);
        Require(known, at, $"the marker {marker:X2} does not belong here: the file is damaged");
    }

    private void ReadFrame(ReadOnlySpan<byte> segment, int at, bool progressive, ImageDecodeOptions options)
    {
        Require(_components.Count == 0, at, "a second frame; pictures of one frame are read");
        Require(segment.Length >= 6 && segment.Length == 6 + (3 * segment[5]), at, "a frame header whose length does not fit its components");
        Require(segment[0] == 8, at, $"{segment[0]} bits a sample; 8 are read");
        int count = segment[5];
        if (count is not (1 or 3))
        {
            string kind = count == 4 ? "four components (CMYK or YCCK)" : $"{count} components";
            throw new ImageFileException(_name, $"is a JPEG file with {kind}; grey and colour (RGB, YCbCr) ones are read");
        }
        Height = BinaryPrimitives.ReadUInt16BigEndian(segment[1..]);
        Width = BinaryPrimitives.ReadUInt16BigEndian(segment[3..]);
        options.CheckSize(_name, Width, Height);
        Progressive = progressive;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> c = segment.Slice(6 + (3 * i), 3);
            JpegComponent component = new() { Id = c[0], H = c[1] >> 4, V = c[1] & 15, QuantizationTable = c[2] };
            Require(component.H is >= 1 and <= 4 && component.V is >= 1 and <= 4, at, $"sampling factors {component.H} x {component.V}, but they must be 1 to 4");
            Require(component.QuantizationTable <= 3, at, $"quantisation table {component.QuantizationTable}, but there are only 0 to 3");
            Require(!_components.Exists(other => other.Id == component.Id), at, $"two components numbered {component.Id}");
            _components.Add(component);
        }
        LayOutBlocks(at);
    }

    private void LayOutBlocks(int at)
    {
        int maxH = _components.Max(c => c.H), maxV = _components.Max(c => c.V);
        McusWide = CeilDiv(Width, 8 * maxH);
        McusHigh = CeilDiv(Height, 8 * maxV);
        long blocks = 0;
        foreach (JpegComponent c in _components)
        {
            Require(maxH % c.H == 0 && maxV % c.V == 0, at, $"sampling factors {c.H} x {c.V} beside {maxH} x {maxV}; whole ratios are read");
            c.BlocksWide = CeilDiv(CeilDiv(Width * c.H, maxH), 8);
            c.BlocksHigh = CeilDiv(CeilDiv(Height * c.V, maxV), 8);
            c.PaddedWide = McusWide * c.H;
            blocks += (long)c.BlocksWide * c.BlocksHigh;
        }
        // Every block costs at least one bit (the code of its DC difference).
        long bits = (long)(_file.Length - at) * 8;
        if (blocks > bits)
        {
            throw new ImageFileException(_name, $"declares {Width} x {Height} pixels ({blocks} blocks), more than the {_file.Length - at} bytes that follow can hold");
        }
        foreach (JpegComponent c in _components)
        {
            c.NonZero = Progressive ? new ulong[c.PaddedWide * McusHigh * c.V] : [];
        }
    }

    private void ReadHuffmanTables(ReadOnlySpan<byte> segment, int at)
    {
        while (segment.Length > 0)
        {
            Require(segment.Length >= 17, at, "a Huffman table that ends early");
            int kind = segment[0] >> 4, slot = segment[0] & 15;
            Require(kind <= 1 && slot <= 3, at, $"a Huffman table numbered {segment[0]:X2}");
            int total = 0;
            foreach (byte n in segment.Slice(1, 16))
            {
                total += n;
            }
            Require(total <= 256 && segment.Length >= 17 + total, at, $"a Huffman table of {total} codes in {segment.Length - 17} bytes");
            _tables[(kind * 4) + slot] = JpegHuffmanTable.Build(segment.Slice(1, 16), segment.Slice(17, total))
                ?? throw Bad(at, "a Huffman table with more codes of a length than bits can tell apart");
            segment = segment[(17 + total)..];
        }
    }

    private void ReadQuantizationTables(ReadOnlySpan<byte> segment, int at)
    {
        while (segment.Length > 0)
        {
            int precision = segment[0] >> 4, slot = segment[0] & 15;
            Require(precision <= 1 && slot <= 3, at, $"a quantisation table numbered {segment[0]:X2}");
            int size = 1 + (64 * (precision + 1));
            Require(segment.Length >= size, at, "a quantisation table that ends early");
            _quantizations[slot] = true;
            segment = segment[size..];
        }
    }

    private int ReadScan(ReadOnlySpan<byte> segment, int at, int data)
    {
        Require(_components.Count > 0, at, "a scan before the frame header");
        Require(++_scans <= MaxScans, at, $"more than {MaxScans} scans");
        int count = segment.Length > 0 ? segment[0] : 0;
        Require(count is >= 1 and <= 3 && count <= _components.Count && segment.Length == 4 + (2 * count), at, "a scan header whose length does not fit its components");
        List<(JpegComponent Component, JpegHuffmanTable? Dc, JpegHuffmanTable? Ac)> parts = [];
        int last = -1, blocks = 0;
        for (int i = 0; i < count; i++)
        {
            int id = segment[1 + (2 * i)], tables = segment[2 + (2 * i)];
            int index = _components.FindIndex(c => c.Id == id);
            Require(index > last, at, $"component {id} in a scan that does not go through the frame's components in their order");
            Require((tables >> 4) <= 3 && (tables & 15) <= 3, at, $"Huffman tables {tables:X2}, but there are only 0 to 3");
            JpegComponent component = _components[last = index];
            Require(_quantizations[component.QuantizationTable], at, $"quantisation table {component.QuantizationTable} is not defined");
            blocks += component.H * component.V;
            parts.Add((component, _tables[tables >> 4], _tables[4 + (tables & 15)]));
        }
        Require(count == 1 || blocks <= 10, at, $"{blocks} blocks in an MCU, but at most 10 are allowed");
        JpegSpectrum spectrum = new(segment[^3], segment[^2], segment[^1] >> 4, segment[^1] & 15);
        CheckSpectrum(spectrum, parts.ConvertAll(p => p.Component), at);
        bool needsDc = !Progressive || (spectrum.First == 0 && !spectrum.Refines);
        bool needsAc = !Progressive || spectrum.First > 0;
        Require(parts.TrueForAll(p => (!needsDc || p.Dc is not null) && (!needsAc || p.Ac is not null)), at, "a scan that uses a Huffman table which is not defined");
        return new JpegScan(this, _file, data, _restartInterval, spectrum).Check(parts);
    }

    private void CheckSpectrum(JpegSpectrum s, List<JpegComponent> components, int at)
    {
        if (!Progressive)
        {
            Require(s is { First: 0, Last: 63, High: 0, Low: 0 }, at, "a sequential scan that does not hold the coefficients 0 to 63 in full");
            foreach (JpegComponent c in components)
            {
                Require(!c.Scanned, at, $"component {c.Id} is stored twice");
                c.Scanned = true;
            }
            return;
        }
        bool valid = s.First == 0 ? s.Last == 0 : s.First <= s.Last && s.Last <= 63 && components.Count == 1;
        Require(valid && s.Low <= 13 && (s.High == 0 || s.Low == s.High - 1), at, $"a progressive scan of coefficients {s.First} to {s.Last}, bits {s.High} to {s.Low}, which the standard does not allow");
        foreach (JpegComponent c in components)
        {
            Require(s.First == 0 || c.MissingBits[0] >= 0, at, $"component {c.Id}: AC coefficients before the DC coefficients");
            for (int k = s.First; k <= s.Last; k++)
            {
                Require(c.MissingBits[k] == (s.High == 0 ? -1 : s.High), at, $"component {c.Id}, coefficient {k}: bits out of order");
                c.MissingBits[k] = s.Low;
            }
        }
    }

    private void Require(bool condition, int at, string problem)
    {
        if (!condition)
        {
            throw Bad(at, problem);
        }
    }

    private static int CeilDiv(int a, int b) => (a + b - 1) / b;
}
