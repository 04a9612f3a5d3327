using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;

namespace GroupViT.Native.Weights;

/// <summary>
/// The header of a safetensors file: 8 bytes little-endian length, then JSON of that length, then the tensors' bytes without gap or
/// overlap up to the file's end. Everything is checked here, before a tensor is read; what the reference
/// (safetensors, <c>tensor.rs</c>) refuses is refused, and beyond it duplicate names, integers not written as plain digits,
/// unknown tensor fields and sizes above the caps below. Like the reference (and unlike the format's prose) it accepts JSON
/// white space before and after the object.
/// </summary>
/// <remarks>
/// The header is read with <see cref="Utf8JsonReader"/> rather than a <see cref="JsonDocument"/>: a document keeps 12 bytes per
/// token in a table that grows by doubling, which a header of <c>[0,0,0,...</c> turns into more than ten times its size. Here a
/// hostile header costs itself, two bytes per character of its names, and at most 224 bytes per tensor of at least
/// <see cref="SmallestTensorText"/> bytes: below 8 times its length.
/// </remarks>
internal sealed class SafetensorsHeader
{
    /// <summary>The reference's cap on the header, reading and writing.</summary>
    public const int MaxLength = 100_000_000;

    public const int MaxTensors = 262_144;
    public const int MaxNameLength = 1024;
    public const int MaxRank = 64;
    public const int MaxMetadataEntries = 4096;

    private const int LengthPrefix = 8;
    private const int MaxDepth = 8;

    // "a":{"dtype":"U8","shape":[],"data_offsets":[0,0]},
    private const int SmallestTensorText = 51;

