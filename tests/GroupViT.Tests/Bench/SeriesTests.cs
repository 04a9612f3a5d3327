using GroupViT.Native.Measuring;

namespace GroupViT.Tests.Bench;

/// <summary>The arithmetic behind every printed figure.</summary>
internal sealed class SeriesTests
{
    [Test]
    public void Median_quartiles_and_extremes_are_those_of_the_sorted_samples()
    {
        Series series = new(9.0, 1, 5, 3, 7);
        Assert.That((series.Count, series.Min, series.Median, series.Max), Is.EqualTo((5, 1.0, 5.0, 9.0)));
        Assert.That(series.Spread, Is.EqualTo(7 - 3));
        Assert.That(series.Samples, Is.EqualTo((double[])[9, 1, 5, 3, 7]), "the order of the samples is kept");
    }

    [TestCase(0, 1)]
    [TestCase(0.5, 2.5)]
    [TestCase(0.25, 1.75)]
    [TestCase(0.95, 3.85)]
    [TestCase(1, 4)]
    public void Quantiles_lie_between_samples_by_linear_interpolation(double share, double expected)
        => Assert.That(new Series(4.0, 3, 2, 1).Quantile(share), Is.EqualTo(expected).Within(1e-12));

    [Test]
    public void One_sample_is_its_own_median_without_spread()
    {
        Series series = new(3.5);
        Assert.That((series.Median, series.Spread, series.Quantile(0.99)), Is.EqualTo((3.5, 0.0, 3.5)));
    }

    [Test]
    public void The_ratio_is_taken_round_by_round()
    {
        // A machine that slows down to a third in the last rounds: the ratio of medians would be 3, round by round it is 2.
        Series ours = new(1.0, 1, 3, 3, 3);
        Series theirs = new(2.0, 2, 6, 6, 6);
        Assert.That(theirs.Over(ours).Samples, Is.All.EqualTo(2));
        Series uneven = new Series(2.0, 9, 4).Over(new Series(1.0, 3, 4));
        Assert.That((uneven.Median, uneven.Min, uneven.Max), Is.EqualTo((2.0, 1.0, 3.0)));
    }

    [Test]
    public void What_is_no_series_is_refused()
    {
        Assert.That(() => new Series(), Throws.ArgumentException);
        Assert.That(() => new Series(1, double.NaN), Throws.ArgumentException);
        Assert.That(() => new Series(double.PositiveInfinity), Throws.ArgumentException);
        Assert.That(() => new Series(1.0).Quantile(1.5), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => new Series(1.0, 2).Over(new Series(1.0)), Throws.ArgumentException);
    }
}
