namespace GroupViT.Native;

/// <summary>
/// A picture as the network sees it: one embedding, a few groups with an embedding each, and where the groups are. Labels can be asked
/// of it again and again without running the network. Immutable, thread-safe.
/// </summary>
public sealed class ImageEncoding
{
    internal ImageEncoding(SegmentationPreset preset, (int Width, int Height) picture, PictureRegion region, (int Width, int Height) input, (int Width, int Height) grid, float[] embedding, float[] groupEmbeddings, float[] maps, string fingerprint)
    {
        (Preset, PictureWidth, PictureHeight, Region) = (preset, picture.Width, picture.Height, region);
        (InputWidth, InputHeight) = input;
        (GridWidth, GridHeight) = grid;
        (EmbeddingValues, GroupEmbeddings, Maps, Fingerprint) = (embedding, groupEmbeddings, maps, fingerprint);
    }

    /// <summary>Mode Slide: from the encodings of a picture's windows.</summary>
    internal ImageEncoding((int Width, int Height) picture, (int Width, int Height) input, (int Width, int Height) grid, IReadOnlyList<EncodedWindow> windows, string fingerprint)
        : this(SegmentationPreset.Nvlabs, picture, new PictureRegion(0, 0, picture.Width, picture.Height), input, grid, MeanOf(windows), [], [], fingerprint)
        => Windows = windows;

    /// <summary>The preset whose preprocessing was used; labels must be asked for by the same one.</summary>
    public SegmentationPreset Preset { get; }

    /// <summary>The picture's width in pixels.</summary>
    public int PictureWidth { get; }

    /// <summary>The picture's height in pixels.</summary>
    public int PictureHeight { get; }

    /// <summary>Whether the network saw the whole picture at once, or a window that slid over it.</summary>
    public SegmentationMode Mode => Windows.Count > 0 ? SegmentationMode.Slide : SegmentationMode.Whole;

    /// <summary>Runs of the network: 1, or the number of windows.</summary>
    public int WindowCount => Math.Max(1, Windows.Count);

    /// <summary>The resized picture's width in pixels: the network's input, or what the windows slide over.</summary>
    public int InputWidth { get; }

    /// <summary>The resized picture's height in pixels.</summary>
    public int InputHeight { get; }

    /// <summary>Patches in a row of the network's input.</summary>
    public int GridWidth { get; }

    /// <summary>Rows of patches of the network's input.</summary>
    public int GridHeight { get; }

    /// <summary>The number of final groups of one input.</summary>
    public int GroupCount => (Windows.Count > 0 ? Windows[0].Maps : Maps).Length / (GridWidth * GridHeight);

    /// <summary>The picture's unit embedding; in mode Slide the mean of the windows', scaled to length 1.</summary>
    public ReadOnlyMemory<float> Embedding => EmbeddingValues;

    /// <summary>
    /// Who belongs to whom at every stage: first many small groups, last the few that are labelled (spec F.3). None unless the session was opened
    /// with <see cref="SessionOptions.StageMaps"/>, or in mode Slide.
    /// </summary>
    public IReadOnlyList<GroupMap> StageMaps { get; internal init; } = [];

    /// <summary>The part of the picture that the input shows.</summary>
    internal PictureRegion Region { get; }

    internal float[] EmbeddingValues { get; }

    /// <summary>[groups, width], each row of length 1.</summary>
    internal float[] GroupEmbeddings { get; }

    /// <summary>[groups, grid height, grid width]; the groups' shares of a patch sum to 1.</summary>
    internal float[] Maps { get; }

    /// <summary>In mode Slide, in the order of spec F.1 step 6; else none.</summary>
    internal IReadOnlyList<EncodedWindow> Windows { get; } = [];

    internal string Fingerprint { get; }

    /// <summary>This picture's part of what preparing and encoding its batch took.</summary>
    internal SegmentationTimings Timings { get; init; }

    private static float[] MeanOf(IReadOnlyList<EncodedWindow> windows)
    {
        double[] sum = new double[windows[0].Embedding.Length];
        foreach (EncodedWindow window in windows)
        {
            for (int i = 0; i < sum.Length; i++)
            {
                sum[i] += window.Embedding[i];
            }
        }
        double length = Math.Sqrt(sum.Sum(value => value * value));
        return [.. sum.Select(value => (float)(length > 0 ? value / length : 0))];
    }
}

/// <summary>What the network made of one window.</summary>
/// <param name="Area">Its place on the resized picture.</param>
/// <param name="Embedding">Its unit embedding.</param>
/// <param name="GroupEmbeddings">[groups, width], each row of length 1.</param>
/// <param name="Maps">[groups, grid height, grid width].</param>
internal sealed record EncodedWindow(Imaging.Window Area, float[] Embedding, float[] GroupEmbeddings, float[] Maps);

/// <summary>A rectangle of a picture, in its own pixels.</summary>
internal readonly record struct PictureRegion(int Left, int Top, int Width, int Height);
