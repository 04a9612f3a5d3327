using System.Text.Json;

namespace GroupViT.Native.Text;

/// <summary>Hugging Face's <c>vocab.json</c>: one JSON object, symbol to id. Strict: every symbol once, the ids a permutation of 0 to n-1.</summary>
internal static class VocabularyJson
{
    public const int MaxEntries = 1_000_000;
    public const int MaxSymbolLength = 1024;

    public static Dictionary<string, int> Read(Stream stream, string name)
    {
        ReadOnlySpan<byte> json = BoundedBytes.Read(stream, name);
        int skipped = json.StartsWith("\uFEFF"u8) ? 3 : 0;
        var reader = new Utf8JsonReader(json[skipped..]);
        try
        {
            return ReadObject(ref reader, name, skipped);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string with half a surrogate pair, or bytes that are not UTF-8.
            throw new ModelFileException(name, $"the file is no valid JSON ({JsonProblem.Of(error)})", offset: reader.TokenStartIndex + skipped, inner: error);
        }
    }

    private static Dictionary<string, int> ReadObject(ref Utf8JsonReader reader, string name, int skipped)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            throw new ModelFileException(name, "a JSON object of symbols and their ids was expected", offset: reader.TokenStartIndex + skipped);
        }
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = reader.TokenStartIndex + skipped;
            if (reader.ValueSpan.Length > MaxSymbolLength * 6)
            {
                throw new ModelFileException(name, $"a symbol is longer than {MaxSymbolLength} characters", offset: at);
            }
            string symbol = reader.GetString()!;
            string shown = ClipVocabulary.Shown(symbol);
            if (symbol.Length is 0 or > MaxSymbolLength)
            {
                throw new ModelFileException(name, $"a symbol has 1 to {MaxSymbolLength} characters", shown, at);
            }
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int id) || id < 0)
            {
                throw new ModelFileException(name, "the id is no whole number from 0 on", shown, at);
            }
            if (!ids.TryAdd(symbol, id))
            {
                throw new ModelFileException(name, "the symbol stands there twice", shown, at);
            }
            if (ids.Count > MaxEntries)
            {
                throw new ModelFileException(name, $"the vocabulary has more than {MaxEntries} entries", offset: at);
            }
        }
        if (reader.Read())
        {
            throw new ModelFileException(name, "something follows the JSON object", offset: reader.TokenStartIndex + skipped);
        }
        CheckDense(ids, name);
        return ids;
    }

    private static void CheckDense(Dictionary<string, int> ids, string name)
    {
        string?[] owners = new string?[ids.Count];
        foreach ((string symbol, int id) in ids)
        {
            if (id >= owners.Length)
            {
                throw new ModelFileException(name, $"the id {id} is out of range; {owners.Length} symbols have the ids 0 to {owners.Length - 1}, each once", ClipVocabulary.Shown(symbol));
            }
            if (owners[id] is string other)
            {
                throw new ModelFileException(name, $"the id {id} is that of '{ClipVocabulary.Shown(other)}', too", ClipVocabulary.Shown(symbol));
            }
            owners[id] = symbol;
        }
    }
}
