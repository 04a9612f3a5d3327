namespace GroupViT.Kernels;

/// <summary>The rules of <see cref="LabelScores"/> in float64, for the processor.</summary>
internal static class LabelScoring
{
    /// <summary>target[r, c] = scale · ⟨rows[r], labels[c]⟩.</summary>
    public static void Affinities(ReadOnlySpan<float> rows, ReadOnlySpan<float> labels, int width, double scale, Span<double> target)
    {
        int count = labels.Length / width;
        for (int r = 0; r < rows.Length / width; r++)
        {
            ReadOnlySpan<float> row = rows.Slice(r * width, width);
            for (int c = 0; c < count; c++)
            {
                double sum = 0;
                ReadOnlySpan<float> label = labels.Slice(c * width, width);
                for (int k = 0; k < width; k++)
                {
                    sum += (double)row[k] * label[k];
                }
                target[r * count + c] = scale * sum;
            }
        }
    }

    /// <summary>Marks the labels of the largest values, the first of equals.</summary>
    public static void Keep(ReadOnlySpan<double> picture, int count, Span<bool> kept)
    {
        kept.Clear();
        for (int i = 0; i < Math.Min(count, picture.Length); i++)
        {
            int best = -1;
            for (int c = 0; c < picture.Length; c++)
            {
                if (!kept[c] && (best < 0 || picture[c] > picture[best]))
                {
                    best = c;
                }
            }
            kept[best] = true;
        }
    }

    /// <summary>Turns the groups' affinities into their Q, a group's after another's, and tells each group's largest; returns the largest of all.</summary>
    public static double Probabilities(Span<double> affinity, ReadOnlySpan<bool> kept, Span<double> best)
    {
        double largest = 0;
        for (int g = 0; g < best.Length; g++)
        {
            best[g] = Probabilities(affinity.Slice(g * kept.Length, kept.Length), kept);
            largest = Math.Max(largest, best[g]);
        }
        return largest;
    }

    /// <summary>A group's score of the background; mixed, the threshold stays what it is, and wins where no label's mixture is above it.</summary>
    public static double Background(bool mixed, double best, double threshold) => mixed ? threshold : best < threshold ? 1 : 0;

    private static double Probabilities(Span<double> row, ReadOnlySpan<bool> kept)
    {
        double max = double.NegativeInfinity;
        double keptMax = double.NegativeInfinity;
        for (int c = 0; c < row.Length; c++)
        {
            max = Math.Max(max, row[c]);
            keptMax = kept[c] ? Math.Max(keptMax, row[c]) : keptMax;
        }
        double all = 0;
        double some = 0;
        for (int c = 0; c < row.Length; c++)
        {
            all += Math.Exp(row[c] - max);
            some += kept[c] ? Math.Exp(row[c] - keptMax) : 0;
        }
        double largest = 0;
        for (int c = 0; c < row.Length; c++)
        {
            row[c] = kept[c] ? Math.Exp(row[c] - keptMax) / some * (Math.Exp(row[c] - max) / all) : 0;
            largest = Math.Max(largest, row[c]);
        }
        return largest;
    }
}
