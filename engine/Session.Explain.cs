namespace GroupViT.Native;

public sealed partial class Session
{
    /// <summary>Says why labels are, or are not, in an encoded picture; no network runs. Mode Whole.</summary>
    /// <param name="encoding">The picture.</param>
    /// <param name="bank">The labels that were looked for.</param>
    /// <param name="rules">The rules whose outcome is explained; null for the encoding's preset with its defaults.</param>
    /// <param name="labels">The labels to explain, of the bank; null for all. The background has no explanation of its own.</param>
    /// <param name="cancellation">Looked at between steps.</param>
    /// <exception cref="LabelException">A label is not in the bank, or the bank does not fit; see <see cref="Label(ImageEncoding, LabelBank, SegmentationOptions?, CancellationToken)"/>.</exception>
    /// <exception cref="ArgumentException">The picture was encoded in mode Slide: each window has groups of its own.</exception>
    public Explanation Explain(ImageEncoding encoding, LabelBank bank, SegmentationOptions? rules = null, IReadOnlyList<string>? labels = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(encoding);
        rules ??= new SegmentationOptions { Preset = encoding.Preset, Mode = encoding.Mode };
        if (encoding.Mode == SegmentationMode.Slide)
        {
            throw new ArgumentException("in mode Slide each window has groups of its own; encode the picture in mode Whole to have it explained", nameof(encoding));
        }
        int first = bank?.HasBackground == true ? 1 : 0;
        SegmentationResult result = Label(encoding, bank!, rules, cancellation);
        int[] asked = labels is null ? [.. Enumerable.Range(first, bank!.Count)] : [.. labels.Select(Find)];
        long[] areas;
        double temperature;
        SessionWorker worker = Take(cancellation);
        try
        {
            temperature = worker.Temperature(rules.Preset, rules.Temperature);
            areas = worker.GroupAreas(encoding.Maps, new InputShape(encoding.InputWidth, encoding.InputHeight, encoding.Region), cancellation);
        }
        finally
        {
            Return(worker);
        }
        Explainer explainer = new(encoding, bank!, rules, temperature);
        List<LabelExplanation> explained = [];
        foreach (int id in asked)
        {
            LabelExplanation label = explainer.Label(id, areas, result);
            if (explainer.Remedy(label, encoding, areas) is { } changed)
            {
                // Tried, not promised.
                long pixels = Label(encoding, bank!, changed, cancellation).Labels[id].Pixels;
                label = label with { Remedy = pixels > 0 ? new LabelRemedy(changed, pixels) : null };
            }
            explained.Add(label);
        }
        return new Explanation(
            rules, temperature, explainer.Threshold, bank!.Count, [.. explained.OrderBy(label => label.Rank)],
            [.. Enumerable.Range(0, encoding.GroupCount).Select(g => explainer.Group(g, areas))]);

        int Find(string label)
        {
            for (int id = first; id < bank!.Labels.Count; id++)
            {
                if (bank.Labels[id] == label)
                {
                    return id;
                }
            }
            throw new LabelException($"'{Text.ClipVocabulary.Shown(label)}' cannot be explained: it is none of the {bank!.Count} labels that were looked for");
        }
    }
}
