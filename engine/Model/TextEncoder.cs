using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>The text tower's inputs and result as tensors of a graph.</summary>
/// <param name="Ids">Token ids, [B, 1, T] integers, any padding; or, gathered on the host, their rows of the token table, [B, T, C].</param>
/// <param name="Lengths">How many ids of each text count, [1, 1, B] integers.</param>
/// <param name="Pick">The position of each text's end token, [B, 1, 1] integers.</param>
/// <param name="Projected">The head's output, not normalised, [B, 1, P].</param>
internal sealed record TextFeatures(Tensor Ids, Tensor Lengths, Tensor Pick, Tensor Projected);

/// <summary>The causal text transformer (spec B.1) with its projection head, for one batch and length.</summary>
internal sealed class TextEncoder(ModelWeights weights, WeightFormat format = WeightFormat.Float32)
{
    private const string TokenTable = "text_model.embeddings.token_embedding.weight";

    private readonly TextConfig text = weights.Config.Text;

    /// <summary>Whether the caller brings the tokens' embeddings instead of their ids: the table is the largest tensor of the model, and a text reads few rows of it.</summary>
    public bool GathersOnHost { get; init; }

    /// <summary>The embeddings of tokens, read where the checkpoint lies; an id outside the table counts as its nearest, as in the kernel.</summary>
    public static void Gather(ModelWeights weights, ReadOnlySpan<int> ids, Span<float> embedded)
    {
        Tensor table = weights.Parameter(TokenTable);
        for (int i = 0; i < ids.Length; i++)
        {
            table.RowsReader!(Math.Clamp(ids[i], 0, table.Rows - 1), embedded.Slice(i * table.Columns, table.Columns));
        }
    }

    public TextFeatures Describe(Graph graph, int batch, int length)
    {
        Layers layers = new(graph, weights, (float)text.LayerNormEps, format);
        Tensor ids = graph.Input(GathersOnHost ? Tensor.Float("token_embeddings", batch, length, text.HiddenSize) : Tensor.Int("input_ids", batch, 1, length));
        Tensor lengths = graph.Input(Tensor.Int("lengths", 1, 1, batch));
        Tensor pick = graph.Input(Tensor.Int("pick", batch, 1, 1));

        const string embeddings = "text_model.embeddings";
        TensorView positions = weights.Parameter($"{embeddings}.position_embedding.weight").View().RowRange(0, length).Repeat(batch);
        Tensor embedded = Tensor.Float("text.embeddings", batch, length, text.HiddenSize);          // [B, T, C]
        graph.Add(GathersOnHost ? new Add(ids, positions, embedded) : new GatherRows(weights.Parameter(TokenTable).View().Repeat(batch), ids, embedded) { Plus = positions });
        graph.Tap("text.embeddings", embedded);

        TensorView x = embedded;
        for (int i = 0; i < text.NumHiddenLayers; i++)
        {
            x = new TransformerBlock(layers, $"text_model.encoder.layers.{i}", text.NumAttentionHeads, Layers.Kernel(text.HiddenAct))
            {
                CausalLengths = lengths,
            }.Describe(x);
        }
        x = layers.LayerNorm("text_model.final_layer_norm", x);
        graph.Tap("text.final_layer_norm", x);

        Tensor pooled = Tensor.Float("text.pooled", batch, 1, text.HiddenSize);                     // the end token's row (spec B.2)
        graph.Add(new GatherRows(x, pick, pooled));
        graph.Tap("text.pooler_output", pooled);
        TensorView projected = new Projection(layers, "text_projection").Describe(pooled);
        graph.Tap("text.text_projection", projected);
        graph.Output("projected", projected);
        return new TextFeatures(ids, lengths, pick, projected.Tensor);
    }
}
