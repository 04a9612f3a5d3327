namespace GroupViT.Native;

/// <summary>Whose rules turn group maps into labels.</summary>
public enum SegmentationPreset
{
    /// <summary>The authors': two softmaxes, a top-K filter, each pixel to one group, background by threshold (spec F.1).</summary>
    Nvlabs,

    /// <summary>Hugging Face's: a square crop, soft maps, no background (spec F.2).</summary>
    Transformers,
}

/// <summary>What preset nvlabs shows the network at once.</summary>
public enum SegmentationMode
{
    /// <summary>The whole resized picture.</summary>
    Whole,

    /// <summary>A square window that slides over the resized picture; scores are averaged where windows overlap (spec F.1 step 6).</summary>
    Slide,
}

/// <summary>How group maps become pixels.</summary>
public enum GroupMapKind
{
    /// <summary>Each pixel belongs to the group with the largest share (spec F.1 step 3).</summary>
    Hard,

    /// <summary>A pixel's score is the sum over groups of share times score (spec F.2 step 5).</summary>
    Soft,
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

    /// <summary>nvlabs: the whole picture at once, or a sliding window. The published numbers are made with the window.</summary>
    public SegmentationMode Mode { get; init; }

    /// <summary>Mode Slide: the window's side in pixels of the resized picture; null for the short side. In 16..2048.</summary>
    public int? Crop { get; init; }

    /// <summary>Mode Slide: pixels from one window to the next; null for half the crop. In 1..crop.</summary>
    public int? Stride { get; init; }

    /// <summary>
    /// How group maps become pixels; null for the preset's own: hard with nvlabs, soft with transformers. Soft with nvlabs is neither
    /// reference's: maps are resampled from patches to the picture at once, and background is where the best mixed score is not above the
    /// threshold.
    /// </summary>
    public GroupMapKind? Maps { get; init; }

    internal bool IsSoft => (Maps ?? (Preset == SegmentationPreset.Nvlabs ? GroupMapKind.Hard : GroupMapKind.Soft)) == GroupMapKind.Soft;

    /// <summary>The factor of cosines before a softmax, above 0; null for the model's own (nvlabs: at most 100).</summary>
    public double? Temperature { get; init; }

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
        if (Crop is < 16 or > 2048)
        {
            throw new ArgumentOutOfRangeException(nameof(Crop), Crop, "the window's side must be in 16..2048");
        }
        if (Stride < 1 || Stride > (Crop ?? ShortSide ?? 2048))
        {
            throw new ArgumentOutOfRangeException(nameof(Stride), Stride, "the window's stride must be in 1..its side, so that every pixel is seen");
        }
        if (Temperature is { } temperature && !(temperature > 0 && temperature <= 1e6))
        {
            throw new ArgumentOutOfRangeException(nameof(Temperature), Temperature, "the temperature must be above 0 and at most 1e6");
        }
        if (Mode == SegmentationMode.Slide && Preset == SegmentationPreset.Transformers)
        {
            throw new ArgumentException("mode Slide is for preset nvlabs; preset transformers always sees the whole input", nameof(Mode));
        }
        if (Mode == SegmentationMode.Slide && Maps == GroupMapKind.Soft)
        {
            throw new ArgumentException("mode Slide gives each pixel to one group of a window (spec F.1); soft maps are for mode Whole", nameof(Maps));
        }
    }
}
