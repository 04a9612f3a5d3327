using System.Text.Json;
using System.Text.Unicode;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native;

namespace GroupViT.Fuzz.Targets;

/// <summary>A parser of a JSON file. What stands for magic and header is the grammar: a mutant is past it when it is one well-formed object.</summary>
internal abstract class JsonTarget : FuzzTarget
{
    public sealed override IReadOnlyList<string> Stages { get; } = ["refused: no JSON object", "refused: what the JSON says", "accepted"];

    public sealed override int FirstStagePastHeader => 1;

    /// <summary>Values that the format knows, in JSON's spelling.</summary>
    protected abstract IReadOnlyList<string> Words { get; }

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
        => random.Next(6) == 0 ? ByteMutator.Mutate(random, parent, other, []) : JsonMutator.Mutate(random, parent, other, Words);

    public sealed override bool IsRefusal(Exception exception) => exception is ModelFileException;

    public sealed override int Stage(byte[] input, Exception? refusal) => refusal is null ? 2 : IsJsonObject(input) ? 1 : 0;

    public sealed override string Kind(Exception refusal)
    {
        ModelFileException error = (ModelFileException)refusal;
        // The item is a field that the parser knows, or a name from the file: as long as a mutant's names it would make all kinds new.
        return error.Item is { Length: < 40 } item ? error.Message : error.Message.Replace(error.Item ?? "\0", "", StringComparison.Ordinal);
    }

    /// <summary>How many names the object at that depth has (1: the outermost), counted as they stand there, double ones too.</summary>
    public static int CountNames(ReadOnlySpan<byte> json, int depth)
    {
        var reader = new Utf8JsonReader(json.StartsWith("\uFEFF"u8) ? json[3..] : json, new JsonReaderOptions { MaxDepth = 32 });
        int count = 0;
        while (reader.Read())
        {
            count += reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == depth ? 1 : 0;
        }
        return count;
    }

    /// <summary>Whether the text is UTF-8 and one JSON object of moderate depth.</summary>
    public static bool IsJsonObject(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("\uFEFF"u8))
        {
            text = text[3..];
        }
        if (!Utf8.IsValid(text))
        {
            return false;
        }
        var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = 32 });
        try
        {
            bool isObject = reader.Read() && reader.TokenType == JsonTokenType.StartObject;
            while (isObject && reader.Read())
            {
            }
            return isObject;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
