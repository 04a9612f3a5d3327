using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;

namespace GroupViT.Native.Weights;

/// <summary>
/// The index of a checkpoint in several files, Hugging Face's <c>model.safetensors.index.json</c>: <c>weight_map</c> says of every tensor
/// which shard holds it. The file may be hostile: what it names is opened, so only plain file names that end in .safetensors are
/// taken, never a path; names are unique; sizes are capped. <c>metadata</c> is skipped, because the <c>total_size</c> in it is
/// wrong in many files that are otherwise right, and nothing here depends on it.
/// </summary>
/// <remarks>
/// Reading allocates at most eight times the text's length and a mebibyte: two bytes per character of the names, 28 to 60 bytes per
/// tensor of at least <see cref="SmallestEntryText"/> bytes, and each shard's name once.
/// </remarks>
internal sealed class ShardIndex
{
    public const int MaxLength = 32 << 20;
    public const int MaxShards = 256;
    public const int MaxShardNameLength = 255;

    private const int MaxDepth = 16;
    private const string Ending = ".safetensors";

    private static readonly SearchValues<char> NotInNames = SearchValues.Create([.. Enumerable.Range(0, 32).Select(i => (char)i), .. "<>\"|?*\x7F"]);

    // "a":"b.safetensors",
    private const int SmallestEntryText = 20;

    private readonly string _file;
    private readonly Dictionary<string, string> _weightMap;
    private readonly List<string> _shards = [];

    private ShardIndex(string file, int length)
    {
        _file = file;
        _weightMap = new(Math.Min(length / SmallestEntryText + 1, SafetensorsHeader.MaxTensors), StringComparer.Ordinal);
    }

    /// <summary>Tensor to shard.</summary>
    public IReadOnlyDictionary<string, string> WeightMap => _weightMap;

    /// <summary>The shards' file names, each once, as the map names them first.</summary>
    public IReadOnlyList<string> Shards => _shards;

