using GroupViT.Native.Text;

namespace GroupViT.Native;

public sealed partial class Session
{
    /// <summary>
    /// Encodes labels once: each is put into every template, encoded, and the mean is normalised (spec F.1 step 0).
    /// </summary>
    /// <param name="labels">
    /// At least one, no duplicates; a mask's values are positions in this list. A label may have synonyms, <c>sofa|couch|settee</c>: it is
    /// named by the first, and its embedding is the mean over all of them and all templates. A bar that is no separator is written <c>\|</c>.
    /// </param>
    /// <param name="how">Templates, cleaning, background.</param>
    /// <param name="cancellation">Looked at between the steps of the text tower.</param>
    /// <exception cref="LabelException">A label is empty, twice there, or longer than the model's context.</exception>
    /// <exception cref="ModelFileException">The model has no tokenizer files, or its text weights are not finite.</exception>
    public LabelBank EncodeLabels(IEnumerable<string> labels, LabelOptions? how = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(labels);
        how ??= new LabelOptions();
        IReadOnlyList<string> list = ClassNames.Check([.. labels]);
        bool background = how.Background && list[0] == ClassNames.Background;
        if (background && list.Count == 1)
        {
            throw new LabelException("'background' alone leaves nothing to look for; add labels");
        }
        IReadOnlyList<string> templates = how.Templates ?? PromptTemplates.Simple;
        if (templates.Count == 0)
        {
            throw new ArgumentException("there must be at least one template", nameof(how));
        }
        // A label's words one after another, each in every template.
        IReadOnlyList<string>[] words = [.. list.Select(Synonyms.Of)];
        if (background && words[0].Count > 1)
        {
            throw new LabelException("'background' is a threshold and has no synonyms");
        }
        int first = background ? 1 : 0;
        List<string> texts = [];
        foreach (string word in words.Skip(first).SelectMany(label => label))
        {
            texts.AddRange(templates.Select(template => PromptTemplates.Format(template, word)));
        }
        float[] projected = EncodeTexts(texts, how.Normalization, cancellation);
        int width = model.Config.ProjectionDim;
        float[] embeddings = new float[(list.Count - first) * width];
        int at = 0;
        for (int c = first; c < list.Count; c++)
        {
            int rows = words[c].Count * templates.Count;
            UnitMean(projected.AsSpan(at * width, rows * width), width, embeddings.AsSpan((c - first) * width, width));
            at += rows;
        }
        IReadOnlyList<string> names = ClassNames.Check([.. words.Select(label => label[0])]);
        return new LabelBank(names, background, embeddings, width, templates, how.Normalization, model.Fingerprint) { Texts = list };
    }

    /// <summary>A text's embedding, of length 1.</summary>
    /// <exception cref="LabelException">The text is longer than the model's context.</exception>
    public float[] EmbedText(string text, TextNormalization normalization = TextNormalization.HuggingFace, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        float[] projected = EncodeTexts([text], normalization, cancellation);
        float[] unit = new float[projected.Length];
        UnitMean(projected, projected.Length, unit);
        return unit;
    }

    private float[] EncodeTexts(IReadOnlyList<string> texts, TextNormalization normalization, CancellationToken cancellation)
    {
        model.RequireText();
        ClipTokenizer tokenizer = model.Tokenizer;
        int context = model.Config.Text.MaxPositionEmbeddings;
        int width = model.Config.ProjectionDim;
        int[][] ids = new int[texts.Count][];
        for (int i = 0; i < ids.Length; i++)
        {
            int[] content = tokenizer.Encode(texts[i], normalization);
            if (content.Length + 2 > context)
            {
                throw new LabelException($"'{texts[i]}' takes {content.Length + 2} tokens; the model's context holds {context}");
            }
            ids[i] = [tokenizer.StartId, .. content, tokenizer.EndId];
        }
        float[] projected = new float[texts.Count * width];
        SessionWorker worker = Take(cancellation);
        try
        {
            // Padding changes nothing before it (spec B.1), so a batch is as long as its longest text; the sizes that occur are few.
            for (int first = 0; first < ids.Length; first += SessionPlan.TextBatch)
            {
                EncodeTexts(worker, ids.AsSpan(first, Math.Min(SessionPlan.TextBatch, ids.Length - first)), projected.AsSpan(first * width), width, cancellation);
            }
        }
        finally
        {
            Return(worker);
        }
        return projected;
    }

    // Always a whole batch of the whole context: one program for all texts. What is missing is the first text again.
    private void EncodeTexts(SessionWorker worker, ReadOnlySpan<int[]> texts, Span<float> projected, int width, CancellationToken cancellation)
    {
        const int batch = SessionPlan.TextBatch;
        int length = 0;
        foreach (int[] text in texts)
        {
            length = Math.Max(length, text.Length);
        }
        // In steps of eight tokens, so that a handful of programs serves all lengths.
        length = Math.Min((length + 7) / 8 * 8, model.Config.Text.MaxPositionEmbeddings);
        int[] ids = new int[batch * length];
        int[] lengths = new int[batch];
        int[] pick = new int[batch];
        for (int b = 0; b < batch; b++)
        {
            int[] text = texts[b < texts.Length ? b : 0];
            text.CopyTo(ids, b * length);
            lengths[b] = text.Length;
            pick[b] = text.Length - 1;
        }
        float[] all = new float[batch * width];
        worker.EncodeTexts(ids, lengths, pick, length, all, cancellation);
        all.AsSpan(0, texts.Length * width).CopyTo(projected);
    }

    private static void UnitMean(ReadOnlySpan<float> rows, int width, Span<float> unit)
    {
        double[] mean = new double[width];
        for (int i = 0; i < rows.Length; i++)
        {
            mean[i % width] += rows[i];
        }
        double norm = Math.Max(Math.Sqrt(mean.Sum(value => value * value)), 1e-12);
        for (int i = 0; i < width; i++)
        {
            unit[i] = (float)(mean[i] / norm);
        }
    }
}
