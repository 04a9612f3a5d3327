namespace GroupViT.Native;

/// <summary>Computes the facts of an <see cref="Explanation"/> from an encoded picture, with the table that labels it.</summary>
internal sealed class Explainer
{
    private readonly LabelBank bank;
    private readonly SegmentationOptions rules;
    private readonly double temperature;
    private readonly int groups, first;
    private readonly double[] similarity, groupSimilarity, allShare;
    private readonly int[] rank;

    public Explainer(ImageEncoding encoding, LabelBank bank, SegmentationOptions rules, double temperature)
    {
        (this.bank, this.rules, this.temperature) = (bank, rules, temperature);
        groups = encoding.GroupCount;
        first = bank.HasBackground ? 1 : 0;
        int n = bank.Count;
        similarity = Cosines(encoding.EmbeddingValues, 1);
        groupSimilarity = Cosines(encoding.GroupEmbeddings, groups);
        allShare = new double[groups * n];
        for (int g = 0; g < groups; g++)
        {
            Softmax(groupSimilarity.AsSpan(g * n, n), allShare.AsSpan(g * n, n), _ => true);
        }
        // As the filter chooses: the most similar first, the first of equals.
        rank = new int[n];
        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(c => similarity[c])];
        for (int i = 0; i < n; i++)
        {
            rank[order[i]] = i + 1;
        }
        Table = new ScoreTable(groups, bank.Labels.Count);
        Threshold = Make(Table, encoding, rules);
    }

    /// <summary>Scores of every label for every group, those that the label map is made from.</summary>
    public ScoreTable Table { get; }

    public double Threshold { get; }

    public double Make(ScoreTable table, ImageEncoding encoding, SegmentationOptions other)
    {
        if (other.Preset == SegmentationPreset.Transformers)
        {
            table.MakeTransformers(encoding.GroupEmbeddings, bank, temperature);
            return double.NaN;
        }
        return table.MakeNvlabs(encoding.EmbeddingValues, encoding.GroupEmbeddings, bank, temperature, other);
    }

    /// <summary>The label that a group goes to.</summary>
    public int Winner(ScoreTable table, int group)
    {
        ReadOnlySpan<float> row = table.Values(bank.Labels.Count).Slice(group * bank.Labels.Count, bank.Labels.Count);
        int best = 0;
        for (int label = 1; label < row.Length; label++)
        {
            best = row[label] > row[best] ? label : best;
        }
        return best;
    }

    public GroupExplanation Group(int g, long[] areas)
    {
        int n = bank.Count;
        double[] shares = allShare[(g * n)..((g + 1) * n)];
        double entropy = -shares.Where(share => share > 0).Sum(share => share * Math.Log2(share));
        GroupLabel[] best = [.. Enumerable.Range(0, n).OrderByDescending(c => shares[c]).Take(5)
            .Select(c => new GroupLabel(c + first, bank.Labels[c + first], groupSimilarity[g * n + c], shares[c], Score(g, c)))];
        return new GroupExplanation(g, areas[g], (double)areas[g] / areas.Sum(), entropy, Winner(Table, g), best);
    }

    public LabelExplanation Label(int id, long[] areas, SegmentationResult result)
    {
        int n = bank.Count;
        int c = id - first;
        bool nvlabs = rules.Preset == SegmentationPreset.Nvlabs;
        bool kept = !nvlabs || rank[c] <= rules.TopClasses;
        int best = Enumerable.Range(0, groups).MaxBy(g => kept ? Score(g, c) : allShare[g * n + c]);
        double keptShare = allShare[best * n + c];
        if (nvlabs)
        {
            double[] shares = new double[n];
            Softmax(groupSimilarity.AsSpan(best * n, n), shares, other => rank[other] <= rules.TopClasses);
            keptShare = kept ? shares[c] : 0;
        }
        int winner = Winner(Table, best);
        double winnersScore = winner < first ? Threshold : Score(best, winner - first);
        return new LabelExplanation(
            id, bank.Labels[id], similarity[c], rank[c], kept, best, keptShare, allShare[best * n + c], Score(best, c), winner, winnersScore,
            result.Labels[id].Pixels, winner == id ? 0 : areas[best], null);
    }

    /// <summary>
    /// A changed rule that gives the label groups it has not now, to be tried: a larger filter for a label that was dropped, a lower threshold
    /// for one that lost to the background. Null where no single value of these does it.
    /// </summary>
    public SegmentationOptions? Remedy(LabelExplanation label, ImageEncoding encoding, long[] areas)
    {
        if (rules.Preset != SegmentationPreset.Nvlabs || label.Pixels > 0)
        {
            return null;
        }
        SegmentationOptions changed;
        if (!label.Kept)
        {
            changed = rules with { TopClasses = label.Rank };
        }
        else if (label.WinnerThere < first)
        {
            // Rounded down, so that what is printed is below the score; half of it where there are no such digits.
            double below = Math.Floor(label.Score * 1000) / 1000;
            changed = rules with { BackgroundThreshold = below > 0 ? below : label.Score / 2 };
        }
        else
        {
            return null;
        }
        ScoreTable table = new(groups, bank.Labels.Count);
        Make(table, encoding, changed);
        return Enumerable.Range(0, groups).Any(g => areas[g] > 0 && Winner(table, g) == label.Id) ? changed : null;
    }

    private double Score(int group, int label)
        => rules.Preset == SegmentationPreset.Transformers
            ? temperature * groupSimilarity[group * bank.Count + label]
            : Table.Exact(bank.Labels.Count)[group * bank.Labels.Count + first + label];

    private double[] Cosines(float[] rows, int count)
    {
        double[] cosines = new double[count * bank.Count];
        for (int i = 0; i < cosines.Length; i++)
        {
            (int row, int label) = Math.DivRem(i, bank.Count);
            for (int k = 0; k < bank.Width; k++)
            {
                cosines[i] += (double)rows[row * bank.Width + k] * bank.Embeddings[label * bank.Width + k];
            }
        }
        return cosines;
    }

    private void Softmax(ReadOnlySpan<double> cosines, Span<double> shares, Func<int, bool> takesPart)
    {
        double max = double.NegativeInfinity;
        for (int c = 0; c < cosines.Length; c++)
        {
            max = takesPart(c) ? Math.Max(max, cosines[c]) : max;
        }
        double sum = 0;
        for (int c = 0; c < cosines.Length; c++)
        {
            shares[c] = takesPart(c) ? Math.Exp(temperature * (cosines[c] - max)) : 0;
            sum += shares[c];
        }
        foreach (ref double share in shares)
        {
            share /= sum;
        }
    }
}
