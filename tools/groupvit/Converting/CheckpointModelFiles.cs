using System.Text;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tool.Converting.Sources;

namespace GroupViT.Tool.Converting;

/// <summary>A checkpoint of any kind as a model's files: with its own config.json where there is one, else with the one that its tensors tell.</summary>
internal sealed class CheckpointModelFiles : ModelFiles
{
    private const long MostConfigBytes = 1 << 20;

    private readonly CheckpointFile file;
    private readonly byte[] config;

    /// <exception cref="ModelFileException">There is no configuration, and none can be told.</exception>
    public CheckpointModelFiles(CheckpointFile file)
    {
        this.file = file;
        ConfigPath = file.Config;
        try
        {
            Inferred = ConfigInference.Infer(file.Weights, file.Extras);
        }
        catch (ModelFileException exception) when (ConfigPath is not null)
        {
            NotInferred = exception.Message;
        }
        config = ConfigPath is null ? Encoding.UTF8.GetBytes(Inferred!.Config.ToJson()) : Read(ConfigPath);
    }

    /// <summary>The checkpoint's config.json, or null where it has none.</summary>
    public string? ConfigPath { get; }

    /// <summary>What the tensors tell, or null where they do not tell enough; then <see cref="NotInferred"/> says why.</summary>
    public InferredConfig? Inferred { get; }

    public string? NotInferred { get; }

    public override string Name => file.Path;

    public override string NameOf(string name) => name switch
    {
        Weights => file.Path,
        Config => ConfigPath ?? $"{file.Path} (its tensors)",
        _ => Path.Combine(file.Companions ?? file.Folder, name),
    };

    /// <summary>The checkpoint's own, which whoever opened the model closes with it.</summary>
    public override WeightsSource OpenWeights() => file.Weights;

    public override Stream? TryOpen(string name)
    {
        if (name == Config)
        {
            return new MemoryStream(config);
        }
        string path = NameOf(name);
        return file.Companions is not null && File.Exists(path) ? Open(path) : null;
    }

    /// <summary>The fields in which a configuration differs from what the tensors tell: heads, as a rule, and what is in no tensor.</summary>
    public static IReadOnlyList<string> Differences(GroupVitConfig given, GroupVitConfig inferred)
    {
        using JsonDocument one = JsonDocument.Parse(given.ToJson());
        using JsonDocument other = JsonDocument.Parse(inferred.ToJson());
        Dictionary<string, string> told = new(Fields("", other.RootElement), StringComparer.Ordinal);
        return [.. Fields("", one.RootElement).Where(field => told.GetValueOrDefault(field.Key) != field.Value).Select(field => $"{field.Key} is {field.Value}, the tensors tell {told.GetValueOrDefault(field.Key) ?? "nothing"}")];
    }

    private static IEnumerable<KeyValuePair<string, string>> Fields(string path, JsonElement value)
        => value.ValueKind == JsonValueKind.Object
            ? value.EnumerateObject().SelectMany(field => Fields(path.Length == 0 ? field.Name : $"{path}.{field.Name}", field.Value))
            : [new(path, value.GetRawText())];

    private static byte[] Read(string path)
    {
        using FileStream stream = Open(path);
        if (stream.Length > MostConfigBytes)
        {
            throw new ModelFileException(path, $"{stream.Length} bytes are more than the {MostConfigBytes} that such a file may have");
        }
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException(path, $"the file cannot be read: {exception.Message}", inner: exception);
        }
    }
}
