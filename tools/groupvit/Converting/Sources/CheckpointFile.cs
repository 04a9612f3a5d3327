using System.Buffers.Binary;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Pickle;
using GroupViT.Tool.Hub;

namespace GroupViT.Tool.Converting.Sources;

/// <summary>The kinds of file that weights come in.</summary>
internal enum CheckpointKind
{
    Safetensors,
    ShardedSafetensors,
    PyTorchZip,
    PyTorchLegacy,
}

/// <summary>
/// Weights of any kind, open for reading, and the folder that they lie in. The file's content says what it is, not its name: people rename.
/// </summary>
internal sealed class CheckpointFile : IDisposable
{
    private const uint ZipSignature = 0x04034b50;
    private const byte PickleSignature = 0x80;
    private const int MostConfigBytes = 1 << 20;

    private static readonly string[] PyTorchEndings = [".pth", ".pt", ".bin", ".ckpt"];

    private CheckpointFile(string path, CheckpointKind kind, WeightsSource weights, bool isFolder)
        => (Path, Kind, Weights, IsFolder) = (path, kind, weights, isFolder);

    /// <summary>The file of the weights, or the index of the shards.</summary>
    public string Path { get; }

    public CheckpointKind Kind { get; }

    /// <summary>The kind in words.</summary>
    public string KindName => NameOf(Kind);

    /// <summary>Every tensor by name, with type and shape; read in pieces as small as one likes.</summary>
    public WeightsSource Weights { get; }

    /// <summary>What stands beside the tensors of a PyTorch file, as inert data; empty for other kinds.</summary>
    public IReadOnlyDictionary<string, PickleValue> Extras => (Weights as PyTorchWeights)?.Extras ?? new Dictionary<string, PickleValue>();

    /// <summary>Whether a folder was named, not a file.</summary>
    public bool IsFolder { get; }

    /// <summary>
    /// The folder with the model's tokenizer and preprocessing: the one named, or the one that the configuration is in. Null for a lone file:
    /// a vocab.json among someone's downloads is another model's.
    /// </summary>
    public string? Companions => Config is { } config ? System.IO.Path.GetDirectoryName(config) : IsFolder ? Folder : null;

    /// <summary>The folder with the file.</summary>
    public string Folder => System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!;

    /// <summary>The model's config.json: beside the weights, else one folder up if the one there is a GroupViT's; null if there is none.</summary>
    public string? Config
    {
        get
        {
            string beside = System.IO.Path.Combine(Folder, ModelFiles.Config);
            if (LinkedFile.Exists(beside))
            {
                return beside;
            }
            string above = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Folder) ?? Folder, ModelFiles.Config);
            return LinkedFile.Exists(above) && IsGroupVit(above) ? above : null;
        }
    }

    public static string NameOf(CheckpointKind kind) => kind switch
    {
        CheckpointKind.Safetensors => "safetensors",
        CheckpointKind.ShardedSafetensors => "safetensors in shards",
        CheckpointKind.PyTorchZip => "PyTorch (zip)",
        _ => "PyTorch (before 1.6)",
    };

    /// <summary>Opens a file, an index of shards, or the weights in a folder, and checks its header.</summary>
    /// <exception cref="ModelFileException">There is nothing there, or it is refused.</exception>
    public static CheckpointFile Open(string path)
    {
        bool isFolder = Directory.Exists(path);
        string file = isFolder ? InFolder(path) : path;
        if (ShardIndex.IsIndexName(file))
        {
            return new CheckpointFile(file, CheckpointKind.ShardedSafetensors, ShardedSafetensors.Open(file), isFolder);
        }
        if (!IsPyTorch(file))
        {
            return new CheckpointFile(file, CheckpointKind.Safetensors, SafetensorsFile.Open(file), isFolder);
        }
        PyTorchWeights weights = PyTorchWeights.Open(file);
        return new CheckpointFile(file, weights.Container == PyTorchContainer.Zip ? CheckpointKind.PyTorchZip : CheckpointKind.PyTorchLegacy, weights, isFolder);
    }

    /// <summary>Whether a file, or the only weights in a folder, are a PyTorch file's.</summary>
    /// <exception cref="ModelFileException">The file cannot be read.</exception>
    public static bool NeedsConversion(string path)
        => Directory.Exists(path)
            ? SnapshotFiles.WeightsOf(name => LinkedFile.Exists(System.IO.Path.Combine(path, name))) == SnapshotFiles.PyTorchWeights
            : !ShardIndex.IsIndexName(path) && IsPyTorch(path);

    public void Dispose() => Weights.Dispose();

    private static string InFolder(string folder)
    {
        if (SnapshotFiles.WeightsOf(name => LinkedFile.Exists(System.IO.Path.Combine(folder, name))) is { } usual)
        {
            return System.IO.Path.Combine(folder, usual);
        }
        string[] others;
        try
        {
            others = [.. Directory.EnumerateFiles(folder).Where(HasWeightsEnding).Select(file => System.IO.Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException(folder, $"the folder cannot be read: {exception.Message}", inner: exception);
        }
        return others.Length switch
        {
            0 => throw new ModelFileException(folder, $"{SnapshotFiles.NoWeights}, nor a .pth, .pt, .bin or .safetensors file"),
            1 => System.IO.Path.Combine(folder, others[0]),
            _ => throw new ModelFileException(folder, $"several files could be the weights: {string.Join(", ", others.Take(10))}{(others.Length > 10 ? ", ..." : "")}; name one of them"),
        };
    }

    private static bool HasWeightsEnding(string file)
        => file.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || Array.Exists(PyTorchEndings, ending => file.EndsWith(ending, StringComparison.OrdinalIgnoreCase));

    /// <summary>
    /// A zip's signature is no length that a safetensors header may have. The byte 80 of a bare pickle could be the lowest of one:
    /// then zeros follow, and a brace.
    /// </summary>
    private static bool IsPyTorch(string file)
    {
        Span<byte> start = stackalloc byte[sizeof(ulong) + 1];
        using (ByteSource source = ByteSource.OpenFile(file))
        {
            start = start[..(int)Math.Min(start.Length, source.Length)];
            source.Read(0, start);
        }
        if (start.Length == sizeof(ulong) + 1 && BinaryPrimitives.ReadUInt64LittleEndian(start) <= SafetensorsHeader.MaxLength && start[^1] == (byte)'{')
        {
            return false;
        }
        if (start.Length >= sizeof(uint) && (BinaryPrimitives.ReadUInt32LittleEndian(start) == ZipSignature || start[0] == PickleSignature))
        {
            return true;
        }
        // Neither: whose error says best what is wrong, the name tells.
        return Array.Exists(PyTorchEndings, ending => file.EndsWith(ending, StringComparison.OrdinalIgnoreCase));
    }

    private static bool IsGroupVit(string config)
    {
        try
        {
            using FileStream stream = new(config, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length > MostConfigBytes)
            {
                return false;
            }
            using JsonDocument document = JsonDocument.Parse(stream);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("model_type", out JsonElement type)
                && type.ValueKind == JsonValueKind.String
                && type.ValueEquals("groupvit");
        }
        catch (Exception exception) when (exception is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            // Some other program's: it says nothing about these weights.
            return false;
        }
    }
}