    private readonly string _file;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private readonly Dictionary<string, SafetensorsEntry> _tensors;
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);
    private readonly long[] _shape = new long[MaxRank];
    private bool _hasMetadata;

    private SafetensorsHeader(string file, int length, long fileLength)
    {
        _file = file;
        Length = length;
        _dataStart = LengthPrefix + length;
        _dataLength = fileLength - _dataStart;
        _tensors = new(Math.Min(length / SmallestTensorText + 1, MaxTensors), StringComparer.Ordinal);
    }

    /// <summary>Bytes of JSON.</summary>
    public int Length { get; }

    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _tensors;

    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Reads and checks the header of the file behind <paramref name="source"/>.</summary>
    /// <exception cref="ModelFileException">Any way in which the file is not a safetensors file; with the byte where it shows.</exception>
    public static SafetensorsHeader Read(ByteSource source)
    {
        long fileLength = source.Length;
        if (fileLength < LengthPrefix)
        {
            throw new ModelFileException(source.Name, $"is {fileLength} bytes long; a safetensors file begins with the 8 bytes of its header's length");
        }
        Span<byte> prefix = stackalloc byte[LengthPrefix];
        source.Read(0, prefix);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxLength)
        {
            throw new ModelFileException(source.Name, $"claims a header of {length} bytes; at most {MaxLength} are allowed (is this a safetensors file?)", offset: 0);
        }
        if ((long)length > fileLength - LengthPrefix)
        {
            throw new ModelFileException(source.Name, $"claims a header of {length} bytes, but only {fileLength - LengthPrefix} follow: truncated, or not a safetensors file", offset: 0);
        }
        byte[] json = GC.AllocateUninitializedArray<byte>((int)length);
        source.Read(LengthPrefix, json);
        // The JSON reader notices bad UTF-8 only when a string is asked for, and then not as a JSON error.
        if (!Utf8.IsValid(json))
        {
            throw new ModelFileException(source.Name, "the header is not UTF-8", offset: LengthPrefix);
        }
        var header = new SafetensorsHeader(source.Name, json.Length, fileLength);
        header.Parse(json);
        header.CheckDataSection();
        return header;
    }

    private void Parse(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth, CommentHandling = JsonCommentHandling.Disallow });
        try
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                throw Error(ref reader, "the header must be a JSON object");
            }
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string name = ReadName(ref reader);
                reader.Read();
                if (name == "__metadata__")
                {
                    ParseMetadata(ref reader);
                }
                else
                {
                    ParseTensor(ref reader, name);
                }
            }
            // Reads past the closing brace, where only white space may be.
            reader.Read();
        }
        catch (JsonException e)
        {
            throw new ModelFileException(_file, $"the header is not JSON: {JsonProblem.Of(e)}", offset: LengthPrefix + reader.BytesConsumed, inner: e);
        }
        catch (InvalidOperationException e)
        {
            // An escaped half of a surrogate pair: JSON by its grammar, but no text.
            throw new ModelFileException(_file, $"a name or text in the header is no valid Unicode: {JsonProblem.Of(e)}", offset: LengthPrefix + reader.BytesConsumed, inner: e);
        }
    }

    private string ReadName(ref Utf8JsonReader reader)
    {
        // Six bytes (\u0041) is the longest that one UTF-16 unit can be written as.
        if (reader.ValueSpan.Length > 6 * MaxNameLength)
        {
            throw Error(ref reader, $"a name is longer than {MaxNameLength} characters");
        }
        string name = reader.GetString()!;
        if (name.Length == 0)
        {
            throw Error(ref reader, "a name is empty");
        }
        return name.Length <= MaxNameLength ? name : throw Error(ref reader, $"a name is {name.Length} characters long; at most {MaxNameLength} are allowed");
    }

    private void ParseMetadata(ref Utf8JsonReader reader)
    {
        if (_hasMetadata)
        {
            throw Error(ref reader, "is there twice", "__metadata__");
        }
        _hasMetadata = true;
        if (reader.TokenType == JsonTokenType.Null)
        {
            return;
        }
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw Error(ref reader, "must be an object of strings", "__metadata__");
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                throw Error(ref reader, $"the value of '{Shorten(key)}' must be a string, not {Kind(reader.TokenType)}", "__metadata__");
            }
            if (_metadata.Count == MaxMetadataEntries)
            {
                throw Error(ref reader, $"holds more than {MaxMetadataEntries} entries", "__metadata__");
            }
            if (!_metadata.TryAdd(key, reader.GetString()!))
            {
                throw Error(ref reader, $"the key '{Shorten(key)}' is there twice", "__metadata__");
            }
        }
    }

    private void ParseTensor(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw Error(ref reader, $"must be an object with dtype, shape and data_offsets, not {Kind(reader.TokenType)}", name);
        }
        long position = LengthPrefix + reader.TokenStartIndex;
        SafetensorsType? type = null;
        int rank = -1;
        (ulong Begin, ulong End)? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("dtype"u8))
            {
                Refuse(ref reader, name, "dtype", type is not null);
                type = ParseType(ref reader, name);
            }
            else if (reader.ValueTextEquals("shape"u8))
            {
                Refuse(ref reader, name, "shape", rank >= 0);
                rank = ParseShape(ref reader, name);
            }
            else if (reader.ValueTextEquals("data_offsets"u8))
            {
                Refuse(ref reader, name, "data_offsets", offsets is not null);
                offsets = ParseOffsets(ref reader, name);
            }
            else
            {
                // The reference skips fields that it does not know. One that changed how the bytes are to be read (a stride, a
                // scale) would then give wrong weights without a word.
                throw Error(ref reader, $"has the unknown field '{Shorten(reader.GetString()!)}'; a tensor has dtype, shape and data_offsets", name);
            }
        }
        if (type is null || rank < 0 || offsets is null)
        {
            string missing = type is null ? "dtype" : rank < 0 ? "shape" : "data_offsets";
            throw new ModelFileException(_file, $"has no field '{missing}'", Shorten(name), position);
        }
        if (_tensors.Count == MaxTensors)
        {
            throw new ModelFileException(_file, $"holds more than {MaxTensors} tensors", offset: position);
        }
        if (!_tensors.TryAdd(name, CheckedEntry(name, type.Value, _shape.AsSpan(0, rank), offsets.Value, position)))
        {
            throw new ModelFileException(_file, "is there twice; every tensor's name must be unique", Shorten(name), position);
        }
    }

    private void Refuse(ref Utf8JsonReader reader, string name, string field, bool duplicate)
    {
        if (duplicate)
        {
            throw Error(ref reader, $"the field '{field}' is there twice", name);
        }
        reader.Read();
    }

    private SafetensorsType ParseType(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.String)
        {
            throw Error(ref reader, $"dtype must be a string, not {Kind(reader.TokenType)}", name);
        }
        return SafetensorsTypes.TryParse(ref reader, out SafetensorsType type)
            ? type
            : throw Error(ref reader, $"unknown dtype '{Shorten(reader.GetString()!)}'", name);
    }

    private int ParseShape(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw Error(ref reader, $"shape must be an array of sizes, not {Kind(reader.TokenType)}", name);
        }
        int rank = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (rank == MaxRank)
            {
                throw Error(ref reader, $"shape has more than {MaxRank} axes", name);
            }
            ulong size = ParseInteger(ref reader, name, "shape");
            _shape[rank++] = size <= long.MaxValue ? (long)size : throw Error(ref reader, $"the size {size} in shape is not below 2^63", name);
        }
        return rank;
    }

    private (ulong Begin, ulong End) ParseOffsets(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw Error(ref reader, $"data_offsets must be an array [begin, end], not {Kind(reader.TokenType)}", name);
        }
        reader.Read();
        ulong begin = ParseInteger(ref reader, name, "data_offsets");
        reader.Read();
        ulong end = ParseInteger(ref reader, name, "data_offsets");
        reader.Read();
        return reader.TokenType == JsonTokenType.EndArray ? (begin, end) : throw Error(ref reader, "data_offsets has more than two entries", name);
    }

    private ulong ParseInteger(ref Utf8JsonReader reader, string name, string field)
    {
        // TryGetUInt64 takes plain digits only: -0, 1.0 and 1e1 are refused, as the reference does.
        if (reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out ulong value))
        {
            return value;
        }
        string found = reader.TokenType == JsonTokenType.Number ? Shorten(System.Text.Encoding.UTF8.GetString(Head(reader.ValueSpan))) : Kind(reader.TokenType);
        throw Error(ref reader, $"{field} must hold whole numbers from 0 to 2^64-1 written as plain digits, not {found}", name);
    }

    private SafetensorsEntry CheckedEntry(string name, SafetensorsType type, ReadOnlySpan<long> shape, (ulong Begin, ulong End) offsets, long position)
    {
        (ulong begin, ulong end) = offsets;
        if (end < begin)
        {
            throw new ModelFileException(_file, $"data_offsets [{begin},{end}] end before they begin", Shorten(name), position);
        }
        if (end > (ulong)_dataLength)
        {
            throw new ModelFileException(_file, $"data_offsets [{begin},{end}] reach past the data section of {_dataLength} bytes (truncated file?)", Shorten(name), position);
        }
        ulong elements = 1, bits;
        try
        {
            // Left to right and without looking for a zero first, exactly as the reference multiplies.
            foreach (long size in shape)
            {
                elements = checked(elements * (ulong)size);
            }
            bits = checked(elements * (ulong)type.Bits());
        }
        catch (OverflowException)
        {
            throw new ModelFileException(_file, $"the size of shape {SafetensorsEntry.ShapeToText(shape)} in {type} overflows 64 bits", Shorten(name), position);
        }
        if (bits % 8 != 0)
        {
            throw new ModelFileException(_file, $"{elements} elements of {type} ({type.Bits()} bits each) do not end on a whole byte", Shorten(name), position);
        }
        if (bits / 8 != end - begin)
        {
            throw new ModelFileException(_file, $"shape {SafetensorsEntry.ShapeToText(shape)} in {type} takes {bits / 8} bytes, but data_offsets [{begin},{end}] hold {end - begin}", Shorten(name), position);
        }
        return new SafetensorsEntry(name, type, shape.IsEmpty ? [] : shape.ToArray(), (long)elements, _dataStart + (long)begin, (long)(end - begin));
    }

    private void CheckDataSection()
    {
        var ordered = new SafetensorsEntry[_tensors.Count];
        _tensors.Values.CopyTo(ordered, 0);
        Array.Sort(ordered, static (a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.ByteLength.CompareTo(b.ByteLength));
        long expected = _dataStart;
        foreach (SafetensorsEntry entry in ordered)
        {
            if (entry.Offset != expected)
            {
                string problem = entry.Offset > expected
                    ? $"leaves a gap of {entry.Offset - expected} bytes before it"
                    : $"overlaps the tensor before it by {expected - entry.Offset} bytes";
                throw new ModelFileException(_file, $"{problem}; tensors must follow one another from offset 0", Shorten(entry.Name), entry.Offset);
            }
            expected += entry.ByteLength;
        }
        long end = _dataStart + _dataLength;
        if (expected != end)
        {
            throw new ModelFileException(_file, $"{end - expected} bytes follow the last tensor; the file must end with it", offset: expected);
        }
    }

    private ModelFileException Error(ref Utf8JsonReader reader, string problem, string? item = null)
        => new(_file, problem, item is null ? null : Shorten(item), LengthPrefix + reader.TokenStartIndex);

    private static ReadOnlySpan<byte> Head(ReadOnlySpan<byte> text) => text.Length <= 128 ? text : text[..128];

    /// <summary>Names come from the file: a message shows at most this much of one.</summary>
    internal static string Shorten(string text) => text.Length <= 120 ? text : string.Concat(text.AsSpan(0, 120), "...");

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "true or false",
        JsonTokenType.Null => "null",
        _ => "nothing",
    };
}
