using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace GroupViT.Native.Weights;

/// <summary>Writes the elements from <paramref name="firstElement"/> on (row-major) into <paramref name="destination"/>, all of it.</summary>
internal delegate void TensorFill<T>(long firstElement, Span<T> destination);

/// <summary>A tensor to be written: its values are asked for in order, a chunk at a time, while the file is written.</summary>
internal sealed class TensorToWrite
{
    private TensorToWrite(string name, SafetensorsType type, ReadOnlySpan<int> shape)
    {
        Name = name;
        Type = type;
        Shape = shape.ToArray();
        ElementCount = 1;
        foreach (int size in Shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(size, nameof(shape));
            ElementCount = checked(ElementCount * size);
        }
        ByteLength = checked(ElementCount * (type.Bits() / 8));
    }

    public string Name { get; }

    public SafetensorsType Type { get; }

    public int[] Shape { get; }

    public long ElementCount { get; }

    public long ByteLength { get; }

    public TensorFill<float>? FillFloats { get; private init; }

    public TensorFill<int>? FillIntegers { get; private init; }

    public TensorFill<byte>? FillBytes { get; private init; }

    /// <summary>A tensor of F32, F16 or BF16; the narrower two are rounded to nearest, ties to even.</summary>
    public static TensorToWrite OfFloats(string name, SafetensorsType type, ReadOnlySpan<int> shape, TensorFill<float> fill)
        => type is SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16
            ? new(name, type, shape) { FillFloats = fill }
            : throw new ArgumentException($"{name}: numbers are written as F32, F16 or BF16, not {type}", nameof(type));

    /// <summary>A tensor of I32 or I64.</summary>
    public static TensorToWrite OfIntegers(string name, SafetensorsType type, ReadOnlySpan<int> shape, TensorFill<int> fill)
        => type is SafetensorsType.I32 or SafetensorsType.I64
            ? new(name, type, shape) { FillIntegers = fill }
            : throw new ArgumentException($"{name}: whole numbers are written as I32 or I64, not {type}", nameof(type));

    /// <summary>A tensor of any type of whole bytes, its elements little-endian as they shall stand in the file; asked for as bytes of whole elements.</summary>
    public static TensorToWrite OfBytes(string name, SafetensorsType type, ReadOnlySpan<int> shape, TensorFill<byte> fill)
        => type.Bits() % 8 == 0
            ? new(name, type, shape) { FillBytes = fill }
            : throw new ArgumentException($"{name}: elements of {type} are no whole bytes", nameof(type));
}

/// <summary>
/// Writes safetensors files in bounded memory: the header, then each tensor through one chunk buffer. The header is padded with
/// spaces to a multiple of 8 bytes, so that the data section is aligned.
/// </summary>
internal static class SafetensorsWriter
{
    private const int ChunkElements = 16_384;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// The reference's order: widest elements first, so that every tensor is aligned to its element, then by name. A file
    /// written in this order has the same bytes as the reference's.
    /// </summary>
    public static IEnumerable<TensorToWrite> InReferenceOrder(IEnumerable<TensorToWrite> tensors)
        => tensors.OrderByDescending(t => t.Type).ThenBy(t => t.Name, StringComparer.Ordinal);

    /// <summary>Writes into a file that appears under its name only when it is whole; an existing one is replaced then.</summary>
    /// <exception cref="NumericalException">A finite value is too large for the tensor's type.</exception>
    public static void Write(string path, IReadOnlyCollection<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata = null)
        => AtomicFile.Write(path, stream => Write(stream, tensors, metadata));

