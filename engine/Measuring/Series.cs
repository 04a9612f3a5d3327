namespace GroupViT.Native.Measuring;

/// <summary>Samples of one quantity in the order they were taken, with the few numbers that are said of them.</summary>
internal sealed class Series
{
    private readonly double[] samples;
    private readonly double[] sorted;

    /// <param name="samples">At least one finite number.</param>
    public Series(params IReadOnlyCollection<double> samples)
    {
        if (samples.Count == 0)
        {
            throw new ArgumentException("a series needs at least one sample", nameof(samples));
        }
        this.samples = [.. samples];
        int bad = Array.FindIndex(this.samples, sample => !double.IsFinite(sample));
        if (bad >= 0)
        {
            throw new ArgumentException($"sample {bad} is {this.samples[bad]}", nameof(samples));
        }
        sorted = [.. this.samples.Order()];
    }

    /// <summary>In the order they were taken.</summary>
    public IReadOnlyList<double> Samples => samples;

    public int Count => samples.Length;

    public double Min => sorted[0];

    public double Max => sorted[^1];

    public double Median => Quantile(0.5);

    /// <summary>The distance between the quartiles, in the samples' unit: half of all samples lie within it.</summary>
    public double Spread => Quantile(0.75) - Quantile(0.25);

    /// <summary>The value below which the given share of the samples lies, between two samples by linear interpolation.</summary>
    /// <param name="share">From 0 (the least) to 1 (the largest).</param>
    public double Quantile(double share)
    {
        if (share is not (>= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(share), share, "a quantile's share is from 0 to 1");
        }
        double place = share * (sorted.Length - 1);
        int below = (int)place;
        double next = sorted[Math.Min(below + 1, sorted.Length - 1)];
        return sorted[below] + (place - below) * (next - sorted[below]);
    }

    /// <summary>
    /// Sample for sample this over the other. The median of it is the honest ratio of two contenders that ran in turn: what slowed a round
    /// slowed both.
    /// </summary>
    /// <exception cref="ArgumentException">The other has another number of samples: they were not taken in the same rounds.</exception>
    public Series Over(Series other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.Count != Count)
        {
            throw new ArgumentException($"{Count} samples cannot be compared round by round with {other.Count}", nameof(other));
        }
        return new Series([.. samples.Zip(other.samples, (mine, theirs) => mine / theirs)]);
    }
}
