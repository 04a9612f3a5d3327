using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Weights;

namespace GroupViT.Tool;

/// <summary>A tensor with values that no network can work with.</summary>
/// <param name="Name">By Hugging Face's names.</param>
/// <param name="NotANumber">How many are NaN.</param>
/// <param name="Infinite">How many are infinite.</param>
/// <param name="Elements">Of how many.</param>
/// <param name="First">Where the first of either is, row by row.</param>
internal sealed record DamagedTensor(string Name, long NotANumber, long Infinite, long Elements, long First);

/// <summary>What a session on a device would ask for.</summary>
internal sealed record MemoryNeed(string Device, Precision Precision, int Height, int Width, MemoryEstimate Estimate);

/// <summary>How the tensors of one type are many, and how long together.</summary>
internal sealed record TypeCount(string Type, int Tensors, long Bytes);

/// <summary>What the command info says of a model.</summary>
internal sealed record ModelReport
{
    // 64 KiB of values: a table of any length is read in parts.
    private const int CheckedAtOnce = 1 << 14;

    public required string Name { get; init; }

    public required GroupVitConfig Config { get; init; }

    /// <summary>The file of the configuration, or null where it was told from the tensors.</summary>
    public string? ConfigFile { get; init; }

    /// <summary>What was assumed, and where the configuration and the tensors say different things.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>What kind of file the weights are in.</summary>
    public string Container { get; init; } = "safetensors";

    /// <summary>What else is in the file, by name.</summary>
    public IReadOnlyList<string> Others { get; init; } = [];

    public required IReadOnlyList<TypeCount> Types { get; init; }

    /// <summary>huggingface or nvlabs.</summary>
    public required string Layout { get; init; }

    public required string WeightType { get; init; }

    public required long WeightBytes { get; init; }

    public required string Fingerprint { get; init; }

    public required IReadOnlyList<(string Part, long Count)> Parameters { get; init; }

    /// <summary>Entries of the tokenizer, or null where there is none; then the problem says why.</summary>
    public required int? Vocabulary { get; init; }

    public required string? TokenizerProblem { get; init; }

    public required IReadOnlyList<string> Labels { get; init; }

    /// <summary>What happens to pictures that are compared with texts, or null without a configuration of it.</summary>
    public required string? Preprocessor { get; init; }

    public required int ShortSide { get; init; }

    public required IReadOnlyList<MemoryNeed> Memory { get; init; }

    /// <summary>Tensors with NaN or infinity; null where nobody looked.</summary>
    public required IReadOnlyList<DamagedTensor>? Damaged { get; init; }

    /// <param name="name">As the user said it.</param>
    /// <param name="model">Opened; no weight is read but samples for its fingerprint.</param>
    /// <param name="devices">Whose memory is estimated, in every precision that they have.</param>
    /// <param name="sizes">Of inputs, beside the preset's.</param>
    /// <param name="check">Whether to read every value.</param>
    /// <param name="cancellation">Looked at between tensors.</param>
    public static ModelReport Of(
        string name, GroupVitModel model, IReadOnlyList<string> devices, IReadOnlyList<(int Height, int Width)> sizes, bool check, CancellationToken cancellation)
    {
        Checkpoint checkpoint = model.Checkpoint;
        ParameterCounts counts = model.Config.CountParameters();
        (int? vocabulary, string? problem) = Tokenizer(model);
        // The size that a session is opened for where nothing is said.
        (int, int) preset = (model.SegmentationShortSide, 2 * model.SegmentationShortSide);
        return new ModelReport
        {
            Name = name,
            Config = model.Config,
            Layout = checkpoint.Layout == KeyLayout.HuggingFace ? "huggingface" : "nvlabs",
            WeightType = checkpoint.WeightType.ToString(),
            WeightBytes = checkpoint.Bytes,
            Fingerprint = model.Fingerprint,
            Parameters =
            [
                ("image encoder", counts.ImageEncoder), ("text encoder", counts.TextEncoder), ("image projector", counts.ImageProjector),
                ("text projector", counts.TextProjector), ("logit scale", counts.LogitScale), ("total", counts.Total),
            ],
            Vocabulary = vocabulary,
            TokenizerProblem = problem,
            Labels = model.Labels,
            Preprocessor = model.Preprocessor is { } preprocessor ? Describe(preprocessor) : null,
            ShortSide = model.SegmentationShortSide,
            Memory =
            [
                .. from device in devices
                   from precision in DeviceCatalog.Precisions(device)
                   from size in sizes.Prepend(preset).Distinct()
                   select new MemoryNeed(
                       device, precision, size.Item1, size.Item2, model.EstimateMemory(new SessionOptions { Device = device, Precision = precision, MaxSize = size })),
            ],
            Types =
            [
                .. checkpoint.Entries.GroupBy(entry => entry.Type).OrderBy(group => group.Key.ToString(), StringComparer.Ordinal)
                    .Select(group => new TypeCount(group.Key.ToString(), group.Count(), group.Sum(entry => entry.ByteLength))),
            ],
            Damaged = check ? Check(checkpoint, cancellation) : null,
        };
    }

    private static (int? Vocabulary, string? Problem) Tokenizer(GroupVitModel model)
    {
        try
        {
            return (model.Tokenizer.VocabularySize, null);
        }
        catch (ModelFileException exception)
        {
            return (null, exception.Message);
        }
    }

    private static string Describe(PreprocessorConfig preprocessor)
    {
        string resize = !preprocessor.Resize ? "no resize"
            : preprocessor.ShortestEdge is { } edge ? $"short side to {edge} ({preprocessor.Filter})"
            : $"resize to {preprocessor.Size.Width} x {preprocessor.Size.Height} ({preprocessor.Filter})";
        return preprocessor.CenterCrop ? $"{resize}, centre crop {preprocessor.CropSize.Width} x {preprocessor.CropSize.Height}" : resize;
    }

    private static List<DamagedTensor> Check(Checkpoint checkpoint, CancellationToken cancellation)
    {
        List<DamagedTensor> damaged = [];
        float[] values = new float[CheckedAtOnce];
        foreach (ParameterInfo parameter in checkpoint.Parameters)
        {
            long notANumber = 0;
            long infinite = 0;
            long first = -1;
            for (int start = 0; start < parameter.ElementCount; start += CheckedAtOnce)
            {
                cancellation.ThrowIfCancellationRequested();
                Span<float> part = values.AsSpan(0, Math.Min(CheckedAtOnce, parameter.ElementCount - start));
                checkpoint.ReadUnchecked(parameter.Name, start, part);
                int bad = Checkpoint.IndexOfNonFinite(part);
                if (bad < 0)
                {
                    continue;
                }
                first = first < 0 ? start + bad : first;
                foreach (float value in part[bad..])
                {
                    notANumber += float.IsNaN(value) ? 1 : 0;
                    infinite += float.IsInfinity(value) ? 1 : 0;
                }
            }
            if (first >= 0)
            {
                damaged.Add(new DamagedTensor(parameter.Name, notANumber, infinite, parameter.ElementCount, first));
            }
        }
        return damaged;
    }
}
