using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>What a grouping block leaves for segmentation and verification.</summary>
/// <param name="Soft">The soft assignment, [B, groups, tokens]: what segmentation reads.</param>
/// <param name="Index">The group of each token, [B, 1, tokens] integers: what the network uses.</param>
internal sealed record Assignment(Tensor Soft, Tensor Index);

/// <summary>
/// Turns L tokens into G groups (spec A.6): the group tokens look at the image tokens, then every image token chooses one group, and
/// each group becomes the mean of its tokens.
/// </summary>
internal sealed class GroupingBlock(Layers layers, VisionConfig vision, int stage)
{
    private readonly string name = $"vision_model.encoder.stages.{stage}.downsample";
    private readonly Graph graph = layers.Graph;
    private readonly Activation activation = Layers.Kernel(vision.HiddenAct);

    /// <param name="x">Image tokens, [B, L, C].</param>
    /// <param name="g">Group tokens as they left the blocks, [B, G_in, C].</param>
    /// <param name="output">Where the groups go, [B, G, C].</param>
    /// <param name="forced">A recorded assignment to use instead of the arg-max, [B, 1, L] integers.</param>
    public Assignment Describe(TensorView x, TensorView g, TensorView output, Tensor? forced)
    {
        int c = x.Columns;
        int batch = x.Batch;
        int groups = output.Rows;

        TensorView ĝ = layers.LayerNorm($"{name}.norm_tokens", g);                                  // [B, G_in, C]
        TensorView x̂ = layers.LayerNorm($"{name}.norm_x", x);                                       // [B, L, C]
        graph.Tap(Tap("norm_x"), x̂);
        Tensor mixed = Tensor.Float($"{name}.mlp_inter", batch, groups, c);
        layers.MixTokens($"{name}.mlp_inter", ĝ, activation, mixed);                                // [B, G, C]
        graph.Tap(Tap("mlp_inter"), mixed);
        TensorView p = layers.LayerNorm($"{name}.norm_post_tokens", mixed);
        graph.Tap(Tap("norm_post_tokens"), p);

        // Four projections read x̂: keys and values of the pre-assign attention and of the assignment. Two products make them, not one: the attention's are
        // done with before the assignment's are made, which would be the most that the whole network holds; and they may be kept in 16 bits.
        TensorView seen = layers.Linears(x̂, 0, $"{name}.pre_assign_attn.attn.k_proj", $"{name}.pre_assign_attn.attn.v_proj");                       // [B, L, 2C]
        p = PreAssign(p, seen.ColumnRange(0, c), seen.ColumnRange(c, c));
        TensorView chosen = layers.Linears(x̂, 0, $"{name}.assign.k_proj", $"{name}.assign.v_proj");                                                 // [B, L, 2C]

        TensorView q = layers.Linear($"{name}.assign.q_proj", p);
        Tensor logits = Tensor.Float($"{name}.logits", batch, groups, x.Rows);                      // [B, G, L]
        Tensor soft = Tensor.Float($"{name}.soft", batch, groups, x.Rows);
        Tensor index = Tensor.Int($"{name}.index", batch, 1, x.Rows);
        Tensor means = Tensor.Float($"{name}.means", batch, groups, c);
        graph.Add(new GroupAssign(
            q, chosen.ColumnRange(0, c), chosen.ColumnRange(c, c), logits, soft, index, means, 1 / MathF.Sqrt(c), (float)vision.AssignEps)
        {
            Forced = forced,
        });
        graph.Tap($"stages.{stage}.assign_logits", logits);
        graph.Tap($"stages.{stage}.soft_assignment", soft);
        graph.Tap($"stages.{stage}.hard_index", index);

        Tensor z = Tensor.Float($"{name}.z", batch, groups, c);
        layers.AddLinear($"{name}.assign.proj", means, residual: p, z, tap: Tap("assign"));
        TensorView h = layers.LayerNorm($"{name}.norm_new_x", z);
        h = layers.Linear($"{name}.mlp_channels.fc1", h, activation);                               // [B, G, 4C]
        layers.AddLinear($"{name}.mlp_channels.fc2", h, residual: z, output, tap: Tap("mlp_channels"));
        graph.Tap(Tap(null), output);
        return new Assignment(soft, index);
    }

    /// <summary>
    /// The groups attend to the image tokens (spec A.5): no norm on queries or keys, one before the MLP and one at the very end.
    /// </summary>
    private TensorView PreAssign(TensorView p, TensorView k, TensorView v)
    {
        string block = $"{name}.pre_assign_attn";
        TensorView q = layers.Linear($"{block}.attn.q_proj", p);
        Tensor mixed = Layers.Like($"{block}.attention", p);
        graph.Add(new Attention(q, k, v, mixed, vision.NumAttentionHeads, 1 / MathF.Sqrt(vision.HeadSize)) { Format = layers.Format });
        Tensor y = Layers.Like($"{block}.attended", p);
        layers.AddLinear($"{block}.attn.out_proj", mixed, residual: p, y, tap: Tap("pre_assign_attn.attn"));
        TensorView h = layers.LayerNorm($"{block}.norm2", y);
        h = layers.Linear($"{block}.mlp.fc1", h, activation);
        Tensor z = Layers.Like($"{block}.mlp", p);
        layers.AddLinear($"{block}.mlp.fc2", h, residual: y, z, tap: Tap("pre_assign_attn.mlp"));
        TensorView post = layers.LayerNorm($"{block}.norm_post", z);
        graph.Tap(Tap("pre_assign_attn"), post);
        return post;
    }

    private string Tap(string? part) => $"stages.{stage}.downsample" + (part is null ? "" : $".{part}");
}
