using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class PixelGroupsTests(TestDevice device)
{
    private static readonly (int Batch, int Groups, int GridHeight, int GridWidth, int Height, int Width)[] Shapes =
        [(1, 1, 1, 1, 1, 1), (2, 3, 2, 3, 5, 4), (1, 2, 1, 4, 3, 7)];

    // As many pixels as cells, many more, fewer, a line, and sizes without a common divisor.
    private static readonly (int Batch, int Groups, int GridHeight, int GridWidth, int Height, int Width)[] LargerShapes =
        [(1, 8, 14, 14, 56, 112), (2, 64, 3, 5, 17, 31), (1, 5, 6, 6, 6, 6), (1, 8, 9, 33, 4, 20), (1, 3, 1, 100, 1, 333), (1, 2, 40, 1, 77, 1)];

    private IEnumerable<(int Batch, int Groups, int GridHeight, int GridWidth, int Height, int Width)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values)
    {
        foreach ((int batch, int groups, int gridHeight, int gridWidth, int height, int width) in Sizes)
        {
            OperationHarness harness = new(device, gridHeight + width) { Values = values };
            harness.Check(Groups(Tensor.Float("maps", batch, groups, gridHeight * gridWidth), gridHeight, gridWidth, height, width));
        }
    }

    [Test]
    public void It_is_the_arg_max_of_the_resampled_maps()
    {
        OperationHarness harness = new(device);
        Tensor maps = Tensor.Float("maps", 1, 3, 12);
        ResampleBilinear resampled = new(maps, Tensor.Float("resampled", 1, 3, 70), 3, 4, 7, 10);
        float[][] planes = [.. harness.Floats(resampled, resampled.Y.Tensor).Chunk(70)];
        PixelGroups groups = Groups(maps, 3, 4, 7, 10);
        Assert.That(harness.Integers(groups, groups.Index), Is.EqualTo(Enumerable.Range(0, 70).Select(i => Array.IndexOf(planes, planes.MaxBy(plane => plane[i])))));
    }

    [Test]
    public void A_view_on_some_maps_reads_only_those()
    {
        OperationHarness harness = new(device);
        TensorView maps = Tensor.Float("maps", 2, 5, 20).View().RowRange(1, 3).ColumnRange(7, 12);
        harness.Check(Groups(maps, 3, 4, 7, 5));
    }

    [Test]
    public void The_first_of_equal_groups_wins()
    {
        OperationHarness harness = new(device);
        Tensor maps = Tensor.Float("maps", 1, 4, 6);
        harness.With(maps, 0, 0, 0, 0, 0, 0, 0.1f, 0.7f, 0.3f, 0.9f, 0.2f, 0.6f, 0.1f, 0.7f, 0.3f, 0.9f, 0.2f, 0.6f, -1, -1, -1, -1, -1, -1);
        PixelGroups groups = Groups(maps, 2, 3, 5, 7);
        harness.Check(groups);
        Assert.That(harness.Integers(groups, groups.Index), Is.All.EqualTo(1));
        harness.CatchesIntegers(groups, groups.Index, index => [.. index.Select(_ => 2)], "last of equals");
    }

    [Test]
    public void Not_a_number_never_wins()
    {
        OperationHarness harness = new(device);
        Tensor maps = Tensor.Float("maps", 1, 2, 4);
        const float nan = float.NaN;
        harness.With(maps, nan, nan, 1, 2, nan, -1, -2, nan);
        PixelGroups groups = Groups(maps, 1, 4, 1, 8);
        harness.Check(groups);
        // Pixels 0 to 2 have a neighbour of NaN in both, 3 and 4 only in the first, 5 and 6 in none or the second.
        Assert.That(harness.Integers(groups, groups.Index), Is.EqualTo((int[])[0, 0, 0, 1, 1, 0, 0, 0]));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("maps", 1, 5, 13);
        TensorView maps = source.View().RowRange(0, 4).ColumnRange(0, 12);
        PixelGroups right = Groups(maps, 3, 4, 6, 8);
        harness.Catches(right, right with { Maps = source.View().RowRange(1, 4).ColumnRange(0, 12) }, "a group shifted");
        harness.Catches(right, right with { Maps = source.View().RowRange(0, 4).ColumnRange(1, 12) }, "the grid shifted by a column");
        harness.Catches(right, right with { GridHeight = 4, GridWidth = 3 }, "sides of the grid swapped");
        harness.Catches(right, right with { Height = 8, Width = 6 }, "sides of the picture swapped");
        harness.Catches(right, right with { Maps = maps.RowRange(0, 3) }, "last group dropped");
        harness.CatchesIntegers(right, right.Index, index => [.. index[8..], .. index[..8]], "rows of pixels shifted");
        harness.CatchesMissingEnd(right, right.Index);
        harness.With(source, new float[65]);
        harness.CatchesMissingEnd(right, right.Index);
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_picture()
    {
        OperationHarness harness = new(device);
        Tensor maps = Tensor.Float("maps", 3, 4, 12);
        PixelGroups groups = Groups(maps, 3, 4, 7, 9);
        harness.IsRepeatable(groups);
        harness.IsIndependentOfTheBatch(groups, groups.Index, b =>
        {
            PixelGroups one = Groups(OperationHarness.Element(maps, b), 3, 4, 7, 9);
            return (one, one.Index);
        });
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(Groups(Tensor.Float("maps", 1, 4, 12), 3, 4, 7, 9));

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        PixelGroups right = Groups(Tensor.Float("maps", 1, 4, 12), 3, 4, 7, 9);
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { GridWidth = 5 }).Validate);
        Assert.Throws<ArgumentException>((right with { Height = 8 }).Validate);
        Assert.Throws<ArgumentException>((right with { Height = -7, Width = -9 }).Validate);
        Assert.Throws<ArgumentException>((right with { Index = Tensor.Float("index", 1, 1, 63) }).Validate, "floats for integers");
        Assert.Throws<ArgumentException>((right with { Index = Tensor.Int("index", 2, 1, 63) }).Validate);
        Assert.Throws<ArgumentException>(Groups(Tensor.Float("maps", 1, 1, Bilinear.MaxInput + 1), 1, Bilinear.MaxInput + 1, 1, 1).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 4, 12));
    }

    private static PixelGroups Groups(TensorView maps, int gridHeight, int gridWidth, int height, int width)
        => new(maps, Tensor.Int("index", maps.Batch, 1, height * width), gridHeight, gridWidth, height, width);
}
