namespace GroupViT.Native;

/// <summary>
/// The score of every label for every group: a few hundred numbers, made on the host in float64, in buffers that are made once.
/// </summary>
internal sealed class ScoreTable(int groups, int maxLabels)
{
    private readonly double[] affinity = new double[groups * maxLabels];
    private readonly double[] picture = new double[maxLabels];
    private readonly bool[] kept = new bool[maxLabels];
    private readonly float[] table = new float[groups * maxLabels];
    private readonly double[] exact = new double[groups * maxLabels];

    /// <summary>The table that was made last, [groups, labels].</summary>
    public ReadOnlySpan<float> Values(int labels) => table.AsSpan(0, groups * labels);

    /// <summary>The table of preset nvlabs before it was rounded to float32: scores near 1 differ from each other in digits that float32 has not.</summary>
    public ReadOnlySpan<double> Exact(int labels) => exact.AsSpan(0, groups * labels);

    /// <summary>
    /// Preset nvlabs (spec F.1 steps 4 and 5): Q = softmax over the labels nearest to the picture, times softmax over all; with
    /// background, a first column that is 1 for groups whose best Q is below min(threshold, largest Q of all).
    /// </summary>
    /// <returns>The effective threshold, or NaN without background.</returns>
    public double MakeNvlabs(ReadOnlySpan<float> embedding, ReadOnlySpan<float> groupEmbeddings, LabelBank bank, double temperature, SegmentationOptions options)
    {
        int n = bank.Count;
        Products(embedding, bank, 1, temperature, picture);
        Products(groupEmbeddings, bank, groups, temperature, affinity);
        Keep(n, Math.Min(options.TopClasses, n));
        int first = bank.HasBackground ? 1 : 0;
        double largest = 0;
        for (int g = 0; g < groups; g++)
        {
            Span<double> row = affinity.AsSpan(g * n, n);
            double all = 0;
            double some = 0;
            double max = double.NegativeInfinity;
            double keptMax = double.NegativeInfinity;
            for (int c = 0; c < n; c++)
            {
                max = Math.Max(max, row[c]);
                keptMax = kept[c] ? Math.Max(keptMax, row[c]) : keptMax;
            }
            for (int c = 0; c < n; c++)
            {
                all += Math.Exp(row[c] - max);
                some += kept[c] ? Math.Exp(row[c] - keptMax) : 0;
            }
            for (int c = 0; c < n; c++)
            {
                row[c] = kept[c] ? Math.Exp(row[c] - keptMax) / some * (Math.Exp(row[c] - max) / all) : 0;
                largest = Math.Max(largest, row[c]);
            }
        }
        double threshold = Math.Min(options.BackgroundThreshold, largest);
        for (int g = 0; g < groups; g++)
        {
            Span<double> row = affinity.AsSpan(g * n, n);
            Span<double> target = exact.AsSpan(g * (n + first), n + first);
            double best = 0;
            for (int c = 0; c < n; c++)
            {
                best = Math.Max(best, row[c]);
                target[first + c] = row[c];
            }
            if (first == 1)
            {
                // Mixed, the threshold stays what it is, and wins where no label's mixture is above it.
                target[0] = options.IsSoft ? threshold : best < threshold ? 1 : 0;
            }
            for (int c = 0; c < target.Length; c++)
            {
                table[g * target.Length + c] = (float)target[c];
            }
        }
        return first == 1 ? threshold : double.NaN;
    }

    /// <summary>Preset transformers (spec F.2 step 4): temperature · cosine; the second temperature changes no label and is left out.</summary>
    public void MakeTransformers(ReadOnlySpan<float> groupEmbeddings, LabelBank bank, double temperature)
    {
        Products(groupEmbeddings, bank, groups, temperature, affinity);
        for (int i = 0; i < groups * bank.Count; i++)
        {
            table[i] = (float)affinity[i];
        }
    }

    private static void Products(ReadOnlySpan<float> rows, LabelBank bank, int count, double scale, double[] target)
    {
        int width = bank.Width;
        for (int r = 0; r < count; r++)
        {
            for (int c = 0; c < bank.Count; c++)
            {
                double sum = 0;
                ReadOnlySpan<float> row = rows.Slice(r * width, width);
                ReadOnlySpan<float> label = bank.Embeddings.AsSpan(c * width, width);
                for (int k = 0; k < width; k++)
                {
                    sum += (double)row[k] * label[k];
                }
                target[r * bank.Count + c] = scale * sum;
            }
        }
    }

    // The K largest of the picture's own affinities, the first of equals.
    private void Keep(int n, int count)
    {
        Array.Clear(kept);
        for (int i = 0; i < count; i++)
        {
            int best = -1;
            for (int c = 0; c < n; c++)
            {
                if (!kept[c] && (best < 0 || picture[c] > picture[best]))
                {
                    best = c;
                }
            }
            kept[best] = true;
        }
    }
}
