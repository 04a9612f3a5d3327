using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>The text tower on the recorded token ids.</summary>
internal sealed class TextVerifier(VerificationRun run, ModelWeights weights, WeightFormat format, Verifier.Runner runner)
{
    private const string Prefix = "text.";

    public void Compare()
    {
        int[] shape = run.Shape("text.input_ids");
        int[] ids = run.Reference.ReadInt32("text.input_ids");
        int[] mask = run.Has("text.attention_mask") ? run.Reference.ReadInt32("text.attention_mask") : [.. ids.Select(_ => 1)];
        TextConfig text = weights.Config.Text;
        if (shape.Length != 2 || shape[1] > text.MaxPositionEmbeddings || ids.Any(id => id < 0 || id >= text.VocabSize))
        {
            throw new ModelFileException(run.Reference.Name, $"the ids do not fit this model's context of {text.MaxPositionEmbeddings} and vocabulary of {text.VocabSize}", "text.input_ids");
        }
        Dictionary<string, float[]> tapped = Run(name => run.Has(name), shape, ids, mask);
        foreach ((string name, float[] ours) in tapped)
        {
            run.Ours[name] = ours;
            if (run.Wants(name))
            {
                // [B, T, C]: padding positions are computed, but nothing depends on them.
                int width = run.Shape(name) is { Length: 3 } full ? full[2] : 0;
                run.Compare(name, ours, null, width == 0 ? null : i => mask[i / width] == 1);
            }
        }
        const string projection = "text.text_projection";
        if (run.Wants(projection))
        {
            float[] production = Run(_ => false, shape, ids, mask)["projected"];
            run.Compare($"{projection} (production)", projection, run.Reference.ReadFloat32(projection), production, run.Reference.Tolerance(projection), "untapped");
        }
    }

    private Dictionary<string, float[]> Run(Predicate<string> tapped, int[] shape, int[] ids, int[] mask)
    {
        Graph graph = new(tapped);
        (int batch, int length) = (shape[0], shape[1]);
        TextFeatures features = new TextEncoder(weights, format).Describe(graph, batch, length);
        int[] lengths = new int[batch];
        int[] pick = new int[batch];
        for (int b = 0; b < batch; b++)
        {
            lengths[b] = Math.Max(1, mask.AsSpan(b * length, length).Count(1));
            pick[b] = TextPooling.EndPosition(ids.AsSpan(b * length, length), weights.Config.Text);
        }
        return runner.Run(graph, program =>
        {
            program.Upload<int>(features.Ids, ids);
            program.Upload<int>(features.Lengths, lengths);
            program.Upload<int>(features.Pick, pick);
        });
    }
}

/// <summary>Which position stands for a text (spec B.2).</summary>
internal static class TextPooling
{
    /// <summary>The first largest id under the legacy configuration, else the first end token, else position 0.</summary>
    public static int EndPosition(ReadOnlySpan<int> ids, TextConfig text)
    {
        if (!text.PoolsAtLargestId)
        {
            return Math.Max(0, ids.IndexOf(text.EosTokenId));
        }
        int best = 0;
        for (int i = 1; i < ids.Length; i++)
        {
            best = ids[i] > ids[best] ? i : best;
        }
        return best;
    }
}
