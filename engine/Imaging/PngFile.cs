using System.Buffers.Binary;
using System.Text;

namespace GroupViT.Native.Imaging;

internal enum PngColorType
{
    Gray = 0,
    Rgb = 2,
    Palette = 3,
    GrayAlpha = 4,
    Rgba = 6,
}

/// <summary>
/// A PNG file's chunks, walked and checked (PNG specification, third edition, sections 5 and 11): order, lengths, checksums, and that
/// the compressed bytes can fill the declared raster. No pixel is decoded here and little is allocated: the chunks that are wanted, and 64 KiB.
/// </summary>
internal sealed class PngFile
{
    /// <summary>
    /// The most bytes one byte of a deflate stream can unfold to: a match of 258 bytes costs at least two bits (RFC 1951: a length
    /// code and a distance code of one bit each), so 4 * 258. A raster that needs more is a lie.
    /// </summary>
    private const int DeflateMaxRatio = 1032;

    private const int ChunkOverhead = 12;

    // The chunks whose bytes are wanted are short: 13, 768 and 256 bytes, and EXIF's, which JPEG bounds to 64 KiB.
    private const int MaxWanted = 1 << 20;

    private readonly string _name;
    private readonly PictureBytes _file;
    private readonly byte[] _buffer = new byte[1 << 16];

    private PngFile(PictureBytes file, string name) => (_file, _name) = (file, name);

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    public int Width { get; private set; }

    public int Height { get; private set; }

    /// <summary>Bits of one sample: 1, 2, 4, 8 or 16.</summary>
    public int BitDepth { get; private set; }

    public PngColorType ColorType { get; private set; }

    public bool Interlaced { get; private set; }

    /// <summary>Three bytes an entry; empty for pictures without a palette.</summary>
    public byte[] Palette { get; private set; } = [];

    /// <summary>The tRNS chunk: alpha per palette entry, or one transparent colour; empty if there is none.</summary>
    public byte[] Transparency { get; private set; } = [];

    /// <summary>EXIF orientation, 1 to 8.</summary>
    public int Orientation { get; private set; } = 1;

    /// <summary>Where in the file the pieces of the zlib stream lie.</summary>
    public List<(long Offset, int Length)> Data { get; } = [];

    public int BitsPerPixel => BitDepth * ColorType switch
    {
        PngColorType.Rgb => 3,
        PngColorType.GrayAlpha => 2,
        PngColorType.Rgba => 4,
        _ => 1,
    };

    /// <summary>Bytes of a row of <paramref name="width"/> pixels, without its filter byte.</summary>
    public int RowBytes(int width) => (int)((((long)width * BitsPerPixel) + 7) / 8);

