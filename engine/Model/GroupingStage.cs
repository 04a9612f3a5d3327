using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>
/// One stage of the image encoder (spec A.3): learned group tokens are appended to the image tokens, transformer blocks run over all of
/// them, and a grouping block turns the image tokens into fewer. The last stage has blocks only.
/// </summary>
internal sealed class GroupingStage(Layers layers, VisionConfig vision, int stage)
{
    private readonly string name = $"vision_model.encoder.stages.{stage}";
    private readonly Graph graph = layers.Graph;

    public int GroupTokens => vision.NumGroupTokens[stage];

    public int OutputGroups => vision.NumOutputGroups[stage];

    public bool Groups => vision.Groups(stage);

    /// <summary>The stage's token sequence, [B, L + G, C]; whoever makes the image tokens writes the first L rows.</summary>
    public Tensor Tokens(int batch, int imageTokens)
        => Tensor.Float($"{name}.tokens", batch, imageTokens + GroupTokens, vision.HiddenSize);

    /// <summary>Group tokens go in behind the image tokens: the learned ones, plus, from the second stage on, the projected ones of the stage before.</summary>
    /// <param name="tokens">The sequence whose last rows are written.</param>
    /// <param name="previous">The group tokens as they left the previous stage's blocks, or null in the first stage.</param>
    public void AppendGroupTokens(Tensor tokens, TensorView? previous)
    {
        if (!Groups)
        {
            return;
        }
        TensorView learned = layers.Weights.Parameter($"{name}.group_token").View().Repeat(tokens.Batch);
        TensorView target = tokens.View().RowRange(tokens.Rows - GroupTokens, GroupTokens);
        if (previous is not { } g)
        {
            graph.Add(new Add(learned, null, target));
            return;
        }
        string projector = $"{name}.group_projector";
        string tap = $"stages.{stage}.group_projector";
        TensorView normed = layers.LayerNorm($"{projector}.0", g);
        Activation activation = Layers.Kernel(vision.HiddenAct);
        if (!graph.IsTapped(tap))
        {
            layers.MixTokens($"{projector}.1", normed, activation, target, residual: learned);
            return;
        }
        Tensor projected = Tensor.Float(projector, tokens.Batch, GroupTokens, tokens.Columns);
        layers.MixTokens($"{projector}.1", normed, activation, projected);
        graph.Tap(tap, projected);
        graph.Add(new Add(projected, learned, target));
    }

    /// <summary>Runs the blocks; returns image tokens and group tokens as two views of one tensor.</summary>
    public (TensorView Image, TensorView? Group) Blocks(Tensor tokens)
    {
        TensorView y = tokens;
        for (int i = 0; i < vision.Depths[stage]; i++)
        {
            y = new TransformerBlock(layers, $"{name}.layers.{i}", vision.NumAttentionHeads, Layers.Kernel(vision.HiddenAct)).Describe(y);
        }
        int image = y.Rows - GroupTokens;
        return (y.RowRange(0, image), Groups ? y.RowRange(image, GroupTokens) : null);
    }

    public Assignment Assign(TensorView image, TensorView group, TensorView output, Tensor? forced)
        => new GroupingBlock(layers, vision, stage).Describe(image, group, output, forced);
}
