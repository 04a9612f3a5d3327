using System.Buffers.Binary;
using System.Text;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Fuzz.Targets;

/// <summary>A safetensors file: opened, and a piece of every tensor read.</summary>
internal sealed class SafetensorsTarget : FuzzTarget
{
    private const int Prefix = 8;

    private static readonly string[] Types = Enum.GetNames<SafetensorsType>();

    private static readonly string[] Words =
    [
        "\"__metadata__\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"format\"", "\"strides\"", "[0,0]", "[0,4]", "[4,0]", "[4294967296,4294967296]", "[]",
        "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", .. Types.Select(type => $"\"{type}\""),
    ];

    private static readonly byte[][] Bytes = [.. Words.Select(Encoding.UTF8.GetBytes)];

    public override string Name => "safetensors";

    public override IReadOnlyList<string> Stages { get; } = ["refused: the header's length", "refused: the header is no JSON object", "refused: what the header says", "accepted"];

    public override int FirstStagePastHeader => 2;

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(8) == 0)
        {
            return ByteMutator.Mutate(random, parent, other, Bytes);
        }
        if (random.Next(5) == 0)
        {
            parent = RandomFile(random);
        }
        (byte[] header, byte[] data) = Split(parent);
        header = JsonMutator.Mutate(random, header, Split(other).Header, Words);
        if (random.Next(8) == 0)
        {
            data = data[..random.Next(data.Length + 1)];
        }
        byte[] file = [.. new byte[Prefix], .. header, .. data];
        BinaryPrimitives.WriteInt64LittleEndian(file, random.Next(40) == 0 ? header.Length + random.Next(-9, 10) : header.Length);
        return file;
    }

    public override void Parse(byte[] input)
    {
        using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(input), "mutant");
        Span<byte> bytes = stackalloc byte[64];
        Span<float> numbers = stackalloc float[16];
        Span<int> integers = stackalloc int[16];
        long covered = Prefix + file.HeaderLength;
        foreach (SafetensorsEntry entry in file.Tensors.Values)
        {
            covered += entry.ByteLength;
            Require(entry.ElementCount >= 0 && (Int128)entry.ElementCount * entry.Type.Bits() == (Int128)entry.ByteLength * 8, "a tensor whose size is not shape times dtype");
            int count = (int)Math.Min(numbers.Length, entry.ElementCount);
            file.ReadBytes(entry, Math.Max(0, entry.ByteLength - bytes.Length), bytes[..(int)Math.Min(bytes.Length, entry.ByteLength)]);
            if (entry.Type.ReadsAsFloat32())
            {
                file.ReadFloat32(entry, entry.ElementCount - count, numbers[..count]);
            }
            else if (entry.Type is SafetensorsType.I32)
            {
                file.ReadInt32(entry, 0, integers[..count]);
            }
        }
        Require(JsonTarget.CountNames(input.AsSpan(Prefix, file.HeaderLength), 1) - file.Tensors.Count is 0 or 1, "a tensor was dropped or taken twice");
        Require(covered == input.Length, "bytes of the file that belong to no tensor, or to two");
    }

    public override bool IsRefusal(Exception exception) => exception is ModelFileException;

    /// <summary>The parser's own bound: eight times the header; 64 KiB instead of its mebibyte, which is for nothing but fixed costs.</summary>
    public override long AllocationBound(byte[] input) => (64L << 10) + 8L * Split(input).Header.Length;

    public override int Stage(byte[] input, Exception? refusal)
    {
        if (refusal is null)
        {
            return 3;
        }
        if (input.Length < Prefix || BinaryPrimitives.ReadUInt64LittleEndian(input) > (ulong)(input.Length - Prefix))
        {
            return 0;
        }
        return JsonTarget.IsJsonObject(Split(input).Header) ? 2 : 1;
    }

    public override string Kind(Exception refusal)
    {
        ModelFileException error = (ModelFileException)refusal;
        return error.Item is null ? error.Message : error.Message.Replace(error.Item, "", StringComparison.Ordinal);
    }

    /// <summary>Header and data as the length says; where it says nothing possible, all is header.</summary>
    private static (byte[] Header, byte[] Data) Split(byte[] file)
    {
        if (file.Length < Prefix)
        {
            return (file, []);
        }
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(file);
        int header = length <= (ulong)(file.Length - Prefix) ? (int)length : file.Length - Prefix;
        return (file[Prefix..(Prefix + header)], file[(Prefix + header)..]);
    }

    /// <summary>A valid file of a few tensors of any type and rank.</summary>
    private static byte[] RandomFile(Random random)
    {
        StringBuilder header = new("{");
        long offset = 0;
        for (int tensors = random.Next(4); tensors >= 0; tensors--)
        {
            string type = Types[random.Next(Types.Length)];
            long bits = Enum.Parse<SafetensorsType>(type).Bits();
            List<int> shape = [.. Enumerable.Range(0, random.Next(4)).Select(_ => random.Next(5))];
            if (bits < 8)
            {
                shape.Add(4);
            }
            long end = offset + shape.Aggregate(bits, (product, size) => product * size) / 8;
            header.Append(header.Length > 1 ? "," : "").Append($$"""
                "{{(char)('a' + tensors)}}":{"dtype":"{{type}}","shape":[{{string.Join(',', shape)}}],"data_offsets":[{{offset}},{{end}}]}
                """);
            offset = end;
        }
        byte[] json = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        byte[] file = [.. new byte[Prefix], .. json, .. new byte[offset]];
        BinaryPrimitives.WriteInt64LittleEndian(file, json.Length);
        return file;
    }
}
