using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>
/// A GroupViT model: configuration, weights (read when a session packs them), tokenizer and preprocessing. Thread-safe.
/// </summary>
public sealed class GroupVitModel : IDisposable
{
    private readonly ModelFiles files;
    private readonly Lazy<ClipTokenizer> tokenizer;
    private readonly Lock gate = new();
    private int sessions;
    private bool disposed;

    private GroupVitModel(ModelFiles files)
    {
        this.files = files;
        const long smallFile = 16 << 20;
        GroupVitConfig config = GroupVitConfig.Parse(files.ReadAll(ModelFiles.Config, smallFile), files.NameOf(ModelFiles.Config));
        Preprocessor = files.TryReadAll(ModelFiles.Preprocessor, smallFile) is { } preprocessor
            ? PreprocessorConfig.Parse(preprocessor, files.NameOf(ModelFiles.Preprocessor)) : null;
        using (Stream? stream = files.TryOpen(ModelFiles.Labels))
        {
            Labels = stream is null ? [] : [.. ClassNames.Read(stream, files.NameOf(ModelFiles.Labels))];
        }
        tokenizer = new(LoadTokenizer);
        WeightsSource file = files.OpenWeights();
        try
        {
            Checkpoint = Checkpoint.Open(file, config);
        }
        catch
        {
            file.Dispose();
            throw;
        }
        Weights = new ModelWeights(Checkpoint);
    }

    /// <summary>The model's sizes, as its config.json says.</summary>
    public GroupVitConfig Config => Checkpoint.Config;

    /// <summary>The labels that the model folder suggests (labels.txt), or none.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>Identifies the weights of the image side, with which a bank's labels are compared: a <see cref="LabelBank"/> of another model is refused by it.</summary>
    public string Fingerprint => Checkpoint.Fingerprint;

    /// <summary>The short side of the network input for segmentation by preset nvlabs, in pixels.</summary>
    public int SegmentationShortSide => Preprocessor?.SegmentationShortSide ?? 448;

    internal Checkpoint Checkpoint { get; }

    internal ModelWeights Weights { get; }

    internal PreprocessorConfig? Preprocessor { get; }

    /// <exception cref="ModelFileException">The model has no tokenizer files.</exception>
    internal ClipTokenizer Tokenizer => tokenizer.Value;

    /// <exception cref="ModelFileException">The weights have no text side.</exception>
    internal void RequireText()
    {
        if (!Checkpoint.HasText)
        {
            throw new ModelFileException(Checkpoint.Name, "these weights have no text side, so no text can be encoded; labels must come from a label bank (--bank) that was made with the whole model");
        }
    }

    /// <summary>
    /// Opens a model folder (config.json, model.safetensors, ...), or a .safetensors file with its config.json beside it or one folder up.
    /// Weights in several files are read through model.safetensors.index.json, which must list exactly the tensors of the shards beside it;
    /// where there is a model.safetensors as well, that one file is read and the index is not looked at.
    /// </summary>
    /// <param name="path">The folder or file.</param>
    /// <exception cref="ModelFileException">A file is missing, damaged, or does not fit the configuration.</exception>
    public static GroupVitModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new GroupVitModel(new FolderModelFiles(path));
    }

    /// <summary>Opens weights and configuration from seekable streams; without a tokenizer, so labels come from a <see cref="LabelBank"/>.</summary>
    /// <param name="weights">A safetensors stream; owned by the model from here on.</param>
    /// <param name="config">config.json.</param>
    /// <exception cref="ModelFileException">A stream is damaged, or the two do not fit together.</exception>
    public static GroupVitModel Load(Stream weights, Stream config)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(config);
        return new GroupVitModel(new StreamModelFiles(weights, config));
    }

    /// <summary>Opens a session: memory for its maxima is allocated, kernels and weights are prepared at first use.</summary>
    /// <exception cref="DeviceUnavailableException">The device is not there or lacks the precision.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The memory limit is below what is needed.</exception>
    public Session OpenSession(SessionOptions? options = null) => OpenSession(options ?? new SessionOptions(), null);

    internal Session OpenSession(SessionOptions options, Kernels.Devices.Device? device)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            Session session = new(this, options, device);
            sessions++;
            return session;
        }
    }

    /// <summary>
    /// What a session with these options will ask of its device, to the byte: the weights at the largest size, the arenas, the scratch
    /// memory. Every further input size that is in use adds its table of positions (patches x width x 4 bytes), unless weights are streamed.
    /// </summary>
    /// <exception cref="OutOfDeviceMemoryException">A GPU session under the options' limit could not even stream its weights; the number that would do is named.</exception>
    public MemoryEstimate EstimateMemory(SessionOptions? options = null)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            return SessionPlan.Estimate(this, options ?? new SessionOptions());
        }
    }

    /// <summary>Closes the weights file. Sessions must be disposed first.</summary>
    /// <exception cref="InvalidOperationException">A session is still open.</exception>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
            {
                return;
            }
            if (sessions > 0)
            {
                throw new InvalidOperationException($"{sessions} session(s) of this model are still open; dispose them first");
            }
            disposed = true;
            Checkpoint.Dispose();
        }
    }

    internal static GroupVitModel Load(ModelFiles files) => new(files);

    internal void SessionClosed()
    {
        lock (gate)
        {
            sessions--;
        }
    }

    private ClipTokenizer LoadTokenizer()
    {
        using Stream? compressed = files.TryOpen(ModelFiles.CompressedVocabulary);
        using Stream? vocabulary = files.TryOpen(ModelFiles.Vocabulary);
        using Stream? merges = files.TryOpen(ModelFiles.Merges);
        ClipTokenizer loaded =
            vocabulary is not null && merges is not null ? ClipTokenizer.FromFiles(vocabulary, files.NameOf(ModelFiles.Vocabulary), merges, files.NameOf(ModelFiles.Merges))
            : compressed is not null ? ClipTokenizer.FromGzip(compressed, files.NameOf(ModelFiles.CompressedVocabulary))
            : throw new ModelFileException(files.Name, $"the model has no tokenizer: {ModelFiles.Vocabulary} and {ModelFiles.Merges}, or {ModelFiles.CompressedVocabulary}, would do; or use a finished label bank");
        if (loaded.VocabularySize > Config.Text.VocabSize)
        {
            throw new ModelFileException(files.Name, $"the tokenizer has {loaded.VocabularySize} entries, the text tower only {Config.Text.VocabSize}");
        }
        return loaded;
    }
}
