using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class PatchUnfoldTests(TestDevice device)
{
    private static readonly (int Batch, int Channels, int Height, int Width, int Patch)[] Shapes = [(1, 1, 1, 1, 1), (2, 3, 4, 6, 2), (1, 2, 3, 5, 2)];

    // Exactly a patch, a pixel less than two and more than one, wide, tall, and the network's own patch.
    private static readonly (int Batch, int Channels, int Height, int Width, int Patch)[] LargerShapes =
        [(1, 3, 16, 16, 16), (1, 3, 31, 33, 16), (2, 3, 48, 32, 16), (1, 3, 4, 200, 4), (1, 1, 90, 3, 3), (3, 4, 7, 7, 1), (1, 3, 20, 27, 5)];

    private IEnumerable<(int Batch, int Channels, int Height, int Width, int Patch)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values)
    {
        foreach ((int batch, int channels, int height, int width, int patch) in Sizes)
        {
            OperationHarness harness = new(device, height + width) { Values = values };
            harness.Check(Unfold(Tensor.Float("x", batch, channels * height, width), channels, patch));
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 20, 30);
        Tensor y = Tensor.Float("y", 2, 9, 40);
        harness.Check(new PatchUnfold(x.View().RowRange(3, 10).ColumnRange(5, 7).Repeat(2), y.View().RowRange(2, 6).ColumnRange(11, 8), 2, 2));
    }

    [Test]
    public void A_patch_lists_its_channels_then_its_rows_then_its_columns()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2 * 2, 4);
        harness.With(x, [.. Enumerable.Range(0, 16).Select(i => (float)i)]);
        PatchUnfold unfold = Unfold(x, 2, 2);
        Assert.That(harness.Floats(unfold, unfold.Y.Tensor), Is.EqualTo((float[])[0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]));
    }

    [Test]
    public void Not_a_number_is_copied_and_what_fills_no_patch_is_ignored()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 3, 3);
        harness.With(x, float.NaN, 1, float.NaN, 2, float.PositiveInfinity, float.NaN, float.NaN, float.NaN, float.NaN);
        PatchUnfold unfold = Unfold(x, 1, 2);
        harness.Check(unfold);
        Assert.That(harness.Floats(unfold, unfold.Y.Tensor), Is.EqualTo((float[])[float.NaN, 1, 2, float.PositiveInfinity]));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("x", 1, 3 * 4 + 1, 7);
        TensorView x = source.View().RowRange(0, 12).ColumnRange(0, 6);
        PatchUnfold right = Unfold(x, 3, 2);
        harness.Catches(right, right with { X = source.View().RowRange(1, 12).ColumnRange(0, 6) }, "a row shifted");
        harness.Catches(right, right with { X = source.View().RowRange(0, 12).ColumnRange(1, 6) }, "a column shifted");
        harness.Catches(right, right.Y.Tensor, y => [.. y.Chunk(4).SelectMany(p => (float[])[p[0], p[2], p[1], p[3]])], "patches transposed");
        harness.Catches(right, right.Y.Tensor, y => [.. y.Chunk(12).SelectMany(p => Enumerable.Range(0, 12).Select(i => p[i % 3 * 4 + i / 3]))], "channels last");
        harness.Catches(right, right.Y.Tensor, y => [.. y[12..], .. y[..12]], "patches shifted");
        harness.CatchesMissingEnd(right, right.Y.Tensor);
        // A zero in the last place must be written all the same.
        harness.With(source, new float[91]);
        harness.CatchesMissingEnd(right, right.Y.Tensor);
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_picture()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 3, 3 * 6, 8);
        PatchUnfold unfold = Unfold(x, 3, 2);
        harness.IsRepeatable(unfold);
        harness.IsIndependentOfTheBatch(unfold, unfold.Y.Tensor, b =>
        {
            PatchUnfold one = Unfold(OperationHarness.Element(x, b), 3, 2);
            return (one, one.Y.Tensor);
        });
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(Unfold(Tensor.Float("x", 1, 3 * 16, 16), 3, 4));

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor x = Tensor.Float("x", 1, 12, 6);
        PatchUnfold right = Unfold(x, 3, 2);
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Channels = 5 }).Validate);
        Assert.Throws<ArgumentException>((right with { Channels = 0 }).Validate);
        Assert.Throws<ArgumentException>((right with { PatchSize = 0 }).Validate);
        Assert.Throws<ArgumentException>((right with { PatchSize = 5 }).Validate, "larger than the picture");
        Assert.Throws<ArgumentException>((right with { PatchSize = 3 }).Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 2, 6, 12) }).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("x", 0, 12, 6));
    }

    private static PatchUnfold Unfold(TensorView x, int channels, int patch)
    {
        int tokens = x.Rows / channels / patch * (x.Columns / patch);
        return new PatchUnfold(x, Tensor.Float("y", x.Batch, tokens, channels * patch * patch), channels, patch);
    }
}
