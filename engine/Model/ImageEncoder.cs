using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>The image tower's inputs and results as tensors of a graph.</summary>
/// <param name="Pixels">Normalised pictures, [B, 3·H, W], planes stacked.</param>
/// <param name="Forced">Recorded assignments by stage, or empty.</param>
/// <param name="Embedding">The pictures' unit embeddings, [B, 1, P].</param>
/// <param name="GroupEmbeddings">The groups' unit embeddings, [B, G, P].</param>
/// <param name="Maps">The composed soft maps: each patch's share in each final group, [B, G, L].</param>
/// <param name="Assignments">The assignments, one per stage that groups.</param>
/// <param name="StageMaps">The composed soft maps of every stage, the last of which is Maps; or none.</param>
internal sealed record ImageFeatures(
    Tensor Pixels, IReadOnlyList<Tensor> Forced, Tensor Embedding, Tensor GroupEmbeddings, Tensor Maps, IReadOnlyList<Assignment> Assignments, IReadOnlyList<Tensor> StageMaps);

/// <summary>The hierarchical grouping transformer (spec A) with its projection head (spec B.4), for one batch and picture size.</summary>
internal sealed class ImageEncoder(ModelWeights weights, WeightFormat format = WeightFormat.Float32)
{
    private readonly VisionConfig vision = weights.Config.Vision;

    /// <param name="graph">What is added to.</param>
    /// <param name="batch">Pictures at once.</param>
    /// <param name="height">Pixels; what fills no whole patch is ignored.</param>
    /// <param name="width">Pixels.</param>
    /// <param name="replay">Take the assignments from inputs instead of the arg-max (verification).</param>
    /// <param name="stageMaps">Keep the maps of every stage, not of the last alone.</param>
    public ImageFeatures Describe(Graph graph, int batch, int height, int width, bool replay = false, bool stageMaps = false)
    {
        Layers layers = new(graph, weights, (float)vision.LayerNormEps, format);
        GroupingStage[] stages = [.. Enumerable.Range(0, vision.StageCount).Select(s => new GroupingStage(layers, vision, s))];
        int gridHeight = height / vision.PatchSize;
        int gridWidth = width / vision.PatchSize;
        int patches = gridHeight * gridWidth;

        Tensor pixels = graph.Input(Tensor.Float("pixel_values", batch, vision.NumChannels * height, width));
        Tensor tokens = stages[0].Tokens(batch, patches);
        Embed(layers, pixels, tokens.View().RowRange(0, patches), gridHeight, gridWidth);

        List<Tensor> forced = [];
        List<Assignment> assignments = [];
        TensorView? group = null;
        TensorView image = tokens;
        for (int s = 0; s < stages.Length; s++)
        {
            stages[s].AppendGroupTokens(tokens, group);
            (image, group) = stages[s].Blocks(tokens);
            if (group is { } g)
            {
                Tensor? recorded = replay ? graph.Input(Tensor.Int($"stages.{s}.forced", batch, 1, image.Rows)) : null;
                forced.AddRange(recorded is null ? [] : [recorded]);
                tokens = stages[s + 1].Tokens(batch, stages[s].OutputGroups);
                assignments.Add(stages[s].Assign(image, g, tokens.View().RowRange(0, stages[s].OutputGroups), recorded));
            }
        }
        return Finish(layers, pixels, forced, image, assignments, gridHeight, gridWidth, stageMaps);
    }

    // Convolution with stride = kernel, its norm, then the positions (spec A.1, A.2).
    private void Embed(Layers layers, Tensor pixels, TensorView target, int gridHeight, int gridWidth)
    {
        const string name = "vision_model.embeddings";
        Graph graph = layers.Graph;
        Tensor patches = Tensor.Float("patches", pixels.Batch, target.Rows, vision.NumChannels * vision.PatchSize * vision.PatchSize);
        graph.Add(new PatchUnfold(pixels, patches, vision.NumChannels, vision.PatchSize));
        TensorView x = layers.Linear($"{name}.patch_embeddings.projection", patches);               // [B, L, C]
        graph.Tap("embeddings.patch_embeddings", x);
        TensorView positions = weights.Positions(gridHeight, gridWidth).View().Repeat(pixels.Batch);
        if (!graph.IsTapped("embeddings.layernorm"))
        {
            layers.LayerNorm($"{name}.layernorm", x, target, residual: positions);
        }
        else
        {
            TensorView normed = layers.LayerNorm($"{name}.layernorm", x);
            graph.Tap("embeddings.layernorm", normed);
            graph.Add(new Add(normed, positions, target));
        }
        graph.Tap("embeddings", target);
    }

    // Final norm, pooling, head, and the composition of the soft maps (spec A.8, B.4, F.1 step 1).
    private ImageFeatures Finish(
        Layers layers, Tensor pixels, List<Tensor> forced, TensorView image, List<Assignment> assignments, int gridHeight, int gridWidth, bool stageMaps)
    {
        Graph graph = layers.Graph;
        int batch = pixels.Batch;
        TensorView features = layers.LayerNorm("vision_model.layernorm", image);                    // [B, G, C]
        graph.Tap("last_hidden_state", features);
        Tensor pooled = Tensor.Float("pooled", batch, 1, features.Columns);
        graph.Add(new MeanRows(features, pooled));
        graph.Tap("pooler_output", pooled);

        Projection head = new(layers, "visual_projection");
        TensorView projected = head.Describe(pooled);
        graph.Tap("visual_projection", projected);
        TensorView projectedGroups = head.Describe(features);
        graph.Tap("visual_projection_groups", projectedGroups);
        Tensor embedding = Layers.Like("embedding", projected);
        graph.Add(new NormalizeRows(projected, embedding, 1e-12f));
        Tensor groupEmbeddings = Layers.Like("group embeddings", projectedGroups);
        graph.Add(new NormalizeRows(projectedGroups, groupEmbeddings, 1e-12f));

        Tensor maps = assignments[0].Soft;                                                          // [B, G₀, L]
        List<Tensor> stages = [maps];
        foreach (Assignment next in assignments.Skip(1))
        {
            Tensor composed = Tensor.Float("composed maps", batch, next.Soft.Rows, gridHeight * gridWidth);
            graph.Add(new MatMul(next.Soft, maps, composed));
            maps = composed;
            stages.Add(maps);
        }
        graph.Tap("composed_groups", maps);
        graph.Output("embedding", embedding);
        graph.Output("group embeddings", groupEmbeddings);
        graph.Output("maps", maps);
        for (int s = 0; stageMaps && s < stages.Count - 1; s++)
        {
            graph.Output($"maps of stage {s}", stages[s]);
        }
        return new ImageFeatures(pixels, forced, embedding, groupEmbeddings, maps, assignments, stageMaps ? stages : []);
    }
}
