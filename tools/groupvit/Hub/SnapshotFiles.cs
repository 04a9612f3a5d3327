using System.Text.Json;
using GroupViT.Native;

namespace GroupViT.Tool.Hub;

/// <summary>Which of a repository's files make a model, and how large each may be.</summary>
internal static class SnapshotFiles
{
    /// <summary>Names the files of weights that come in parts.</summary>
    public const string Index = "model.safetensors.index.json";

    /// <summary>Weights as PyTorch pickles them.</summary>
    public const string PyTorchWeights = "pytorch_model.bin";

    private const long LargestSmallFile = 64L << 20;
    private const long LargestWeights = 64L << 30;
    private const int MostShards = 1000;

    private static readonly string[] Optional =
    [
        ModelFiles.Preprocessor, ModelFiles.Labels, ModelFiles.Vocabulary, ModelFiles.Merges, ModelFiles.CompressedVocabulary,
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    ];

    /// <summary>The files of a model in a listing, those with the weights (or their index) last.</summary>
    /// <exception cref="UnusableSnapshotException">No model is in it.</exception>
    public static IReadOnlyList<string> Choose(IReadOnlySet<string> listed, RepositoryId repository)
    {
        if (!listed.Contains(ModelFiles.Config))
        {
            throw new UnusableSnapshotException($"{repository}: the repository has no {ModelFiles.Config}; it is no model folder");
        }
        return [ModelFiles.Config, .. Optional.Where(listed.Contains), WeightsOf(listed.Contains) ?? throw new UnusableSnapshotException($"{repository}: {NoWeights}")];
    }

    /// <summary>The file of the weights, or of their index, that is preferred among those that are there; null where there is none.</summary>
    public static string? WeightsOf(Func<string, bool> exists) => Array.Find([ModelFiles.Weights, Index, PyTorchWeights], file => exists(file));

    /// <summary>What to say of a repository or folder without weights.</summary>
    public const string NoWeights = $"there are no weights: neither {ModelFiles.Weights}, nor {Index}, nor {PyTorchWeights}";

    /// <summary>The most bytes that a file may have.</summary>
    public static long Largest(string file)
        => file.EndsWith(".safetensors", StringComparison.Ordinal) || file == PyTorchWeights ? LargestWeights : LargestSmallFile;

    /// <summary>The files that an index names.</summary>
    /// <param name="path">The index.</param>
    /// <exception cref="UnusableSnapshotException">It is no index, or names what is no .safetensors file beside it.</exception>
    public static IReadOnlyList<string> Shards(string path)
    {
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length > LargestSmallFile)
            {
                throw Wrong($"{stream.Length} bytes are more than the {LargestSmallFile} that an index may have");
            }
            using JsonDocument document = JsonDocument.Parse(stream);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
            {
                throw Wrong("an object with 'weight_map' is expected");
            }
            SortedSet<string> shards = new(StringComparer.Ordinal);
            foreach (JsonProperty entry in map.EnumerateObject())
            {
                string shard = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : throw Wrong("it names no file for a tensor");
                if (HubText.WhatIsWrongWithPath(shard) is not null || shard.Contains('/', StringComparison.Ordinal) || !shard.EndsWith(".safetensors", StringComparison.Ordinal))
                {
                    throw Wrong($"it names '{HubText.Printable(shard)}', which is no .safetensors file beside it");
                }
                if (shards.Add(shard) && shards.Count > MostShards)
                {
                    throw Wrong($"it names more than {MostShards} files");
                }
            }
            return shards.Count > 0 ? [.. shards] : throw Wrong("it names no file");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw Wrong($"it is no JSON: {HubText.Printable(exception.Message)}");
        }

        UnusableSnapshotException Wrong(string problem) => new($"{path}: the index of the weights cannot be used: {problem}");
    }

    /// <summary>What a snapshot in the cache lacks of a model; null where it is complete.</summary>
    public static string? Missing(string snapshot)
    {
        if (!LinkedFile.Exists(Path.Combine(snapshot, ModelFiles.Config)))
        {
            return ModelFiles.Config;
        }
        string? weights = WeightsOf(file => LinkedFile.Exists(Path.Combine(snapshot, file)));
        return weights switch
        {
            null => ModelFiles.Weights,
            Index => Shards(Path.Combine(snapshot, Index)).FirstOrDefault(shard => !LinkedFile.Exists(Path.Combine(snapshot, shard))),
            _ => null,
        };
    }
}
