using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Fuzz.Targets;

/// <summary>A saved label bank: safetensors whose metadata hold JSON. Its header is that of the file, which most mutants keep valid.</summary>
internal sealed class LabelBankTarget : FuzzTarget
{
    private static readonly string[] Keys = ["format", "fingerprint", "labels", "templates", "normalization", "background"];

    private static readonly string[] Values = ["", "true", "false", "[]", "[null]", "[\"\"]", "[\"\\ud800\"]", "[\"a\",\"a\"]", "[\"background\",\"a\"]", "{}", "null", "OpenAI", "HuggingFace", "0", "1", "-1", "99", "GroupViT.Native label bank 1"];

    private readonly SafetensorsTarget _file = new();

    public override string Name => "label-bank";

    public override IReadOnlyList<string> Stages { get; } = ["refused: no safetensors file", "refused: no label bank", "accepted"];

    public override int FirstStagePastHeader => 1;

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(5) == 0 || Read(parent) is not var (metadata, shape, data))
        {
            return _file.Mutate(random, parent, other);
        }
        for (int changes = random.Next(1, 3); changes > 0; changes--)
        {
            string key = Keys[random.Next(Keys.Length)];
            switch (random.Next(6))
            {
                case 0:
                    metadata[key] = Values[random.Next(Values.Length)];
                    break;
                case 1:
                    metadata.Remove(key);
                    break;
                case 2 or 3 when metadata.TryGetValue(key, out string? value):
                    metadata[key] = Encoding.UTF8.GetString(JsonMutator.Mutate(random, Encoding.UTF8.GetBytes(value), "[\"a\",\"b\"]"u8.ToArray(), ["\"background\"", "\"a\""]));
                    break;
                case 4 when data.Length > 0:
                    data = ByteMutator.Mutate(random, data, [], []);
                    data = data[..(data.Length / 4 * 4)];
                    shape = [shape[0], shape[0] == 0 ? 0 : data.Length / 4 / shape[0]];
                    data = data[..(int)(4 * shape[0] * shape[1])];
                    break;
                case 5:
                    shape = random.Next(3) switch
                    {
                        0 => [shape[1], shape[0]],
                        1 => [shape[0] * shape[1]],
                        _ => [1, shape[0] * shape[1]],
                    };
                    if (shape.Length == 1)
                    {
                        changes = 0;
                    }
                    break;
            }
        }
        return Write(metadata, shape, data);
    }

    public override void Parse(byte[] input)
    {
        using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(input), "mutant");
        LabelBank bank = LabelBank.Read(file);
        Require(bank.Embeddings.Length == (bank.Labels.Count - (bank.HasBackground ? 1 : 0)) * bank.Width && bank.Count >= 1, "embeddings that do not fit the labels");
        Require(bank.Embeddings.All(float.IsFinite), "embeddings that are not finite");
        Require(bank.Templates.All(template => template is not null), "a template that is null");
    }

    public override bool IsRefusal(Exception exception) => exception is ModelFileException;

    /// <summary>The safetensors header's bound, the embeddings (eight bytes for a byte at most, in four-bit types that are refused), and the lists in the metadata.</summary>
    public override long AllocationBound(byte[] input) => (128L << 10) + 100L * input.Length;

    public override int Stage(byte[] input, Exception? refusal)
    {
        if (refusal is null)
        {
            return 2;
        }
        try
        {
            SafetensorsFile.Open(new MemoryStream(input), "mutant").Dispose();
            return 1;
        }
        catch (ModelFileException)
        {
            return 0;
        }
    }

    private static (Dictionary<string, string> Metadata, long[] Shape, byte[] Data)? Read(byte[] bytes)
    {
        try
        {
            using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(bytes), "parent");
            if (!file.Tensors.TryGetValue("embeddings", out SafetensorsEntry? entry) || entry.Type != SafetensorsType.F32 || entry.Shape.Length != 2)
            {
                return null;
            }
            byte[] data = new byte[entry.ByteLength];
            file.ReadBytes(entry, 0, data);
            return (new(file.Metadata), entry.Shape.ToArray(), data);
        }
        catch (ModelFileException)
        {
            return null;
        }
    }

    private static byte[] Write(Dictionary<string, string> metadata, long[] shape, byte[] data)
    {
        byte[] header = Encoding.UTF8.GetBytes($$$"""{"__metadata__":{{{JsonSerializer.Serialize(metadata)}}},"embeddings":{"dtype":"F32","shape":[{{{string.Join(',', shape)}}}],"data_offsets":[0,{{{data.Length}}}]}}""");
        byte[] file = [.. new byte[8], .. header, .. data];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        return file;
    }
}
