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

    /// <summary>The preset whose preprocessing was used; labels must be asked for by the same one.</summary>
    public SegmentationPreset Preset { get; }

    /// <summary>The picture's width in pixels.</summary>
    public int PictureWidth { get; }

    /// <summary>The picture's height in pixels.</summary>
    public int PictureHeight { get; }

    /// <summary>The network input's width in pixels.</summary>
    public int InputWidth { get; }

    /// <summary>The network input's height in pixels.</summary>
    public int InputHeight { get; }

    /// <summary>Patches in a row.</summary>
    public int GridWidth { get; }

    /// <summary>Rows of patches.</summary>
    public int GridHeight { get; }

    /// <summary>The number of final groups.</summary>
    public int GroupCount => Maps.Length / (GridWidth * GridHeight);

    /// <summary>The picture's unit embedding.</summary>
    public ReadOnlyMemory<float> Embedding => EmbeddingValues;

    /// <summary>The part of the picture that the input shows.</summary>
    internal PictureRegion Region { get; }

    internal float[] EmbeddingValues { get; }

    /// <summary>[groups, width], each row of length 1.</summary>
    internal float[] GroupEmbeddings { get; }

    /// <summary>[groups, grid height, grid width]; the groups' shares of a patch sum to 1.</summary>
    internal float[] Maps { get; }

    internal string Fingerprint { get; }

    /// <summary>This picture's part of what preparing and encoding its batch took.</summary>
    internal SegmentationTimings Timings { get; init; }
}

/// <summary>A rectangle of a picture, in its own pixels.</summary>
internal readonly record struct PictureRegion(int Left, int Top, int Width, int Height);
