using System.IO.Compression;
using System.Numerics;

namespace GroupViT.Native.Imaging;

/// <summary>
/// The unfiltered rows of a PNG's pixel data, one after another (PNG specification, sections 9 and 10). Two row buffers are all the
/// memory it takes.
/// </summary>
internal sealed class PngScanlines : IDisposable
{
    private readonly PngFile _png;
    private readonly string _name;
    private readonly ZLibStream _zlib;
    private readonly int _pixelBytes;

    // The byte before each row is its filter type, so that a row is read in one piece.
    private byte[] _current;
    private byte[] _previous;
    private int _rowBytes;

    public PngScanlines(PngFile png, PictureBytes file, string name)
    {
        (_png, _name) = (png, name);
        _zlib = new ZLibStream(new PiecesStream(file, png.Data), CompressionMode.Decompress);
        _pixelBytes = Math.Max(1, png.BitsPerPixel / 8);
        _current = new byte[png.RowBytes(png.Width) + 1];
        _previous = new byte[_current.Length];
    }

    /// <summary>Begins a pass of rows of <paramref name="width"/> pixels; the row before its first is all zero.</summary>
    public void StartPass(int width)
    {
        _rowBytes = _png.RowBytes(width);
        _current.AsSpan().Clear();
    }

    /// <summary>The next row's samples, valid until the next call.</summary>
    /// <param name="row">The row's number in the pass, for messages.</param>
    public ReadOnlySpan<byte> Next(int row)
    {
        (_current, _previous) = (_previous, _current);
        Span<byte> whole = _current.AsSpan(0, _rowBytes + 1);
        int count = Inflate(whole, row);
        if (count < whole.Length)
        {
            throw new ImageFileException(_name, $"PNG: the pixel data end in row {row} of {_png.Height}{(_png.Interlaced ? " (interlaced)" : "")}: the file is truncated or damaged");
        }
        Unfilter(_current[0], whole[1..], _previous.AsSpan(1, _rowBytes), row);
        return whole[1..];
    }

    /// <summary>Reads past the last row, which makes zlib compare its checksum. More data than the rows need are ignored, as libpng does.</summary>
    public void Finish() => Inflate(stackalloc byte[1], _png.Height);

    public void Dispose() => _zlib.Dispose();

    private int Inflate(Span<byte> target, int row)
    {
        try
        {
            return _zlib.ReadAtLeast(target, target.Length, throwOnEndOfStream: false);
        }
        catch (Exception error) when (error is InvalidDataException or IOException)
        {
            throw new ImageFileException(_name, $"PNG: the compressed pixel data are damaged or truncated at row {row} of {_png.Height}: {error.Message}", error);
        }
    }

    private void Unfilter(byte filter, Span<byte> row, ReadOnlySpan<byte> above, int number)
    {
        int step = _pixelBytes;
        switch (filter)
        {
            case 0:
                break;
            case 1:
                for (int i = step; i < row.Length; i++)
                {
                    row[i] += row[i - step];
                }
                break;
            case 2:
                AddAbove(row, above);
                break;
            case 3:
                for (int i = 0; i < Math.Min(step, row.Length); i++)
                {
                    row[i] += (byte)(above[i] >> 1);
                }
                for (int i = step; i < row.Length; i++)
                {
                    row[i] += (byte)((row[i - step] + above[i]) >> 1);
                }
                break;
            case 4:
                AddAbove(row[..Math.Min(step, row.Length)], above);
                for (int i = step; i < row.Length; i++)
                {
                    row[i] += Paeth(row[i - step], above[i], above[i - step]);
                }
                break;
            default:
                throw new ImageFileException(_name, $"PNG: row {number} has filter type {filter}, but PNG knows only 0 to 4: the file is damaged");
        }
    }

    private static void AddAbove(Span<byte> row, ReadOnlySpan<byte> above)
    {
        int i = 0;
        for (; i <= row.Length - Vector<byte>.Count; i += Vector<byte>.Count)
        {
            (new Vector<byte>(row[i..]) + new Vector<byte>(above[i..])).CopyTo(row[i..]);
        }
        for (; i < row.Length; i++)
        {
            row[i] += above[i];
        }
    }

    /// <summary>Whichever of left, above and upper left is nearest to left + above - upper left; ties go in that order.</summary>
    public static byte Paeth(int left, int above, int corner)
    {
        int toLeft = Math.Abs(above - corner);
        int toAbove = Math.Abs(left - corner);
        int toCorner = Math.Abs(left + above - corner - corner);
        return (byte)(toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner);
    }

    /// <summary>The pieces of the IDAT chunks as one stream.</summary>
    private sealed class PiecesStream(PictureBytes file, List<(long Offset, int Length)> pieces) : Stream
    {
        private int _piece;
        private int _done;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            while (_piece < pieces.Count && _done == pieces[_piece].Length)
            {
                (_piece, _done) = (_piece + 1, 0);
            }
            if (_piece == pieces.Count)
            {
                return 0;
            }
            (long offset, int length) = pieces[_piece];
            int count = Math.Min(buffer.Length, length - _done);
            file.Read(offset + _done, buffer[..count]);
            _done += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
