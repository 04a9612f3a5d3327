using System.Numerics;

namespace GroupViT.Native.Imaging;

/// <summary>Which coefficients (zig-zag order) and which of their bits a scan holds; T.81 calls them Ss, Se, Ah, Al.</summary>
internal readonly record struct JpegSpectrum(int First, int Last, int High, int Low)
{
    public bool Refines => High != 0;
}

/// <summary>
/// Goes through one scan's entropy-coded data, code by code, without computing pixels: proves that every block is there, every
/// code exists, and every restart marker stands in its place (T.81, F.2 and G.2).
/// </summary>
internal sealed class JpegScan
{
    private readonly JpegFile _jpeg;
    private readonly byte[] _file;
    private readonly int _restartInterval;
    private readonly JpegSpectrum _spectrum;
    private int _position;

    // The next bits, the first in the highest; _count of them are real, zeros follow.
    private ulong _bits;
    private int _count;
    private int _endOfBandRun;

    public JpegScan(JpegFile jpeg, byte[] file, int position, int restartInterval, JpegSpectrum spectrum) =>
        (_jpeg, _file, _position, _restartInterval, _spectrum) = (jpeg, file, position, restartInterval, spectrum);

    /// <summary>Checks the scan and returns where the marker after it begins (or the file's length, if none follows).</summary>
    public int Check(List<(JpegComponent Component, JpegHuffmanTable? Dc, JpegHuffmanTable? Ac)> parts)
    {
        // A scan of one component stores its blocks one by one, without the padding of whole MCUs.
        bool single = parts.Count == 1;
        int wide = single ? parts[0].Component.BlocksWide : _jpeg.McusWide;
        int high = single ? parts[0].Component.BlocksHigh : _jpeg.McusHigh;
        int untilRestart = _restartInterval, restarts = 0;
        for (int y = 0; y < high; y++)
        {
            for (int x = 0; x < wide; x++)
            {
                if (_restartInterval > 0 && untilRestart-- == 0)
                {
                    ReadRestart(restarts++ & 7);
                    untilRestart = _restartInterval - 1;
                }
                foreach ((JpegComponent c, JpegHuffmanTable? dc, JpegHuffmanTable? ac) in parts)
                {
                    int blocksX = single ? 1 : c.H, blocksY = single ? 1 : c.V;
                    for (int block = 0; block < blocksX * blocksY; block++)
                    {
                        int row = (y * blocksY) + (block / blocksX), column = (x * blocksX) + (block % blocksX);
                        CheckBlock(c, (row * c.PaddedWide) + column, dc, ac);
                    }
                }
            }
        }
        return NextMarker();
    }

    private void CheckBlock(JpegComponent component, int block, JpegHuffmanTable? dc, JpegHuffmanTable? ac)
    {
        if (!_jpeg.Progressive)
        {
            CheckDifference(dc!);
            CheckSequentialAc(ac!);
        }
        else if (_spectrum.First == 0)
        {
            if (_spectrum.Refines)
            {
                Skip(1);
            }
            else
            {
                CheckDifference(dc!);
            }
        }
        else if (_spectrum.Refines)
        {
            RefineAc(ref component.NonZero[block], ac!);
        }
        else
        {
            CheckFirstAc(ref component.NonZero[block], ac!);
        }
    }

    private void CheckDifference(JpegHuffmanTable dc)
    {
        int size = Decode(dc);
        // 8-bit samples have differences of at most 11 bits.
        if (size > 11)
        {
            throw Damaged($"a DC difference of {size} bits");
        }
        Skip(size);
    }

    private void CheckSequentialAc(JpegHuffmanTable ac)
    {
        for (int k = 1; k < 64; k++)
        {
            int code = Decode(ac);
            int run = code >> 4, size = code & 15;
            if (size == 0 && run != 15)
            {
                return;
            }
            k += run;
            if (k > 63)
            {
                throw Damaged("a run of zeros past the end of its block");
            }
            Skip(size);
        }
    }

    private void CheckFirstAc(ref ulong nonZero, JpegHuffmanTable ac)
    {
        if (_endOfBandRun > 0)
        {
            _endOfBandRun--;
            return;
        }
        for (int k = _spectrum.First; k <= _spectrum.Last; k++)
        {
            int code = Decode(ac);
            int run = code >> 4, size = code & 15;
            if (size == 0 && run != 15)
            {
                _endOfBandRun = (1 << run) - 1 + Read(run);
                return;
            }
            k += run;
            if (k > _spectrum.Last)
            {
                throw Damaged("a run of zeros past the end of its band");
            }
            Skip(size);
            nonZero |= size == 0 ? 0 : 1UL << k;
        }
    }