    /// <summary>Whether a file of this name is an index and no weights.</summary>
    public static bool IsIndexName(string path) => path.EndsWith(".index.json", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads an index file.</summary>
    /// <exception cref="ModelFileException">It cannot be read, or is no index that may be followed; with the byte where it shows.</exception>
    public static ShardIndex Load(string path)
    {
        using ByteSource source = ByteSource.OpenFile(path);
        if (source.Length > MaxLength)
        {
            throw new ModelFileException(path, $"is {source.Length} bytes long; an index has at most {MaxLength}");
        }
        byte[] json = GC.AllocateUninitializedArray<byte>((int)source.Length);
        source.Read(0, json);
        return Parse(json, path);
    }

    /// <summary>Reads the text of an index.</summary>
    /// <param name="json">UTF-8; at most <see cref="MaxLength"/> bytes.</param>
    /// <param name="file">What messages call the file.</param>
    /// <exception cref="ModelFileException">See <see cref="Load"/>.</exception>
    public static ShardIndex Parse(ReadOnlySpan<byte> json, string file)
    {
        if (json.Length > MaxLength)
        {
            throw new ModelFileException(file, $"is {json.Length} bytes long; an index has at most {MaxLength}");
        }
        if (!Utf8.IsValid(json))
        {
            throw new ModelFileException(file, "is not UTF-8");
        }
        var index = new ShardIndex(file, json.Length);
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth, CommentHandling = JsonCommentHandling.Disallow });
        try
        {
            index.ReadRoot(ref reader);
        }
        catch (JsonException e)
        {
            throw new ModelFileException(file, $"is not JSON: {JsonProblem.Of(e)}", offset: reader.BytesConsumed, inner: e);
        }
        catch (InvalidOperationException e)
        {
            // An escaped half of a surrogate pair: JSON by its grammar, but no text.
            throw new ModelFileException(file, $"a name is no valid Unicode: {JsonProblem.Of(e)}", offset: reader.BytesConsumed, inner: e);
        }
        return index;
    }

    private void ReadRoot(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw Error(ref reader, "the index must be a JSON object");
        }
        bool map = false, metadata = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("weight_map"u8) && !map)
            {
                map = true;
                ReadMap(ref reader);
            }
            else if (reader.ValueTextEquals("metadata"u8) && !metadata)
            {
                metadata = true;
                reader.Read();
                if (reader.TokenType is not (JsonTokenType.StartObject or JsonTokenType.Null))
                {
                    throw Error(ref reader, "must be an object", "metadata");
                }
                reader.Skip();
            }
            else
            {
                string name = SafetensorsHeader.Shorten(reader.GetString()!);
                throw Error(ref reader, name is "weight_map" or "metadata" ? "is there twice" : "is no field of an index; it has weight_map and metadata", name);
            }
        }
        // Reads past the closing brace, where only white space may be.
        reader.Read();
        if (_shards.Count == 0)
        {
            throw new ModelFileException(_file, map ? "names no tensor" : "has no field 'weight_map'", "weight_map");
        }
    }

    private void ReadMap(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw Error(ref reader, "must be an object of tensor names and file names", "weight_map");
        }
        var known = new Dictionary<string, string>(StringComparer.Ordinal);
        string last = "";
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = ReadName(ref reader);
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                throw Error(ref reader, "the shard must be a file name in quotes", tensor);
            }
            if (last.Length == 0 || !reader.ValueTextEquals(last))
            {
                last = ReadShard(ref reader, tensor, known);
            }
            if (_weightMap.Count == SafetensorsHeader.MaxTensors)
            {
                throw Error(ref reader, $"lists more than {SafetensorsHeader.MaxTensors} tensors", "weight_map");
            }
            if (!_weightMap.TryAdd(tensor, last))
            {
                throw Error(ref reader, "is listed twice; every tensor has one shard", tensor);
            }
        }
    }

    private string ReadName(ref Utf8JsonReader reader)
    {
        // Six bytes (\u0041) is the longest that one UTF-16 unit can be written as.
        bool tooLong = reader.ValueSpan.Length > 6 * SafetensorsHeader.MaxNameLength;
        string name = tooLong ? "" : reader.GetString()!;
        return name.Length is > 0 and <= SafetensorsHeader.MaxNameLength
            ? name
            : throw Error(ref reader, $"a tensor's name has 1 to {SafetensorsHeader.MaxNameLength} characters", "weight_map");
    }

    private string ReadShard(ref Utf8JsonReader reader, string tensor, Dictionary<string, string> known)
    {
        if (reader.ValueSpan.Length > 6 * MaxShardNameLength)
        {
            throw Error(ref reader, $"the shard's name is longer than {MaxShardNameLength} characters", tensor);
        }
        string shard = reader.GetString()!;
        if (known.TryGetValue(shard, out string? before))
        {
            return before;
        }
        if (ProblemWith(shard) is string problem)
        {
            throw Error(ref reader, $"names the shard '{Shown(shard)}', which {problem}; a shard is a plain file name in the index's folder that ends in {Ending}", tensor);
        }
        if (_shards.Count == MaxShards)
        {
            throw Error(ref reader, $"names more than {MaxShards} shards", "weight_map");
        }
        known.Add(shard, shard);
        _shards.Add(shard);
        return shard;
    }

    /// <summary>
    /// Why a name is no plain file name, or null. The same on every system: an index that is refused on one is refused on all. Colons
    /// are drives and streams on Windows, where blanks and dots at the end fall off too.
    /// </summary>
    private static string? ProblemWith(string shard)
    {
        if (shard.Length > MaxShardNameLength)
        {
            return $"is longer than {MaxShardNameLength} characters";
        }
        if (shard.AsSpan().IndexOfAny('/', '\\', ':') >= 0)
        {
            return "is a path";
        }
        if (shard.AsSpan().IndexOfAny(NotInNames) >= 0)
        {
            return "holds a character that no file name has everywhere";
        }
        if (!shard.EndsWith(Ending, StringComparison.Ordinal) || shard.Length == Ending.Length)
        {
            return $"does not end in {Ending}";
        }
        return shard[0] is '.' or ' ' ? "begins with a dot or a blank" : null;
    }

    private static string Shown(string name) => Text.ClipVocabulary.Shown(name);

    private ModelFileException Error(ref Utf8JsonReader reader, string problem, string? item = null)
        => new(_file, problem, item is null ? null : SafetensorsHeader.Shorten(item), reader.TokenStartIndex);
}
