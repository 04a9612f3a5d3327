using System.Text;

namespace GroupViT.Native.Text;

/// <summary>
/// The lines of a UTF-8 file that may be hostile (or the inside of a gzip that unpacks to terabytes): bytes, lines and the
/// length of a line are capped while reading, before anything grows. LF or CRLF; a byte order mark at the start is skipped.
/// </summary>
internal sealed class BoundedLines
{
    public const long MaxBytes = 64L << 20;
    public const int MaxLines = 1_000_000;
    public const int MaxLineBytes = 4096;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly Stream _stream;
    private readonly string _name;
    private readonly byte[] _buffer = new byte[16 << 10];
    private readonly byte[] _line = new byte[MaxLineBytes];
    private int _at, _filled;
    private long _read;

    /// <summary>The stream stays the caller's.</summary>
    public BoundedLines(Stream stream, string name)
    {
        _stream = stream;
        _name = name;
    }

    /// <summary>The number of the line that <see cref="Next"/> gave last, counted from 1.</summary>
    public int Number { get; private set; }

    /// <summary>The next line without its end, or null behind the last.</summary>
    public string? Next()
    {
        int length = 0;
        bool any = false;
        while (true)
        {
            if (_at == _filled && !Fill())
            {
                break;
            }
            if (!any)
            {
                any = true;
                if (++Number > MaxLines)
                {
                    throw Error($"the file has more than {MaxLines} lines");
                }
            }
            byte value = _buffer[_at++];
            if (value == (byte)'\n')
            {
                break;
            }
            if (length == MaxLineBytes)
            {
                throw Error($"the line is longer than {MaxLineBytes} bytes");
            }
            _line[length++] = value;
        }
        return any ? Text(length) : null;
    }

    /// <summary>Reads to the end without looking at it and gives the length of the whole: a gzip's checksum stands at its end, and lines before it may be damaged.</summary>
    public long Drain()
    {
        while (Fill())
        {
        }
        return _read;
    }

    /// <summary>An error at the current line.</summary>
    public ModelFileException Error(string problem, Exception? inner = null) => new(_name, problem, $"line {Number}", inner: inner);

    private string Text(int length)
    {
        ReadOnlySpan<byte> bytes = _line.AsSpan(0, length);
        if (bytes.EndsWith("\r"u8))
        {
            bytes = bytes[..^1];
        }
        if (Number == 1 && bytes.StartsWith("\uFEFF"u8))
        {
            bytes = bytes[3..];
        }
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException error)
        {
            throw Error("the line is not UTF-8", error);
        }
    }

    private bool Fill()
    {
        try
        {
            _filled = _stream.Read(_buffer);
        }
        catch (InvalidDataException error)
        {
            throw new ModelFileException(_name, "the compressed data is damaged; a gzip file was expected", inner: error);
        }
        catch (IOException error)
        {
            throw new ModelFileException(_name, $"the file cannot be read ({error.Message})", inner: error);
        }
        _at = 0;
        _read += _filled;
        if (_read > MaxBytes)
        {
            throw new ModelFileException(_name, $"the text is longer than {MaxBytes >> 20} MiB", offset: MaxBytes);
        }
        return _filled > 0;
    }
}
