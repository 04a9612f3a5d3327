namespace GroupViT.Native;

/// <summary>The text encoder's shape: <c>text_config</c> of a GroupViT configuration (spec B.1, C.2).</summary>
public sealed record TextConfig
{
    /// <summary>Rows of the token table. 1 to 4,194,304; default 49408.</summary>
    public int VocabSize { get; init; } = 49408;

    /// <summary>Width of a token. 1 to 8192, divisible by <see cref="NumAttentionHeads"/>; default 256.</summary>
    public int HiddenSize { get; init; } = 256;

    /// <summary>Hidden width of a layer's MLP. 1 to 65536; default 1024.</summary>
    public int IntermediateSize { get; init; } = 1024;

    /// <summary>Layers. 1 to 256; default 12.</summary>
    public int NumHiddenLayers { get; init; } = 12;

    /// <summary>Attention heads. 1 to 256; default 4.</summary>
    public int NumAttentionHeads { get; init; } = 4;

    /// <summary>The context: how many tokens a text may have, start and end included. 2 to 65536; default 77.</summary>
    public int MaxPositionEmbeddings { get; init; } = 77;

    /// <summary>Activation of the MLPs; default <see cref="ActivationFunction.QuickGelu"/>.</summary>
    public ActivationFunction HiddenAct { get; init; } = ActivationFunction.QuickGelu;

    /// <summary>Epsilon of every layer norm. 1e-12 to 0.1; default 1e-5.</summary>
    public double LayerNormEps { get; init; } = 1e-5;

    /// <summary>Id of the end-of-text token, whose position is read as the text's feature. Below <see cref="VocabSize"/>; default 49407.</summary>
    public int EosTokenId { get; init; } = 49407;

    /// <summary>
    /// Whether the text's feature stands at the first largest id rather than at the first <see cref="EosTokenId"/>. Files from before
    /// the field meant anything all say 2 there; the reference takes that value as a sign for the older rule (spec B.2).
    /// </summary>
    public bool PoolsAtLargestId => EosTokenId == 2;

    /// <summary>Width of one attention head.</summary>
    public int HeadSize => HiddenSize / NumAttentionHeads;
}
