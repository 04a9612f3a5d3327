using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class SoftmaxTests(TestDevice device)
{
    private static readonly (int Batch, int Rows, int Columns)[] Shapes = [(1, 1, 1), (2, 3, 5), (1, 2, 33)];

    // Around the widths of 4, 8 and 16 lanes and the tile of 8 rows, long and thin.
    private static readonly (int Batch, int Rows, int Columns)[] LargerShapes =
    [
        (1, 7, 3), (1, 8, 4), (1, 9, 7), (2, 8, 8), (3, 5, 9), (1, 17, 15), (2, 1, 16), (1, 1, 17), (2, 5, 31), (1, 4, 32), (1, 200, 2), (1, 2, 4099),
    ];

    private IEnumerable<(int Batch, int Rows, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values)
    {
        foreach ((int batch, int rows, int columns) in Sizes)
        {
            OperationHarness harness = new(device, rows + columns) { Values = values };
            harness.Check(new Softmax(Tensor.Float("x", batch, rows, columns), Tensor.Float("y", batch, rows, columns)));
        }
    }

    [Test]
    public void Scores_of_a_tempered_product_equal_the_definition()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 3, 41);
        harness.With(x, [.. Enumerable.Range(0, 123).Select(i => 100 * MathF.Sin(7 * i))]);
        harness.Check(new Softmax(x, Tensor.Float("y", 1, 3, 41)));
    }

    [Test]
    public void Probabilities_sum_to_one()
    {
        OperationHarness harness = new(device);
        Tensor y = Tensor.Float("y", 1, 4, 60);
        float[] values = harness.Floats(new Softmax(Tensor.Float("x", 1, 4, 60), y), y);
        foreach (float[] row in values.Chunk(60))
        {
            Assert.That(row.Sum(v => (double)v), Is.EqualTo(1).Within(1e-6));
        }
    }

    [Test]
    public void Views_and_the_input_itself_may_take_the_result()
    {
        Tensor x = Tensor.Float("x", 1, 6, 30);
        Tensor y = Tensor.Float("y", 2, 9, 40);
        new OperationHarness(device).Check(new Softmax(x.View().RowRange(2, 4).ColumnRange(3, 19).Repeat(2), y.View().RowRange(5, 4).ColumnRange(20, 19)));
        new OperationHarness(device) { InPlace = true }.Check(new Softmax(Tensor.Float("a", 2, 4, 35), Tensor.Float("b", 2, 4, 35)));
    }

    [Test]
    public void Extreme_values_neither_overflow_nor_vanish()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 4, 18);
        Tensor y = Tensor.Float("y", 1, 4, 18);
        float[] values = new float[72];
        Array.Fill(values, 3e38f, 0, 18);
        Array.Fill(values, -3e38f, 18, 18);
        Array.Fill(values, -3e38f, 36, 18);
        values[37] = 3e38f;
        Array.Fill(values, float.NegativeInfinity, 54, 18);
        values[71] = -5f;
        harness.With(x, values);
        harness.Check(new Softmax(x, y));
        float[] actual = harness.Floats(new Softmax(x, y), y);
        Assert.That(actual[37], Is.EqualTo(1f));
        Assert.That(actual[71], Is.EqualTo(1f));
    }

    [Test]
    public void Not_a_number_and_infinity_spoil_their_row_alone([Values(float.NaN, float.PositiveInfinity)] float bad, [Values(0, 16, 18)] int column)
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 3, 19);
        Tensor y = Tensor.Float("y", 1, 3, 19);
        float[] values = [.. Enumerable.Range(0, 57).Select(i => MathF.Sin(i))];
        values[19 + column] = bad;
        harness.With(x, values);
        harness.Check(new Softmax(x, y));
        float[] actual = harness.Floats(new Softmax(x, y), y);
        Assert.That(actual[19..38], Is.All.NaN);
        Assert.That(actual[..19].Concat(actual[38..]), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void A_row_of_negative_infinity_alone_is_not_a_number()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 1, 17);
        harness.With(x, Enumerable.Repeat(float.NegativeInfinity, 17).ToArray());
        harness.Check(new Softmax(x, Tensor.Float("y", 1, 1, 17)));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("x", 1, 6, 19);
        TensorView x = source.View().RowRange(0, 5);
        Tensor y = Tensor.Float("y", 1, 5, 19);
        Softmax right = new(x, y);
        harness.Catches(right, right with { X = source.View().RowRange(1, 5) }, "a row shifted");
        harness.Catches(right, new Softmax(x.ColumnRange(0, 18), y.View().ColumnRange(0, 18)), "last element dropped");
        harness.Catches(right, new Softmax(x.RowRange(0, 4), y.View().RowRange(0, 4)), "last row not written");
        harness.Catches(right, y, OverRows, "wrong axis");
        harness.Catches(right, y, values => [.. values.Select(v => v * (1 + 1e-5f))], "not normalised");
        harness.CatchesMissingEnd(right, y);
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_row()
    {
        OperationHarness harness = new(device);
        int rows = device.IsSlow ? 2 : 21;
        Tensor x = Tensor.Float("x", 3, rows, 35);
        Tensor y = Tensor.Float("y", 3, rows, 35);
        harness.IsRepeatable(new Softmax(x, y));
        Tensor one = Tensor.Float("one", 1, rows, 35);
        harness.IsIndependentOfTheBatch(new Softmax(x, y), y, b => (new Softmax(OperationHarness.Element(x, b), one), one));
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
        => new OperationHarness(device).AllocatesNothing(new Softmax(Tensor.Float("x", 1, 40, 17), Tensor.Float("y", 1, 40, 17)));

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor x = Tensor.Float("x", 1, 3, 4);
        Assert.Throws<ArgumentException>(new Softmax(x, Tensor.Float("y", 1, 4, 3)).Validate);
        Assert.Throws<ArgumentException>(new Softmax(x, Tensor.Float("y", 2, 3, 4)).Validate);
        Assert.Throws<ArgumentException>(new Softmax(x.View().Repeat(2), x.View().Repeat(2)).Validate, "a repeated output");
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 3, 4));
    }

    // Undoes the right axis's sums and makes the other's: p over rows is e / Σ_rows e, and p/p' within a row is e/e'.
    private static float[] OverRows(float[] right)
    {
        const int rows = 5;
        int columns = right.Length / rows;
        float[] wrong = new float[right.Length];
        for (int c = 0; c < columns; c++)
        {
            double sum = 0;
            for (int r = 0; r < rows; r++)
            {
                sum += right[r * columns + c];
            }
            for (int r = 0; r < rows; r++)
            {
                wrong[r * columns + c] = (float)(right[r * columns + c] / sum);
            }
        }
        return wrong;
    }
}
