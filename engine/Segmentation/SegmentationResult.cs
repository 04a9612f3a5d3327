namespace GroupViT.Native;

/// <summary>One label's part of a picture.</summary>
/// <param name="Id">Its position in the bank, and its value in the mask.</param>
/// <param name="Label">The label.</param>
/// <param name="Pixels">How many pixels it won.</param>
/// <param name="Share">Pixels over all labelled pixels, in [0, 1].</param>
/// <param name="Score">
/// The mean of the winning value over the label's pixels, or null where it has none. nvlabs: the product of the two softmaxes, after
/// resampling; transformers: the softmax over the labels of the logits.
/// </param>
public sealed record LabelShare(int Id, string Label, long Pixels, double Share, double? Score);

/// <summary>Where the time of a segmentation went, in milliseconds.</summary>
/// <param name="Prepare">Resizing and normalising.</param>
/// <param name="Encode">The network; on GPUs, where one program goes from pixels to labels, that program.</param>
/// <param name="Label">From groups to labels; 0 where that is part of <paramref name="Encode"/>.</param>
public readonly record struct SegmentationTimings(double Prepare, double Encode, double Label);

/// <summary>A label for every pixel of a picture.</summary>
public sealed class SegmentationResult
{
    /// <summary>The mask's value where there is no label: outside the crop of preset transformers.</summary>
    public const ushort Unlabelled = 65535;

    internal SegmentationResult(int width, int height, ushort[] mask, IReadOnlyList<LabelShare> labels, SegmentationTimings timings, double effectiveThreshold)
        => (Width, Height, Mask, Labels, Timings, EffectiveThreshold) = (width, height, mask, labels, timings, effectiveThreshold);

    /// <summary>The same with an empty <see cref="Mask"/>, for who only wants the numbers.</summary>
    internal SegmentationResult WithoutMask() => new(Width, Height, [], Labels, Timings, EffectiveThreshold);

    /// <summary>The picture's width in pixels.</summary>
    public int Width { get; }

    /// <summary>The picture's height in pixels.</summary>
    public int Height { get; }

    /// <summary>Positions in the bank, row by row; <see cref="Unlabelled"/> where there is none.</summary>
    public ReadOnlyMemory<ushort> Mask { get; }

    /// <summary>All labels of the bank, in its order.</summary>
    public IReadOnlyList<LabelShare> Labels { get; }

    /// <summary>Where the time went.</summary>
    public SegmentationTimings Timings { get; init; }

    /// <summary>The background threshold after the clamp (spec F.1 step 5), or NaN where the bank has no background. Each window of mode Slide has its own: the least of them.</summary>
    public double EffectiveThreshold { get; }
}
