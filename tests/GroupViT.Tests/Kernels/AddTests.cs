using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class AddTests(TestDevice device)
{
    private static readonly (int Batch, int Rows, int Columns)[] Shapes = [(1, 1, 1), (2, 3, 5), (1, 2, 33)];

    // Around the widths of 4, 8 and 16 lanes and the tile of 32 rows, long and thin.
    private static readonly (int Batch, int Rows, int Columns)[] LargerShapes =
        [(1, 31, 3), (1, 32, 4), (1, 33, 7), (2, 16, 8), (3, 11, 9), (1, 5, 15), (2, 1, 16), (1, 4, 17), (2, 5, 31), (1, 500, 1), (1, 1, 5000)];

    private IEnumerable<(int Batch, int Rows, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void A_sum_and_a_copy_equal_their_definitions([Values] Values values, [Values] bool copy)
    {
        foreach ((int batch, int rows, int columns) in Sizes)
        {
            OperationHarness harness = new(device, rows + columns) { Values = values };
            Tensor a = Tensor.Float("a", batch, rows, columns);
            Tensor b = Tensor.Float("b", batch, rows, columns);
            harness.Check(new Add(a, copy ? null : b.View(), Tensor.Float("y", batch, rows, columns)));
        }
    }

    [Test]
    public void Tokens_repeat_over_the_batch_and_views_write_only_their_part([Values] bool constant)
    {
        OperationHarness harness = new(device);
        Tensor tokens = constant ? harness.Constant("tokens", 4, 19) : Tensor.Float("tokens", 1, 4, 19);
        Tensor x = Tensor.Float("x", 2, 6, 30);
        Tensor y = Tensor.Float("y", 2, 9, 40);
        TensorView target = y.View().RowRange(5, 4).ColumnRange(20, 17);
        TensorView repeated = tokens.View().ColumnRange(1, 17).Repeat(2);
        harness.Check(new Add(repeated, x.View().RowRange(2, 4).ColumnRange(3, 17), target));
        harness.Check(new Add(repeated, null, target));
    }

    [Test]
    public void The_result_may_lie_on_either_operand()
    {
        OperationHarness harness = new(device) { InPlace = true };
        Tensor a = Tensor.Float("a", 2, 3, 21);
        Tensor b = Tensor.Float("b", 2, 3, 21);
        harness.Check(new Add(a, b, Tensor.Float("y", 2, 3, 21)));
        harness.Check(new Add(Tensor.Float("wide", 2, 3, 30).View().ColumnRange(2, 21), b, Tensor.Float("z", 2, 3, 21)));
        harness.Check(new Add(a, null, Tensor.Float("copy", 2, 3, 21)));
    }

    [Test]
    public void Not_a_number_and_infinity_spread_as_they_do()
    {
        OperationHarness harness = new(device);
        Tensor a = Tensor.Float("a", 1, 1, 18);
        Tensor b = Tensor.Float("b", 1, 1, 18);
        float[] values = new float[18];
        (values[0], values[1], values[16], values[17]) = (float.NaN, float.PositiveInfinity, float.PositiveInfinity, float.NegativeInfinity);
        float[] others = new float[18];
        (others[1], others[16]) = (1, float.NegativeInfinity);
        harness.With(a, values).With(b, others);
        harness.Check(new Add(a, b, Tensor.Float("y", 1, 1, 18)));
        harness.Check(new Add(a, null, Tensor.Float("copy", 1, 1, 18)));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("a", 1, 4, 18);
        TensorView a = source.View().RowRange(0, 3);
        Tensor b = Tensor.Float("b", 1, 3, 18);
        Tensor y = Tensor.Float("y", 1, 3, 18);
        Add right = new(a, b, y);
        harness.Catches(right, right with { B = null }, "second operand missing");
        harness.Catches(right, right with { A = source.View().RowRange(1, 3) }, "a row shifted");
        harness.Catches(right, right with { B = a }, "first operand twice");
        harness.Catches(right, new Add(a.ColumnRange(0, 17), b.View().ColumnRange(0, 17), y.View().ColumnRange(0, 17)), "last column dropped");
        harness.Catches(right, new Add(a.RowRange(0, 2), b.View().RowRange(0, 2), y.View().RowRange(0, 2)), "last row dropped");
        harness.CatchesMissingEnd(right with { B = null }, y);
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_element()
    {
        OperationHarness harness = new(device);
        int rows = device.IsSlow ? 2 : 35;
        Tensor a = Tensor.Float("a", 3, rows, 19);
        Tensor b = Tensor.Float("b", 3, rows, 19);
        Tensor y = Tensor.Float("y", 3, rows, 19);
        harness.IsRepeatable(new Add(a, b, y));
        Tensor one = Tensor.Float("one", 1, rows, 19);
        harness.IsIndependentOfTheBatch(new Add(a, b, y), y, i => (new Add(OperationHarness.Element(a, i), OperationHarness.Element(b, i), one), one));
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(new Add(Tensor.Float("a", 1, 100, 9), Tensor.Float("b", 1, 100, 9), Tensor.Float("y", 1, 100, 9)));

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor a = Tensor.Float("a", 1, 3, 4);
        Tensor y = Tensor.Float("y", 1, 3, 4);
        Assert.Throws<ArgumentException>(new Add(a, null, Tensor.Float("y", 1, 4, 4)).Validate);
        Assert.Throws<ArgumentException>(new Add(a, Tensor.Float("b", 1, 1, 4), y).Validate);
        Assert.Throws<ArgumentException>(new Add(a, Tensor.Float("b", 2, 3, 4), y).Validate, "a batch that does not fit");
        Assert.Throws<ArgumentException>(new Add(a.View().Repeat(2), null, y.View().Repeat(2)).Validate, "a repeated output");
        Assert.Throws<ArgumentException>(new Add(a, null, Tensor.Constant("c", 3, 4, _ => { })).Validate, "a constant output");
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 3, 4));
    }
}
