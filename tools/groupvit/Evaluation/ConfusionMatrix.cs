namespace GroupViT.Tool.Evaluation;

/// <summary>
/// Counts of (truth, prediction), and the figures that are made of them (spec F.1, Metric). Counts are whole numbers: those of parts of
/// a data set add up to exactly the whole's.
/// </summary>
internal sealed class ConfusionMatrix(int labels)
{
    // The last column is "no label": outside the crop of preset transformers.
    private readonly long[] counts = new long[labels * (labels + 1)];

    public int Labels => labels;

    public long this[int truth, int predicted] => counts[truth * (labels + 1) + predicted];

    /// <summary>Pixels (or pictures) counted.</summary>
    public long Total => counts.Sum();

    public void Add(int truth, int predicted, long count = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)truth, (uint)labels);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)predicted, (uint)labels);
        ref long cell = ref counts[truth * (labels + 1) + predicted];
        cell = checked(cell + count);
    }

    public void Add(ConfusionMatrix other)
    {
        for (int i = 0; i < counts.Length; i++)
        {
            counts[i] = checked(counts[i] + other.counts[i]);
        }
    }

    /// <summary>Cells that are not 0: truth, prediction, count.</summary>
    public IEnumerable<(int Truth, int Predicted, long Count)> Cells()
    {
        for (int i = 0; i < counts.Length; i++)
        {
            if (counts[i] != 0)
            {
                yield return (i / (labels + 1), i % (labels + 1), counts[i]);
            }
        }
    }

    /// <summary>Of the label's pixels and the pixels that got it, the share of both; NaN for a label that is in neither.</summary>
    public double Iou(int label)
    {
        long union = Row(label) + Column(label) - this[label, label];
        return union == 0 ? double.NaN : (double)this[label, label] / union;
    }

    /// <summary>Of the label's pixels, the share that got it; NaN for a label that has none.</summary>
    public double Accuracy(int label) => Row(label) == 0 ? double.NaN : (double)this[label, label] / Row(label);

    /// <summary>Mean over the labels whose value is a number.</summary>
    public double MeanIou => Mean(Iou);

    public double MeanAccuracy => Mean(Accuracy);

    public double PixelAccuracy
    {
        get
        {
            long right = 0;
            for (int i = 0; i < labels; i++)
            {
                right += this[i, i];
            }
            return Total == 0 ? double.NaN : (double)right / Total;
        }
    }

    public long Row(int label) => counts.AsSpan(label * (labels + 1), labels + 1).ToArray().Sum();

    private long Column(int label)
    {
        long sum = 0;
        for (int truth = 0; truth < labels; truth++)
        {
            sum += this[truth, label];
        }
        return sum;
    }

    private double Mean(Func<int, double> value)
    {
        double[] numbers = [.. Enumerable.Range(0, labels).Select(value).Where(number => !double.IsNaN(number))];
        return numbers.Length == 0 ? double.NaN : numbers.Average();
    }
}
