using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>The files of one model, wherever they are kept.</summary>
internal abstract class ModelFiles
{
    public const string Weights = "model.safetensors";

    /// <summary>Beside weights in several files; a folder that has <see cref="Weights"/> too is read from that one file.</summary>
    public const string WeightsIndex = "model.safetensors.index.json";

    public const string Config = "config.json";
    public const string Preprocessor = "preprocessor_config.json";
    public const string Labels = "labels.txt";
    public const string Vocabulary = "vocab.json";
    public const string Merges = "merges.txt";
    public const string CompressedVocabulary = "bpe_simple_vocab_16e6.txt.gz";

    /// <summary>The model as the user named it.</summary>
    public abstract string Name { get; }

    /// <summary>A seekable stream, or null where there is no such file.</summary>
    public abstract Stream? TryOpen(string file);

    public abstract string NameOf(string file);

    /// <summary>Opens the weights and checks their headers.</summary>
    /// <exception cref="ModelFileException">There are none, or they are damaged.</exception>
    public virtual WeightsSource OpenWeights()
        => SafetensorsFile.Open(TryOpen(Weights) ?? throw new ModelFileException(NameOf(Weights), "the weights are missing"), NameOf(Weights));

    /// <exception cref="ModelFileException">There is no such file, or it cannot be read.</exception>
    public byte[] ReadAll(string file, long most)
        => TryReadAll(file, most) ?? throw new ModelFileException(NameOf(file), "the file is missing; a model folder needs it");

    /// <summary>The whole file, or null where there is no such file.</summary>
    /// <exception cref="ModelFileException">It cannot be read, or is larger than <paramref name="most"/> bytes.</exception>
    public byte[]? TryReadAll(string file, long most)
    {
        using Stream? stream = TryOpen(file);
        if (stream is null)
        {
            return null;
        }
        if (stream.Length > most)
        {
            throw new ModelFileException(NameOf(file), $"{stream.Length} bytes are more than the {most} that such a file may have");
        }
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}

/// <summary>A folder, or a weights file (or an index of shards) in one, its config.json beside it, else one folder up.</summary>
internal sealed class FolderModelFiles : ModelFiles
{
    private readonly string folder;
    private readonly string? weights;

    public FolderModelFiles(string path)
    {
        Name = path;
        if (Directory.Exists(path))
        {
            folder = path;
        }
        else if (File.Exists(path))
        {
            weights = path;
            string beside = Path.GetDirectoryName(Path.GetFullPath(path))!;
            folder = File.Exists(Path.Combine(beside, Config)) ? beside : Path.GetDirectoryName(beside) ?? beside;
        }
        else
        {
            throw new ModelFileException(path, "there is no such model folder, .safetensors file or index of shards");
        }
    }

    public override string Name { get; }

    public override string NameOf(string file) => file == Weights && weights is not null ? weights : Path.Combine(folder, file);

    public override WeightsSource OpenWeights()
    {
        string path = NameOf(Weights);
        if (weights is null && !File.Exists(path))
        {
            string index = NameOf(WeightsIndex);
            path = File.Exists(index) ? index : throw new ModelFileException(path, $"there is no such file, and no {WeightsIndex} beside it");
        }
        return ShardIndex.IsIndexName(path) ? ShardedSafetensors.Open(path) : SafetensorsFile.Open(path);
    }

    public override Stream? TryOpen(string file)
    {
        string path = NameOf(file);
        try
        {
            return File.Exists(path) ? new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read) : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException(path, $"the file cannot be read: {exception.Message}", inner: exception);
        }
    }
}

/// <summary>A weights stream and a configuration stream, nothing else.</summary>
internal sealed class StreamModelFiles(Stream weights, Stream config) : ModelFiles
{
    public override string Name => "stream";

    public override string NameOf(string file) => file;

    public override Stream? TryOpen(string file) => file switch
    {
        Weights => weights,
        Config => config,
        _ => null,
    };
}

/// <summary>A model in an assembly's resources, named PREFIX/FILE.</summary>
internal sealed class ResourceModelFiles(System.Reflection.Assembly assembly, string prefix) : ModelFiles
{
    public override string Name => prefix;

    public override string NameOf(string file) => $"{prefix}/{file}";

    public override Stream? TryOpen(string file) => assembly.GetManifestResourceStream(NameOf(file));
}
