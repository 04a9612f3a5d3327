using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class GatherRowsTests(TestDevice device)
{
    private static readonly (int Batch, int Entries, int Rows, int Columns)[] Shapes = [(1, 1, 1, 1), (2, 5, 3, 7), (1, 2, 4, 33)];

    private static readonly (int Batch, int Entries, int Rows, int Columns)[] LargerShapes =
        [(1, 100, 77, 16), (3, 17, 1, 31), (2, 4, 300, 3), (1, 3, 2, 2000), (5, 8, 77, 17)];

    private IEnumerable<(int Batch, int Entries, int Rows, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void A_shared_table_with_positions_equals_its_definition([Values] Values values, [Values] bool positions, [Values] bool constant)
    {
        foreach ((int batch, int entries, int rows, int columns) in Sizes)
        {
            OperationHarness harness = new(device, entries + rows) { Values = values };
            Tensor table = constant ? harness.Constant("table", entries, columns) : Tensor.Float("table", 1, entries, columns);
            harness.Check(new GatherRows(table.View().Repeat(batch), Picks(harness, batch, rows, entries), Tensor.Float("y", batch, rows, columns))
            {
                Plus = positions ? harness.Constant("positions", rows, columns).View().Repeat(batch) : null,
            });
        }
    }

    [Test]
    public void A_table_per_batch_element_equals_its_definition()
    {
        foreach ((int batch, int entries, int rows, int columns) in Sizes)
        {
            OperationHarness harness = new(device, entries + rows);
            harness.Check(new GatherRows(Tensor.Float("table", batch, entries, columns), Picks(harness, batch, rows, entries), Tensor.Float("y", batch, rows, columns)));
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        Tensor table = Tensor.Float("table", 2, 9, 20);
        Tensor y = Tensor.Float("y", 2, 7, 30);
        Tensor plus = Tensor.Float("plus", 1, 5, 15);
        harness.Check(new GatherRows(table.View().RowRange(3, 5).ColumnRange(2, 11), Picks(harness, 2, 4, 5), y.View().RowRange(1, 4).ColumnRange(17, 11))
        {
            Plus = plus.View().RowRange(1, 4).ColumnRange(4, 11).Repeat(2),
        });
    }

    [Test]
    public void Indices_outside_the_table_are_clamped_into_it()
    {
        OperationHarness harness = new(device);
        // A view in the middle: what lies beside the table must not be read.
        TensorView table = Tensor.Float("table", 1, 5, 3).View().RowRange(1, 3);
        Tensor index = Tensor.Int("index", 1, 1, 6);
        harness.With(index, -1, int.MinValue, 3, int.MaxValue, 0, 2);
        Tensor y = Tensor.Float("y", 1, 6, 3);
        GatherRows gather = new(table, index, y);
        harness.Check(gather);
        float[][] rows = [.. harness.Floats(gather, y).Chunk(3)];
        Assert.That(rows[0], Is.EqualTo(rows[4]));
        Assert.That(rows[1], Is.EqualTo(rows[4]));
        Assert.That(rows[2], Is.EqualTo(rows[5]));
        Assert.That(rows[3], Is.EqualTo(rows[5]));
    }

    [Test]
    public void Not_a_number_and_infinity_are_copied()
    {
        OperationHarness harness = new(device);
        Tensor table = Tensor.Float("table", 1, 3, 1);
        Tensor index = Tensor.Int("index", 1, 1, 3);
        harness.With(table, float.NaN, float.NegativeInfinity, 1).With(index, 2, 1, 0);
        harness.Check(new GatherRows(table, index, Tensor.Float("y", 1, 3, 1)));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("table", 1, 7, 9);
        TensorView table = source.View().RowRange(0, 6);
        Tensor index = Tensor.Int("index", 1, 1, 4);
        harness.With(index, 3, 0, 5, 2);
        Tensor y = Tensor.Float("y", 1, 4, 9);
        GatherRows right = new(table, index, y) { Plus = Tensor.Float("plus", 1, 4, 9) };
        harness.Catches(right, right with { Plus = null }, "positions missing");
        harness.Catches(right, right with { Table = source.View().RowRange(1, 6) }, "a row shifted");
        harness.Catches(right, right with { Table = source.View().RowRange(0, 5) }, "last entry dropped");
        harness.Catches(right, right with { Table = table.ColumnRange(0, 8), Y = y.View().ColumnRange(0, 8), Plus = right.Plus?.ColumnRange(0, 8) }, "last column dropped");
        harness.CatchesMissingEnd(right with { Plus = null }, y);
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_row()
    {
        OperationHarness harness = new(device);
        Tensor table = Tensor.Float("table", 3, 4, 19);
        Tensor index = Tensor.Int("index", 3, 1, 2);
        harness.With(index, 3, 1, 0, 0, 2, 1);
        Tensor y = Tensor.Float("y", 3, 2, 19);
        harness.IsRepeatable(new GatherRows(table, index, y));
        Tensor one = Tensor.Float("one", 1, 2, 19);
        int[] picks = [3, 1, 0, 0, 2, 1];
        harness.IsIndependentOfTheBatch(new GatherRows(table, index, y), y, b =>
        {
            Tensor own = Tensor.Int("own", 1, 1, 2);
            harness.With(own, picks[(2 * b)..(2 * b + 2)]);
            return (new GatherRows(OperationHarness.Element(table, b), own, one), one);
        });
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
    {
        OperationHarness harness = new(device);
        harness.AllocatesNothing(new GatherRows(Tensor.Float("table", 1, 9, 8).View().Repeat(3), Picks(harness, 3, 5, 9), Tensor.Float("y", 3, 5, 8)));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor table = Tensor.Float("table", 1, 9, 4);
        GatherRows right = new(table, Tensor.Int("index", 1, 1, 3), Tensor.Float("y", 1, 3, 4));
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 1, 3, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 1, 4, 4) }).Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 2, 3, 4) }).Validate);
        Assert.Throws<ArgumentException>((right with { Index = Tensor.Float("index", 1, 1, 3) }).Validate, "floats for integers");
        Assert.Throws<ArgumentException>((right with { Plus = Tensor.Float("plus", 1, 2, 4) }).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Int("index", 0, 1, 3));
    }

    private static Tensor Picks(OperationHarness harness, int batch, int rows, int entries)
    {
        Tensor index = Tensor.Int("index", batch, 1, rows);
        harness.With(index, [.. Enumerable.Range(0, batch * rows).Select(i => (entries - 1 + 5 * i) % entries)]);
        return index;
    }
}
