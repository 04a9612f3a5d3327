using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Tool.Segmenting;

/// <summary>What a run of segment was asked for, with all defaults filled in.</summary>
internal sealed record SegmentSettings
{
    public required string Model { get; init; }

    public required Precision Precision { get; init; }

    public required SegmentationOptions Rules { get; init; }

    public required LabelChoice Labels { get; init; }

    public required AlphaMode Alpha { get; init; }

    public required long MaxPixels { get; init; }

    public required int Threads { get; init; }

    public required int Batch { get; init; }

    public required int Workers { get; init; }

    public required OutputKind Outputs { get; init; }

    /// <summary>Each picture's JSON is printed.</summary>
    public bool JsonLines { get; init; }

    /// <summary>The JSON holds each label's pixels as run lengths.</summary>
    public bool JsonRle { get; init; }

    /// <summary>The labels to explain, none for all of them; null where nothing is to be explained.</summary>
    public IReadOnlyList<string>? Explain { get; init; }

    /// <summary>
    /// Where nothing is said, two workers for several pictures: each has half of the threads and need not wait for the other's threads at
    /// every step, so decoding and writing beside them cost what they take and no more. One for a single picture, and where memory is limited.
    /// </summary>
    public static int WorkersFor(int? pictures, int? given, long memoryLimit)
        => given ?? (pictures is 1 || memoryLimit < long.MaxValue || Environment.ProcessorCount < 2 ? 1 : 2);

    /// <summary>
    /// The labels' colours, for masks, overlays and tables alike: a data set's own where the list is that data set's, else the default ones,
    /// with black for a first label named background.
    /// </summary>
    public static LabelColors ColorsOf(IReadOnlyList<string> labels)
    {
        if (ClassNames.Sets.Any(set => set != "imagenet" && labels.SequenceEqual(ClassNames.Get(set))))
        {
            return LabelColors.From(Palettes.For(labels).Chunk(3).Select(color => (color[0], color[1], color[2])));
        }
        return labels[0] == ClassNames.Background
            ? LabelColors.From(Enumerable.Range(0, LabelColors.Default.Count - 1).Select(i => LabelColors.Default[i]).Prepend(((byte)0, (byte)0, (byte)0)))
            : LabelColors.Default;
    }
}