    /// <summary>Writes the tensors in the order given, from the stream's position on.</summary>
    /// <exception cref="ArgumentException">Names that are empty, double, too long, too many or no valid Unicode for <see cref="SafetensorsHeader"/> to read back.</exception>
    /// <exception cref="NumericalException">A finite value is too large for the tensor's type.</exception>
    public static void Write(Stream stream, IReadOnlyCollection<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        byte[] header = Header(tensors, metadata);
        Span<byte> prefix = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.Length);
        stream.Write(prefix);
        stream.Write(header);
        byte[] bytes = new byte[ChunkElements * sizeof(long)];
        float[] floats = new float[ChunkElements];
        int[] integers = new int[ChunkElements];
        foreach (TensorToWrite tensor in tensors)
        {
            for (long first = 0; first < tensor.ElementCount; first += ChunkElements)
            {
                int count = (int)Math.Min(ChunkElements, tensor.ElementCount - first);
                int length;
                if (tensor.FillBytes is not null)
                {
                    length = count * (tensor.Type.Bits() / 8);
                    tensor.FillBytes(first, bytes.AsSpan(0, length));
                }
                else if (tensor.FillFloats is not null)
                {
                    tensor.FillFloats(first, floats.AsSpan(0, count));
                    length = Encode(tensor, first, floats.AsSpan(0, count), bytes);
                }
                else
                {
                    tensor.FillIntegers!(first, integers.AsSpan(0, count));
                    length = Encode(tensor.Type, integers.AsSpan(0, count), bytes);
                }
                stream.Write(bytes, 0, length);
            }
        }
    }

    private static byte[] Header(IReadOnlyCollection<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        if (tensors.Count > SafetensorsHeader.MaxTensors || metadata?.Count > SafetensorsHeader.MaxMetadataEntries)
        {
            throw new ArgumentException($"at most {SafetensorsHeader.MaxTensors} tensors and {SafetensorsHeader.MaxMetadataEntries} metadata entries can be written");
        }
        var names = new HashSet<string>(StringComparer.Ordinal);
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                writer.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata)
                {
                    writer.WriteString(WellFormed(key), WellFormed(value));
                }
                writer.WriteEndObject();
            }
            long offset = 0;
            foreach (TensorToWrite tensor in tensors)
            {
                if (tensor.Name.Length is 0 or > SafetensorsHeader.MaxNameLength || tensor.Name == "__metadata__" || tensor.Shape.Length > SafetensorsHeader.MaxRank)
                {
                    throw new ArgumentException($"'{SafetensorsHeader.Shorten(tensor.Name)}' cannot be written: names have 1 to {SafetensorsHeader.MaxNameLength} characters and are not __metadata__; shapes have at most {SafetensorsHeader.MaxRank} axes");
                }
                if (!names.Add(tensor.Name))
                {
                    throw new ArgumentException($"two tensors are named '{SafetensorsHeader.Shorten(tensor.Name)}'");
                }
                writer.WriteStartObject(WellFormed(tensor.Name));
                writer.WriteString("dtype"u8, tensor.Type.ToString());
                writer.WriteStartArray("shape"u8);
                foreach (int size in tensor.Shape)
                {
                    writer.WriteNumberValue(size);
                }
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets"u8);
                writer.WriteNumberValue(offset);
                offset = checked(offset + tensor.ByteLength);
                writer.WriteNumberValue(offset);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        while (json.Length % 8 != 0)
        {
            json.WriteByte((byte)' ');
        }
        return json.Length <= SafetensorsHeader.MaxLength
            ? json.ToArray()
            : throw new ArgumentException($"the header would take {json.Length} bytes; at most {SafetensorsHeader.MaxLength} are allowed");
    }

    /// <summary>The JSON writer would put U+FFFD for half a surrogate pair, and the name would be another one when read back.</summary>
    private static string WellFormed(string text)
    {
        try
        {
            StrictUtf8.GetByteCount(text);
            return text;
        }
        catch (EncoderFallbackException e)
        {
            throw new ArgumentException($"'{SafetensorsHeader.Shorten(text)}' is no valid Unicode and cannot be written: half a surrogate pair at {e.Index}", e);
        }
    }

    private static int Encode(TensorToWrite tensor, long first, ReadOnlySpan<float> values, Span<byte> bytes)
    {
        if (tensor.Type == SafetensorsType.F32)
        {
            for (int i = 0; i < values.Length; i++)
            {
                BinaryPrimitives.WriteSingleLittleEndian(bytes[(i * sizeof(float))..], values[i]);
            }
            return values.Length * sizeof(float);
        }
        for (int i = 0; i < values.Length; i++)
        {
            ushort bits = tensor.Type == SafetensorsType.F16 ? BitConverter.HalfToUInt16Bits((Half)values[i]) : NarrowFloats.ToBFloat16(values[i]);
            bool infinite = (bits & 0x7FFF) == (tensor.Type == SafetensorsType.F16 ? 0x7C00 : 0x7F80);
            if (infinite && float.IsFinite(values[i]))
            {
                throw new NumericalException(FormattableString.Invariant($"element {first + i} of {tensor.Name} is {values[i]}, which {tensor.Type} cannot hold; write it as F32"));
            }
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[(i * sizeof(ushort))..], bits);
        }
        return values.Length * sizeof(ushort);
    }

    private static int Encode(SafetensorsType type, ReadOnlySpan<int> values, Span<byte> bytes)
    {
        if (type == SafetensorsType.I32)
        {
            for (int i = 0; i < values.Length; i++)
            {
                BinaryPrimitives.WriteInt32LittleEndian(bytes[(i * sizeof(int))..], values[i]);
            }
            return values.Length * sizeof(int);
        }
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes[(i * sizeof(long))..], values[i]);
        }
        return values.Length * sizeof(long);
    }
}
