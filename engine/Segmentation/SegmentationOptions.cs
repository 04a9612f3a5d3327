namespace GroupViT.Native;

/// <summary>Whose rules turn group maps into labels.</summary>
public enum SegmentationPreset
{
    /// <summary>The authors': two softmaxes, a top-K filter, each pixel to one group, background by threshold (spec F.1).</summary>
    Nvlabs,

    /// <summary>Hugging Face's: a square crop, soft maps, no background (spec F.2).</summary>
    Transformers,
}

/// <summary>How preset transformers makes a picture square.</summary>
public enum PictureFit
{
    /// <summary>Short side to the model's image size, centre crop; pixels outside the crop get no label.</summary>
    Crop,

    /// <summary>The whole picture, stretched.</summary>
    Stretch,
}

/// <summary>The rules' values. The defaults are the references'.</summary>
public sealed record SegmentationOptions
{
    /// <summary>Default <see cref="SegmentationPreset.Nvlabs"/>.</summary>
    public SegmentationPreset Preset { get; init; }

    /// <summary>nvlabs: the short side of the network input in pixels; null for the model's own. At least one patch, at most 2048.</summary>
    public int? ShortSide { get; init; }

    /// <summary>nvlabs: a group whose best score is below this is background, if the bank has one. In [0, 1].</summary>
    public double BackgroundThreshold { get; init; } = 0.95;

    /// <summary>nvlabs: only so many labels, those nearest to the whole picture, take part. At least 1.</summary>
    public int TopClasses { get; init; } = 5;

    /// <summary>transformers: what becomes of pictures that are not square.</summary>
    public PictureFit Fit { get; init; }

    internal void Validate()
    {
        if (ShortSide is < 1 or > 2048)
        {
            throw new ArgumentOutOfRangeException(nameof(ShortSide), ShortSide, "the short side must be in 1..2048");
        }
        if (!(BackgroundThreshold is >= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(BackgroundThreshold), BackgroundThreshold, "the background threshold must be in [0, 1]");
        }
        ArgumentOutOfRangeException.ThrowIfLessThan(TopClasses, 1);
    }
}