    /// <summary>The passes with pixels in them: one, or Adam7's. Where each begins, how far apart its pixels are, and its size.</summary>
    public IEnumerable<(int X, int Y, int StepX, int StepY, int Width, int Height)> Passes()
    {
        ReadOnlySpan<(int X, int Y, int StepX, int StepY)> adam7 =
            [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
        ReadOnlySpan<(int X, int Y, int StepX, int StepY)> whole = [(0, 0, 1, 1)];
        List<(int, int, int, int, int, int)> passes = [];
        foreach ((int x, int y, int stepX, int stepY) in Interlaced ? adam7 : whole)
        {
            int width = (Width - x + stepX - 1) / stepX;
            int height = (Height - y + stepY - 1) / stepY;
            if (width > 0 && height > 0)
            {
                passes.Add((x, y, stepX, stepY, width, height));
            }
        }
        return passes;
    }

    public static PngFile Parse(byte[] file, string name, ImageDecodeOptions options) => Parse(PictureBytes.Of(file, name), name, options);

    public static PngFile Parse(PictureBytes file, string name, ImageDecodeOptions options)
    {
        PngFile png = new(file, name);
        png.Walk(options);
        return png;
    }

    private void Walk(ImageDecodeOptions options)
    {
        bool dataEnded = false, sawTransparency = false, sawPalette = false, sawExif = false;
        long position = Signature.Length;
        for (bool first = true; ; first = false)
        {
            (string type, int length, byte[] chunk) = ReadChunk(position);
            long at = position;
            position += (long)length + ChunkOverhead;
            if (first != (type == "IHDR"))
            {
                throw Bad(at, first ? $"the first chunk must be IHDR, not {type}" : "a second IHDR chunk");
            }
            dataEnded |= Data.Count > 0 && type != "IDAT";
            switch (type)
            {
                case "IHDR":
                    ReadHeader(chunk, at, options);
                    break;
                case "PLTE":
                    Require(!sawPalette && Data.Count == 0 && !sawTransparency, at, "PLTE must come once, before tRNS and IDAT");
                    sawPalette = true;
                    ReadPalette(chunk, at);
                    break;
                case "tRNS":
                    Require(!sawTransparency && Data.Count == 0, at, "tRNS must come once, before IDAT");
                    Require(ColorType != PngColorType.Palette || Palette.Length > 0, at, "tRNS must come after PLTE");
                    sawTransparency = true;
                    ReadTransparency(chunk, at);
                    break;
                case "eXIf":
                    Require(!sawExif, at, "a second eXIf chunk");
                    sawExif = true;
                    Orientation = Imaging.Orientation.Read(chunk);
                    break;
                case "IDAT":
                    Require(!dataEnded, at, "the IDAT chunks must follow each other");
                    Require(ColorType != PngColorType.Palette || Palette.Length > 0, at, "a palette picture without a PLTE chunk before its data");
                    Data.Add((at + 8, length));
                    break;
                case "IEND":
                    Require(Data.Count > 0, at, "no IDAT chunk, so no pixels");
                    CheckDataCanFillRaster();
                    return; // Whatever follows is no part of the picture.
                default:
                    // Bit 5 of the first letter: upper case means that no reader may skip it.
                    Require((type[0] & 0x20) != 0, at, $"the unknown critical chunk {type}");
                    break;
            }
        }
    }

    /// <summary>A chunk's length, and its bytes if it is one that is read here.</summary>
    private (string Type, int Length, byte[] Data) ReadChunk(long at)
    {
        long left = _file.Length - at;
        if (left < ChunkOverhead)
        {
            throw Bad(at, "the file ends before its IEND chunk: it is truncated");
        }
        Span<byte> head = stackalloc byte[8];
        _file.Read(at, head);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(head);
        ReadOnlySpan<byte> letters = head[4..];
        foreach (byte letter in letters)
        {
            if (!char.IsAsciiLetter((char)letter))
            {
                throw Bad(at, $"a chunk named {Convert.ToHexString(letters)}, which is not four letters: the file is damaged");
            }
        }
        string type = Encoding.ASCII.GetString(letters);
        if (length > Math.Min(left - ChunkOverhead, int.MaxValue))
        {
            throw Bad(at, $"the {type} chunk claims {length} bytes, but only {left - ChunkOverhead} are left: the file is truncated or damaged");
        }
        bool wanted = type is "IHDR" or "PLTE" or "tRNS" or "eXIf";
        if (wanted && length > MaxWanted)
        {
            throw Bad(at, $"a {type} chunk of {length} bytes, where {MaxWanted} would be many");
        }
        byte[] data = wanted ? new byte[length] : [];
        uint computed = Crc32.Append(0, letters);
        for (int done = 0; done < length;)
        {
            Span<byte> piece = wanted ? data : _buffer.AsSpan(0, (int)Math.Min(_buffer.Length, length - done));
            _file.Read(at + 8 + done, piece);
            computed = Crc32.Append(computed, piece);
            done += piece.Length;
        }
        Span<byte> checksum = stackalloc byte[4];
        _file.Read(at + 8 + length, checksum);
        uint stored = BinaryPrimitives.ReadUInt32BigEndian(checksum);
        return stored == computed
            ? (type, (int)length, data)
            : throw Bad(at, $"the checksum of the {type} chunk is {stored:X8}, but its bytes give {computed:X8}: the file is damaged");
    }

    private void ReadHeader(ReadOnlySpan<byte> chunk, long at, ImageDecodeOptions options)
    {
        Require(chunk.Length == 13, at, $"an IHDR chunk of {chunk.Length} bytes instead of 13");
        uint width = BinaryPrimitives.ReadUInt32BigEndian(chunk);
        uint height = BinaryPrimitives.ReadUInt32BigEndian(chunk[4..]);
        options.CheckSize(_name, width, height);
        (int depth, int color) = (chunk[8], chunk[9]);
        bool valid = color switch
        {
            0 => depth is 1 or 2 or 4 or 8 or 16,
            3 => depth is 1 or 2 or 4 or 8,
            2 or 4 or 6 => depth is 8 or 16,
            _ => false,
        };
        Require(valid, at, $"colour type {color} with {depth} bits a sample, which PNG does not have");
        Require(chunk[10] == 0, at, $"compression method {chunk[10]}, but PNG knows only 0");
        Require(chunk[11] == 0, at, $"filter method {chunk[11]}, but PNG knows only 0");
        Require(chunk[12] <= 1, at, $"interlace method {chunk[12]}, but PNG knows only 0 and 1");
        (Width, Height, BitDepth, ColorType, Interlaced) = ((int)width, (int)height, depth, (PngColorType)color, chunk[12] == 1);
    }

    private void ReadPalette(ReadOnlySpan<byte> chunk, long at)
    {
        Require(chunk.Length is > 0 and <= 768 && chunk.Length % 3 == 0, at, $"a palette of {chunk.Length} bytes, which is not 1 to 256 colours of three");
        Require(ColorType is not (PngColorType.Gray or PngColorType.GrayAlpha), at, "a palette in a grey picture");
        if (ColorType == PngColorType.Palette)
        {
            Require(chunk.Length / 3 <= 1 << BitDepth, at, $"a palette of {chunk.Length / 3} colours, but {BitDepth} bits reach only {1 << BitDepth}");
            Palette = chunk.ToArray();
        }
    }

    private void ReadTransparency(ReadOnlySpan<byte> chunk, long at)
    {
        bool valid = ColorType switch
        {
            PngColorType.Gray => chunk.Length == 2,
            PngColorType.Rgb => chunk.Length == 6,
            PngColorType.Palette => chunk.Length <= Palette.Length / 3,
            _ => false,
        };
        Require(valid, at, $"a tRNS chunk of {chunk.Length} bytes, which does not fit colour type {(int)ColorType}");
        Transparency = chunk.ToArray();
    }

    private void CheckDataCanFillRaster()
    {
        long raw = 0, compressed = 0;
        foreach ((_, _, _, _, int width, int height) in Passes())
        {
            raw += (long)height * (RowBytes(width) + 1);
        }
        foreach ((_, int length) in Data)
        {
            compressed += length;
        }
        if (raw > compressed * DeflateMaxRatio)
        {
            throw new ImageFileException(_name, $"declares {Width} x {Height} pixels ({raw} bytes), but its {compressed} compressed bytes cannot unfold to more than {compressed * DeflateMaxRatio}");
        }
    }

    private void Require(bool condition, long at, string problem)
    {
        if (!condition)
        {
            throw Bad(at, problem);
        }
    }

    private ImageFileException Bad(long at, string problem) => new(_name, $"PNG, byte {at}: {problem}");
}