    private void RefineAc(ref ulong nonZero, JpegHuffmanTable ac)
    {
        int k = _spectrum.First;
        for (; _endOfBandRun == 0 && k <= _spectrum.Last; k++)
        {
            int code = Decode(ac);
            int run = code >> 4, size = code & 15;
            if (size == 0 && run != 15)
            {
                _endOfBandRun = (1 << run) + Read(run);
                break;
            }
            if (size > 1)
            {
                throw Damaged($"a coefficient of {size} bits in a scan that refines by one");
            }
            Skip(size);
            // Passes over `run` zeros; each coefficient known before gets one more bit on the way.
            for (; k <= _spectrum.Last && (IsSet(nonZero, k) || run-- > 0); k++)
            {
                Skip(IsSet(nonZero, k) ? 1 : 0);
            }
            if (k > _spectrum.Last)
            {
                throw Damaged("a run of zeros past the end of its band");
            }
            nonZero |= (ulong)size << k;
        }
        if (_endOfBandRun > 0)
        {
            _endOfBandRun--;
            // The rest of the band holds no new coefficients, one bit more for each old one.
            ulong rest = k > _spectrum.Last ? 0 : nonZero >> k << k << (63 - _spectrum.Last);
            for (int left = BitOperations.PopCount(rest); left > 0; left -= 16)
            {
                Skip(Math.Min(left, 16));
            }
        }
    }

    private static bool IsSet(ulong mask, int bit) => ((mask >> bit) & 1) != 0;

    private void Fill()
    {
        while (_count <= 56 && _position < _file.Length)
        {
            byte next = _file[_position];
            if (next == 0xFF)
            {
                // FF 00 is a plain FF; anything else is a marker, where the data end.
                if (_position + 1 >= _file.Length || _file[_position + 1] != 0)
                {
                    return;
                }
                _position++;
            }
            _position++;
            _bits |= (ulong)next << (56 - _count);
            _count += 8;
        }
    }

    private int Decode(JpegHuffmanTable table)
    {
        if (_count < 16)
        {
            Fill();
        }
        (int length, byte value) = table.Find((int)(_bits >> 48));
        // Zeros stand in for what is missing at the end, and may be no code at all there.
        if (length == 0 && _count >= 16)
        {
            throw Damaged("a bit pattern that is no Huffman code");
        }
        Take(length == 0 ? 16 : length);
        return value;
    }

    private void Skip(int bits)
    {
        if (_count < bits)
        {
            Fill();
        }
        Take(bits);
    }

    private int Read(int bits)
    {
        if (_count < bits)
        {
            Fill();
        }
        int value = bits == 0 ? 0 : (int)(_bits >> (64 - bits));
        Take(bits);
        return value;
    }

    private void Take(int bits)
    {
        if (_count < bits)
        {
            throw Damaged("the pixel data end too early: the file is truncated or damaged", raw: true);
        }
        _bits <<= bits;
        _count -= bits;
    }

    private void ReadRestart(int number)
    {
        Fill();
        if (_count >= 8)
        {
            throw Damaged("data left over before a restart marker");
        }
        int at = _position;
        while (_position < _file.Length && _file[_position] == 0xFF)
        {
            _position++;
        }
        if (_position >= _file.Length || _position == at || _file[_position] != 0xD0 + number)
        {
            _position = at;
            throw Damaged($"the restart marker {number} is missing: the file is truncated or damaged", raw: true);
        }
        _position++;
        (_bits, _count, _endOfBandRun) = (0, 0, 0);
    }

    /// <summary>Passes over what some cameras leave behind the last block.</summary>
    private int NextMarker()
    {
        if (_endOfBandRun > 0)
        {
            throw Damaged("a run of empty blocks past the end of the picture");
        }
        for (int at = _position; at + 1 < _file.Length; at++)
        {
            if (_file[at] == 0xFF && _file[at + 1] is not (0 or 0xFF))
            {
                return at;
            }
        }
        return _file.Length;
    }

    private ImageFileException Damaged(string problem, bool raw = false) =>
        _jpeg.Bad(_position, raw ? problem : $"{problem}: the file is damaged");
}
