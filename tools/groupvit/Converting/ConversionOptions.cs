using GroupViT.Native.Weights;

namespace GroupViT.Tool.Converting;

/// <summary>With whose statistics pictures are normalised.</summary>
internal enum PictureStatistics
{
    /// <summary>Those that GroupViT was trained with.</summary>
    ImageNet,

    /// <summary>Those that Hugging Face's copies of the released weights come with (spec E.4).</summary>
    Clip,
}

/// <summary>What to make of a checkpoint.</summary>
internal sealed record ConversionOptions
{
    /// <summary>The type of all weights; null keeps each tensor's own (F64 becomes F32).</summary>
    public SafetensorsType? Type { get; init; }

    public KeyLayout Layout { get; init; } = KeyLayout.HuggingFace;

    /// <summary>Null: the source's preprocessor_config.json, and where it has none ImageNet's statistics for NVlabs' layout and CLIP's for Hugging Face's.</summary>
    public PictureStatistics? Statistics { get; init; }

    /// <summary>Whether values too large for <see cref="Type"/> may become its largest.</summary>
    public bool AllowOverflow { get; init; }
}

/// <summary>What a conversion made.</summary>
/// <param name="Kind">Of the source, in words.</param>
/// <param name="SourceLayout">Of the source.</param>
/// <param name="Config">Where the configuration is from.</param>
/// <param name="Files">In the folder.</param>
/// <param name="Tensors">How many were written.</param>
/// <param name="Bytes">Of the weights file.</param>
/// <param name="Type">What the weights are stored as: one type, or "mixed".</param>
/// <param name="Roundings">Of every tensor that changed its type to one that holds less.</param>
/// <param name="Notes">What the user should know.</param>
internal sealed record ConversionResult(
    string Kind,
    KeyLayout SourceLayout,
    string Config,
    IReadOnlyList<string> Files,
    int Tensors,
    long Bytes,
    string Type,
    IReadOnlyList<TensorRounding> Roundings,
    IReadOnlyList<string> Notes);
