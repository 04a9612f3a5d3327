using System.Text;

namespace GroupViT.Pickle;

/// <summary>
/// A part of a file from front to back, through one small buffer. Every length is held against what is left of the part before
/// anything is allocated for it.
/// </summary>
internal sealed class ByteReader
{
    private const int BufferSize = 16 * 1024;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ByteSource _source;
    private readonly long _end;
    private readonly string _what;
    private readonly byte[] _buffer;
    private long _bufferStart;
    private int _next, _count;

    /// <summary>Reads bytes <paramref name="start"/> to <paramref name="end"/> of the file.</summary>
    /// <param name="source">The file.</param>
    /// <param name="start">The first byte.</param>
    /// <param name="end">The byte behind the last; within the file.</param>
    /// <param name="what">What messages call the part ("the pickle").</param>
    public ByteReader(ByteSource source, long start, long end, string what)
    {
        _source = source;
        _bufferStart = start;
        _end = end;
        _what = what;
        _buffer = new byte[Math.Min(BufferSize, end - start)];
    }

    /// <summary>Offset in the file of the next byte.</summary>
    public long Position => _bufferStart + _next;

    /// <summary>Bytes left of the part.</summary>
    public long Remaining => _end - Position;

    public byte ReadByte(string item)
    {
        if (_next == _count)
        {
            Fill(item, 1);
        }
        return _buffer[_next++];
    }

    public void Read(Span<byte> destination, string item)
    {
        Require(destination.Length, item);
        while (!destination.IsEmpty)
        {
            if (_next == _count)
            {
                Fill(item, 1);
            }
            int count = Math.Min(destination.Length, _count - _next);
            _buffer.AsSpan(_next, count).CopyTo(destination);
            _next += count;
            destination = destination[count..];
        }
    }

    public byte[] ReadBytes(ulong length, string item)
    {
        Require(length, item);
        byte[] bytes = new byte[length];
        Read(bytes, item);
        return bytes;
    }

    public string ReadUtf8(ulong length, string item)
    {
        long at = Position;
        Require(length, item);
        try
        {
            if (length <= (ulong)(_count - _next))
            {
                string text = StrictUtf8.GetString(_buffer, _next, (int)length);
                _next += (int)length;
                return text;
            }
            return StrictUtf8.GetString(ReadBytes(length, item));
        }
        catch (DecoderFallbackException e)
        {
            throw new PickleFileException(_source.Name, "the text is not UTF-8", item, at, e);
        }
    }

    /// <summary>Text up to a line feed, which is passed over.</summary>
    public string ReadLine(int mostBytes, string item)
    {
        long at = Position;
        Span<byte> line = stackalloc byte[mostBytes];
        for (int length = 0; length < mostBytes; length++)
        {
            line[length] = ReadByte(item);
            if (line[length] != '\n')
            {
                continue;
            }
            try
            {
                return StrictUtf8.GetString(line[..length]);
            }
            catch (DecoderFallbackException e)
            {
                throw new PickleFileException(_source.Name, "the text is not UTF-8", item, at, e);
            }
        }
        throw new PickleFileException(_source.Name, $"the line is longer than {mostBytes} bytes", item, at);
    }

    public void Skip(long length, string item)
    {
        Require(length, item);
        long inBuffer = Math.Min(length, _count - _next);
        _next += (int)inBuffer;
        if (inBuffer < length)
        {
            _bufferStart += _count + (length - inBuffer);
            _next = _count = 0;
        }
    }

    private void Require(long length, string item) => Require((ulong)length, item);

    private void Require(ulong length, string item)
    {
        if (length > (ulong)Remaining || length > (ulong)Array.MaxLength)
        {
            throw new PickleFileException(_source.Name, $"asks for {length} bytes, but {_what} has only {Remaining} left", item, Position);
        }
    }

    private void Fill(string item, long least)
    {
        Require(least, item);
        _bufferStart += _count;
        _next = 0;
        _count = (int)Math.Min(_buffer.Length, _end - _bufferStart);
        _source.Read(_bufferStart, _buffer.AsSpan(0, _count));
    }
}
