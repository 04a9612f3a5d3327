using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class PixelLabelsTests(TestDevice device)
{
    private static readonly (int Groups, int Labels, int Height, int Width, int OutHeight, int OutWidth)[] Shapes =
        [(1, 1, 1, 1, 1, 1), (3, 5, 2, 3, 5, 4), (2, 17, 3, 4, 2, 3)];

    // Around the vectors' widths, more labels than one, as many pixels as there were, fewer, and more than one tile of 8,192.
    private static readonly (int Groups, int Labels, int Height, int Width, int OutHeight, int OutWidth)[] LargerShapes =
        [(8, 21, 16, 20, 33, 47), (8, 3, 9, 11, 91, 92), (64, 16, 4, 6, 13, 9), (4, 8, 12, 12, 12, 12), (5, 31, 20, 30, 7, 8), (3, 4, 1, 50, 1, 77), (2, 15, 40, 1, 99, 1)];

    private IEnumerable<(int Groups, int Labels, int Height, int Width, int OutHeight, int OutWidth)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] bool hard, [Values] bool softmax, [Values(Values.Ordinary, Values.Negative, Values.Ties, Values.AllEqual)] Values values)
    {
        foreach ((int groups, int labels, int height, int width, int outHeight, int outWidth) in Sizes)
        {
            OperationHarness harness = new(device, groups + outWidth) { Values = values };
            Band band = new(harness, groups, labels, height, width, hard, outHeight * outWidth);
            harness.Check(band.At(outHeight, outWidth, 0, outHeight) with { SoftmaxScore = softmax });
        }
    }

    [Test]
    public void Large_and_tiny_scores_equal_the_definition([Values] bool hard, [Values(Values.Large, Values.Tiny)] Values values)
    {
        OperationHarness harness = new(device) { Values = values };
        harness.Check(new Band(harness, 3, 7, 4, 5, hard, 63).At(7, 9, 0, 7));
    }

    [Test]
    public void Several_bands_give_the_same_bits_as_one([Values] bool hard, [Values] bool softmax)
    {
        OperationHarness harness = new(device);
        (int height, int width) = device.IsSlow ? (5, 4) : (53, 37);
        Band whole = new(harness, 3, 6, 4, 5, hard, height * width);
        PixelLabels once = whole.At(height, width, 0, height) with { SoftmaxScore = softmax };
        int[] labels = harness.Integers(once, whole.Labels);
        float[] scores = harness.Floats(once, whole.Scores);
        foreach (int rows in (int[])[1, 2, height - 1])
        {
            Band part = whole.WithCapacity(rows * width);
            List<int> foundLabels = [];
            List<float> foundScores = [];
            for (int first = 0; first < height; first += rows)
            {
                int count = Math.Min(rows, height - first);
                PixelLabels band = part.At(height, width, first, count) with { SoftmaxScore = softmax };
                harness.Check(band);
                foundLabels.AddRange(harness.Integers(band, part.Labels)[..(count * width)]);
                foundScores.AddRange(harness.Floats(band, part.Scores)[..(count * width)]);
            }
            Assert.That(foundLabels, Is.EqualTo(labels), $"bands of {rows} rows");
            Assert.That(foundScores, Is.EqualTo(scores), $"bands of {rows} rows");
        }
    }

    [Test]
    public void What_exceeds_the_band_or_the_capacity_is_not_written([Values] bool hard)
    {
        OperationHarness harness = new(device);
        Band band = new(harness, 2, 3, 3, 4, hard, 25);
        harness.Check(band.At(6, 5, 1, 3));
        harness.Check(band.At(6, 5, 0, 6));
        harness.Check(band.At(6, 5, 2, 0));
        harness.CatchesIntegers(band.At(6, 5, 1, 3), band.Labels, labels => [.. labels[..15], .. labels[5..15]], "the rest of the band written");
    }

    [Test]
    public void The_first_of_equal_labels_wins([Values] bool hard)
    {
        OperationHarness harness = new(device);
        Band band = new(harness, 2, 4, 3, 4, hard, 56);
        // Labels 1 and 2 are the same and the best of both groups.
        harness.With(band.Table, 0.1f, 0.7f, 0.7f, 0.3f, 0.2f, 0.6f, 0.6f, 0.5f);
        if (!hard)
        {
            harness.With(band.Maps!, [.. Enumerable.Range(1, 24).Select(i => 1f / i)]);
        }
        PixelLabels operation = band.At(7, 8, 0, 7);
        harness.Check(operation);
        Assert.That(harness.Integers(operation, band.Labels), Is.All.EqualTo(1));
        harness.CatchesIntegers(operation, band.Labels, labels => [.. labels.Select(_ => 2)], "last of equals");
    }

    [Test]
    public void Within_one_group_the_score_is_the_table_itself()
    {
        OperationHarness harness = new(device);
        Band band = new(harness, 3, 5, 3, 4, true, 56);
        harness.With(band.Groups!, [.. Enumerable.Repeat(2, 12)]);
        float[] table = [.. Enumerable.Range(0, 15).Select(i => MathF.Sin(i) / 3)];
        harness.With(band.Table, table);
        Assert.That(harness.Floats(band.At(7, 8, 0, 7), band.Scores), Is.All.EqualTo(table[10..].Max()));
    }

    [Test]
    public void A_softmax_score_is_a_share_of_one()
    {
        OperationHarness harness = new(device);
        Band band = new(harness, 1, 3, 1, 1, true, 1);
        harness.With(band.Table, 0f, MathF.Log(3), 0f);
        PixelLabels operation = band.At(1, 1, 0, 1) with { SoftmaxScore = true };
        Assert.That(harness.Floats(operation, band.Scores)[0], Is.EqualTo(0.6f).Within(1e-6));
    }

    [Test]
    public void Seeded_faults_are_found([Values] bool hard)
    {
        OperationHarness harness = new(device);
        Band band = new(harness, 4, 6, 4, 5, hard, 100);
        PixelLabels right = band.At(9, 11, 2, 5);
        Fault("first row of the band ignored", band.Geometry(9, 11, 0, 5));
        Fault("first row off by one", band.Geometry(9, 11, 3, 5));
        Fault("a row missing", band.Geometry(9, 11, 2, 4));
        Fault("a row too many", band.Geometry(9, 11, 2, 6));
        Fault("height of the picture wrong", band.Geometry(10, 11, 2, 5));
        Fault("width of the picture wrong", band.Geometry(9, 10, 2, 5));
        harness.Catches(right, right with { Height = 5, Width = 4 }, "sides swapped");
        harness.Catches(right, right with { SoftmaxScore = true }, "softmax where none is asked");
        harness.Catches(right with { SoftmaxScore = true }, right, "softmax missing");
        harness.CatchesIntegers(right, band.Labels, labels => [.. labels[1..], labels[0]], "labels shifted");
        harness.Catches(right, band.Scores, scores => [.. scores[..54], scores[53], .. scores[55..]], "last pixel of the band repeats the one before");

        harness.With(band.Table, [.. Enumerable.Range(0, 24).Select(i => i % 6 / 3f)]);
        harness.Catches(right, right with { Table = right.Table.ColumnRange(0, 5) }, "last label dropped");

        void Fault(string name, (Tensor Tensor, int[] Values) geometry)
        {
            // What a device would write that read another geometry, held against the definition with the right one.
            OperationHarness other = new(device);
            PixelLabels wrong = band.Bind(other) with { Geometry = geometry.Tensor };
            other.With(geometry.Tensor, geometry.Values);
            float[] scores = other.Floats(wrong, band.Scores);
            harness.Catches(right, band.Scores, _ => scores, name);
        }
    }

    [Test]
    public void Bits_do_not_depend_on_threads_or_runs([Values] bool hard)
    {
        OperationHarness harness = new(device);
        (int height, int width) = device.IsSlow ? (3, 4) : (130, 129);
        harness.IsRepeatable(new Band(harness, 4, 6, 4, 5, hard, height * width).At(height, width, 0, height));
    }

    [Test]
    public void A_prepared_step_allocates_nothing([Values] bool hard)
    {
        OperationHarness harness = new(device);
        harness.AllocatesNothing(new Band(harness, 2, 3, 3, 4, hard, 9000).At(3, 3000, 0, 3) with { SoftmaxScore = true });
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        OperationHarness harness = new(device);
        PixelLabels hard = new Band(harness, 4, 6, 4, 5, true, 10).At(2, 5, 0, 2);
        PixelLabels soft = new Band(harness, 4, 6, 4, 5, false, 10).At(2, 5, 0, 2);
        Assert.DoesNotThrow(hard.Validate);
        Assert.DoesNotThrow(soft.Validate);
        Assert.Throws<ArgumentException>((hard with { Maps = soft.Maps }).Validate, "both");
        Assert.Throws<ArgumentException>((hard with { Groups = null }).Validate, "neither");
        Assert.Throws<ArgumentException>((hard with { Width = 6 }).Validate);
        Assert.Throws<ArgumentException>((soft with { Width = 6 }).Validate);
        Assert.Throws<ArgumentException>((hard with { Height = -4, Width = -5 }).Validate);
        Assert.Throws<ArgumentException>((soft with { Maps = Tensor.Float("maps", 1, 3, 20) }).Validate);
        Assert.Throws<ArgumentException>((hard with { Groups = Tensor.Float("groups", 1, 1, 20) }).Validate, "floats for integers");
        Assert.Throws<ArgumentException>((hard with { Geometry = Tensor.Int("geometry", 1, 1, 3) }).Validate);
        Assert.Throws<ArgumentException>((hard with { Labels = Tensor.Int("labels", 1, 1, 11) }).Validate);
        Assert.Throws<ArgumentException>((hard with { Labels = Tensor.Int("labels", 2, 1, 10) }).Validate);
        Assert.Throws<ArgumentException>((hard with { Table = Tensor.Float("table", 1, PixelLabels.MaxGroups + 1, 6) }).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Int("labels", 1, 1, 0));
    }

    /// <summary>The tensors of one picture's labelling, with the groups of its network pixels or their maps.</summary>
    private sealed class Band
    {
        private readonly OperationHarness harness;
        private readonly int height, width;
        private readonly int[] picks;

        public Band(OperationHarness harness, int groups, int labels, int height, int width, bool hard, int capacity)
            : this(harness, height, width, hard ? Tensor.Int("groups", 1, 1, height * width) : null, hard ? null : Tensor.Float("maps", 1, groups, height * width), Tensor.Float("table", 1, groups, labels), capacity)
        {
            // Mostly runs of one group, as pictures have them.
            picks = [.. Enumerable.Range(0, height * width).Select(i => i % 7 == 0 ? i % groups : i / 3 % groups)];
            Bind(harness);
        }

        private Band(OperationHarness harness, int height, int width, Tensor? groups, Tensor? maps, Tensor table, int capacity)
        {
            (this.harness, this.height, this.width, Groups, Maps, Table) = (harness, height, width, groups, maps, table);
            (Labels, Scores, picks) = (Tensor.Labels("labels", capacity), Tensor.Float("scores", 1, 1, capacity), []);
        }

        public Tensor? Groups { get; }

        public Tensor? Maps { get; }

        public Tensor Table { get; }

        public Tensor Labels { get; }

        public Tensor Scores { get; }

        public Band WithCapacity(int capacity) => new(harness, height, width, Groups, Maps, Table, capacity);

        public PixelLabels At(int outHeight, int outWidth, int firstRow, int rows)
        {
            (Tensor geometry, int[] values) = Geometry(outHeight, outWidth, firstRow, rows);
            harness.With(geometry, values);
            return new PixelLabels(Table, geometry, Labels, Scores, height, width) { Groups = Groups, Maps = Maps?.View() };
        }

        public (Tensor Tensor, int[] Values) Geometry(int outHeight, int outWidth, int firstRow, int rows)
            => (Tensor.Int("geometry", 1, 1, 4), [outHeight, outWidth, firstRow, rows]);

        /// <summary>The operation without its geometry, its groups known to another harness.</summary>
        public PixelLabels Bind(OperationHarness to)
        {
            if (Groups is not null)
            {
                to.With(Groups, picks);
            }
            return new PixelLabels(Table, Tensor.Int("none", 1, 1, 4), Labels, Scores, height, width) { Groups = Groups, Maps = Maps?.View() };
        }
    }
}
