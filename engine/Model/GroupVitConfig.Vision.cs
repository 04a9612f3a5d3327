namespace GroupViT.Native;

/// <summary>The image encoder's shape: <c>vision_config</c> of a GroupViT configuration (spec A, C.2).</summary>
public sealed record VisionConfig
{
    /// <summary>Width of a token. 2 to 8192, divisible by <see cref="NumAttentionHeads"/>; default 384.</summary>
    public int HiddenSize { get; init; } = 384;

    /// <summary>Hidden width of the MLPs in blocks and in the pre-assign layer. 1 to 65536; default 1536.</summary>
    public int IntermediateSize { get; init; } = 1536;

    /// <summary>Blocks per stage: 2 to 8 stages of 1 to 256 blocks, at most 256 together; default 6, 3, 3.</summary>
    public IReadOnlyList<int> Depths { get; init; } = [6, 3, 3];

    /// <summary>Group tokens that each stage brings in. 1 to 4096 each, and 0 for the last stage; default 64, 8, 0.</summary>
    public IReadOnlyList<int> NumGroupTokens { get; init; } = [64, 8, 0];

    /// <summary>Tokens that each stage's grouping block puts out. 1 to 4096 each (the last entry is not used, and may be 0); default 64, 8, 8.</summary>
    public IReadOnlyList<int> NumOutputGroups { get; init; } = [64, 8, 8];

    /// <summary>Attention heads. 1 to 256; default 6.</summary>
    public int NumAttentionHeads { get; init; } = 6;

    /// <summary>Side in pixels of the square that the position table is for. 1 to 16384, a multiple of <see cref="PatchSize"/>; default 224.</summary>
    public int ImageSize { get; init; } = 224;

    /// <summary>Side of a patch in pixels. 1 to 256; default 16.</summary>
    public int PatchSize { get; init; } = 16;

    /// <summary>Colour channels of a picture: 3.</summary>
    public int NumChannels { get; init; } = 3;

    /// <summary>Activation of the MLPs; default <see cref="ActivationFunction.Gelu"/>.</summary>
    public ActivationFunction HiddenAct { get; init; } = ActivationFunction.Gelu;

    /// <summary>Epsilon of every layer norm. 1e-12 to 0.1; default 1e-5.</summary>
    public double LayerNormEps { get; init; } = 1e-5;

    /// <summary>Added to the number of tokens in a group before dividing by it. 1e-6 to 1e6; default 1.</summary>
    public double AssignEps { get; init; } = 1;

    /// <summary>
    /// Hidden widths of a grouping block's two MLPs, as multiples of <see cref="HiddenSize"/>: of the mixer over tokens and of the one
    /// over channels. More than 0 to 64 each; default 0.5 and 4.
    /// </summary>
    public (double Tokens, double Channels) AssignMlpRatio { get; init; } = (0.5, 4);

    /// <summary>Number of stages.</summary>
    public int StageCount => Depths.Count;

    /// <summary>Width of one attention head.</summary>
    public int HeadSize => HiddenSize / NumAttentionHeads;

    /// <summary>Patches along a side of the position table.</summary>
    public int PatchesPerSide => ImageSize / PatchSize;

    /// <summary>Rows of the position table.</summary>
    public int NumPatches => PatchesPerSide * PatchesPerSide;

    /// <summary>Hidden width of the mixer over tokens in a grouping block (rounded down, as the reference does).</summary>
    public int TokenMixerSize => (int)(AssignMlpRatio.Tokens * HiddenSize);

    /// <summary>Hidden width of the MLP over channels in a grouping block (rounded down, as the reference does).</summary>
    public int ChannelMlpSize => (int)(AssignMlpRatio.Channels * HiddenSize);

    /// <summary>Hidden width of the projector that carries group tokens from stage to stage.</summary>
    public int GroupProjectorSize => HiddenSize / 2;

    /// <summary>Whether the stage brings in group tokens and ends in a grouping block: all but the last do.</summary>
    /// <param name="stage">From 0.</param>
    public bool Groups(int stage) => NumGroupTokens[stage] > 0;

    /// <summary>Equal fields; lists compare by their items.</summary>
    public bool Equals(VisionConfig? other)
        => other is not null
        && Scalars().Equals(other.Scalars())
        && Depths.SequenceEqual(other.Depths)
        && NumGroupTokens.SequenceEqual(other.NumGroupTokens)
        && NumOutputGroups.SequenceEqual(other.NumOutputGroups);

    /// <inheritdoc/>
    public override int GetHashCode() => Scalars().GetHashCode();

    private (int, int, int, int, int, int, ActivationFunction, double, double, (double, double)) Scalars()
        => (HiddenSize, IntermediateSize, NumAttentionHeads, ImageSize, PatchSize, NumChannels, HiddenAct, LayerNormEps, AssignEps, AssignMlpRatio);
}
