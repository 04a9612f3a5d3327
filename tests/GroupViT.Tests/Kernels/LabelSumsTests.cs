using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class LabelSumsTests(TestDevice device)
{
    // A run shorter than a thread's, some of them, more than a tile of the cpu's, an odd number.
    private IEnumerable<(int Capacity, int Labels)> Sizes => device.IsSlow ? [(1, 1), (70, 3)] : [(1, 1), (70, 3), (200, 1025), (8192, 2), (20_001, 21)];

    [Test]
    public void They_equal_their_definition([Values(1, 5, 90)] int run)
    {
        foreach ((int capacity, int labels) in Sizes)
        {
            Band band = new(device, capacity, labels, run);
            band.Harness.Check(band.Of(1, capacity));
            band.Harness.IsRepeatable(band.Of(1, capacity));
        }
    }

    // 16 bits without a sign.
    [Test]
    public void The_highest_labels_are_counted()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator takes a while for the sums of 65,535 labels");
        }
        Band band = new(device, 90, 65_535, 30);
        band.Harness.With(band.Labels, [.. Enumerable.Repeat(32_767, 30), .. Enumerable.Repeat(32_768, 30), .. Enumerable.Repeat(65_534, 30)]);
        band.Harness.Check(band.Of(1, 90));
    }

    [Test]
    public void What_lies_beyond_the_band_is_not_counted()
    {
        Band band = new(device, 100, 4, 9);
        foreach ((int rows, int width) in (ReadOnlySpan<(int, int)>)[(3, 20), (0, 20), (7, 13), (9, 20)])
        {
            LabelSums operation = band.Of(rows, width);
            band.Harness.Check(operation);
            int[] sums = band.Harness.Integers(operation, operation.Sums);
            Assert.That(Enumerable.Range(0, 4).Sum(label => LabelSums.ScoreOf(sums, label).Count), Is.EqualTo(Math.Min(100, rows * width)));
        }
    }

    [Test]
    public void Sums_are_those_of_the_scores()
    {
        Band band = new(device, 60, 2, 7);
        float[] scores = [.. Enumerable.Range(0, 60).Select(i => (i + 1) / 64f)];
        (scores[0], scores[1], scores[2], scores[3]) = (1, 0, MathF.ScaleB(1, -31), MathF.BitIncrement(1));
        band.Harness.With(band.Scores, scores);
        LabelSums operation = band.Of(1, 60);
        int[] sums = band.Harness.Integers(operation, operation.Sums);
        for (int label = 0; label < 2; label++)
        {
            (int count, double score) = LabelSums.ScoreOf(sums, label);
            int[] pixels = [.. Enumerable.Range(0, 60).Where(i => band.Picks[i] == label)];
            Assert.That(count, Is.EqualTo(pixels.Length));
            Assert.That(score, Is.EqualTo(pixels.Sum(i => (double)scores[i])), "every score of 24 bits down to 2^-8, and 2^-31 itself, is exact");
        }
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        Band band = new(device, 90, 3, 11);
        LabelSums right = band.Of(3, 30);
        band.Harness.CatchesIntegers(right, right.Sums, sums => [sums[0] + 1, .. sums[1..]], "a pixel too many");
        band.Harness.CatchesIntegers(right, right.Sums, sums => [sums[0], sums[1] - 1, .. sums[2..]], "a unit missing");
        band.Harness.CatchesIntegers(right, right.Sums, sums => [.. sums[4..], .. sums[..4]], "labels shifted");
        band.Harness.CatchesMissingEnd(right, right.Sums);
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
    {
        Band band = new(device, 200, 5, 3);
        band.Harness.AllocatesNothing(band.Of(1, 200));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        LabelSums right = new(Tensor.Labels("labels", 8), Tensor.Float("scores", 1, 1, 8), Tensor.Int("geometry", 1, 1, 4), Tensor.Int("sums", 1, 3, 4));
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Labels = Tensor.Int("labels", 1, 1, 8) }).Validate);
        Assert.Throws<ArgumentException>((right with { Scores = Tensor.Float("scores", 1, 1, 7) }).Validate);
        Assert.Throws<ArgumentException>((right with { Geometry = Tensor.Int("geometry", 1, 1, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Sums = Tensor.Int("sums", 1, 3, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Sums = Tensor.Float("sums", 1, 3, 4) }).Validate);
        LabelSums large = right with { Labels = Tensor.Labels("labels", (1 << 19) + 1), Scores = Tensor.Float("scores", 1, 1, (1 << 19) + 1) };
        Assert.That(large.Validate, Throws.ArgumentException.With.Message.Contains("524288 pixels"));
    }

    private sealed class Band
    {
        private readonly int labels;

        public Band(TestDevice device, int capacity, int labels, int run)
        {
            this.labels = labels;
            Harness = new OperationHarness(device, capacity + run);
            (Labels, Scores) = (Tensor.Labels("labels", capacity), Tensor.Float("scores", 1, 1, capacity));
            Picks = [.. Enumerable.Range(0, capacity).Select(i => i / run * 7 % labels)];
            Harness.With(Labels, Picks);
            Random random = new(run);
            Harness.With(Scores, [.. Enumerable.Range(0, capacity).Select(_ => random.NextSingle())]);
        }

        public OperationHarness Harness { get; }

        public Tensor Labels { get; }

        public Tensor Scores { get; }

        public int[] Picks { get; }

        public LabelSums Of(int rows, int width)
        {
            Tensor geometry = Tensor.Int("geometry", 1, 1, 4);
            Harness.With(geometry, 1, width, 0, rows);
            return new LabelSums(Labels, Scores, geometry, Tensor.Int("sums", 1, labels, LabelSums.Parts));
        }
    }
}
