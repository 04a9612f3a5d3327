using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>
/// The score of every label for every group, made on the host in float64 for what needs all its digits (windows that overlap) or no pixels
/// (explanations); a picture's labels are scored where they are made (<see cref="LabelScores"/>). Its buffers are made once.
/// </summary>
internal sealed class ScoreTable(int groups, int maxLabels)
{
    private readonly double[] affinity = new double[groups * maxLabels];
    private readonly double[] picture = new double[maxLabels];
    private readonly double[] best = new double[groups];
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
        LabelScoring.Affinities(embedding, bank.Embeddings, bank.Width, temperature, picture);
        LabelScoring.Affinities(groupEmbeddings, bank.Embeddings, bank.Width, temperature, affinity);
        LabelScoring.Keep(picture.AsSpan(0, n), options.TopClasses, kept.AsSpan(0, n));
        int first = bank.HasBackground ? 1 : 0;
        double threshold = Math.Min(options.BackgroundThreshold, LabelScoring.Probabilities(affinity, kept.AsSpan(0, n), best));
        for (int g = 0; g < groups; g++)
        {
            Span<double> target = exact.AsSpan(g * (n + first), n + first);
            affinity.AsSpan(g * n, n).CopyTo(target[first..]);
            if (first == 1)
            {
                target[0] = LabelScoring.Background(options.IsSoft, best[g], threshold);
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
        LabelScoring.Affinities(groupEmbeddings, bank.Embeddings, bank.Width, temperature, affinity);
        for (int i = 0; i < groups * bank.Count; i++)
        {
            table[i] = (float)affinity[i];
        }
    }
}
