using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>MeanRows, ArgMaxColumns and NormalizeRows.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class ReduceTests(TestDevice device)
{
    private static readonly (int Batch, int Rows, int Columns)[] Shapes = [(1, 1, 1), (2, 3, 5), (1, 2, 33)];

    private static readonly (int Batch, int Rows, int Columns)[] LargerShapes =
        [(1, 7, 3), (1, 8, 4), (2, 9, 7), (2, 8, 8), (3, 5, 9), (1, 17, 15), (2, 1, 16), (1, 1, 17), (2, 5, 31), (1, 3000, 2), (1, 2, 3001), (2, 8, 384)];

    private IEnumerable<(int Batch, int Rows, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void They_equal_their_definitions([Values] Values values)
    {
        foreach ((int batch, int rows, int columns) in Sizes)
        {
            OperationHarness harness = new(device, rows + columns) { Values = values };
            Tensor x = Tensor.Float("x", batch, rows, columns);
            harness.Check(new MeanRows(x, Tensor.Float("mean", batch, 1, columns)));
            harness.Check(new ArgMaxColumns(x, Tensor.Int("index", batch, 1, rows)));
            harness.Check(new NormalizeRows(x, Tensor.Float("unit", batch, rows, columns), 1e-12f));
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        TensorView x = Tensor.Float("x", 1, 9, 30).View().RowRange(2, 4).ColumnRange(3, 19).Repeat(2);
        harness.Check(new MeanRows(x, Tensor.Float("mean", 2, 3, 25).View().RowRange(1, 1).ColumnRange(5, 19)));
        harness.Check(new ArgMaxColumns(x, Tensor.Int("index", 2, 1, 4)));
        harness.Check(new NormalizeRows(x, Tensor.Float("unit", 2, 7, 25).View().RowRange(1, 4).ColumnRange(5, 19), 0));
        new OperationHarness(device) { InPlace = true }.Check(new NormalizeRows(Tensor.Float("a", 2, 3, 19), Tensor.Float("b", 2, 3, 19), 0));
    }

    [Test]
    public void The_first_of_equals_is_the_largest()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 4, 19);
        Tensor index = Tensor.Int("index", 1, 1, 4);
        float[] values = new float[76];
        (values[19 + 3], values[19 + 4], values[19 + 18]) = (1, 1, 1);
        values.AsSpan(38, 19).Fill(-1);
        values[76 - 1] = 2;
        harness.With(x, values);
        ArgMaxColumns operation = new(x, index);
        harness.Check(operation);
        Assert.That(harness.Integers(operation, index), Is.EqualTo((int[])[0, 3, 0, 18]));
        harness.CatchesIntegers(operation, index, found => [found[0], 18, .. found[2..]], "last of equals");
        harness.CatchesIntegers(operation, index, found => [.. found[..3], 17], "last column ignored");
        harness.CatchesMissingEnd(operation, index);
        harness.With(x, new float[76]);
        harness.CatchesMissingEnd(operation, index);
    }

    [Test]
    public void Not_a_number_is_never_the_largest()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 5, 3);
        Tensor index = Tensor.Int("index", 1, 1, 5);
        const float nan = float.NaN;
        harness.With(x, nan, -1, -2, 1, nan, 2, nan, nan, nan, nan, float.NegativeInfinity, nan, 1, float.PositiveInfinity, float.PositiveInfinity);
        ArgMaxColumns operation = new(x, index);
        harness.Check(operation);
        Assert.That(harness.Integers(operation, index), Is.EqualTo((int[])[1, 2, 0, 1, 1]));
    }

    [Test]
    public void Not_a_number_and_infinity_stay_in_their_column_of_a_mean_and_in_their_row_of_a_norm()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 3, 18);
        Tensor mean = Tensor.Float("mean", 1, 1, 18);
        Tensor unit = Tensor.Float("unit", 1, 3, 18);
        float[] values = [.. Enumerable.Range(1, 54).Select(i => (float)i)];
        (values[2], values[18 + 17]) = (float.NaN, float.PositiveInfinity);
        harness.With(x, values);
        harness.Check(new MeanRows(x, mean));
        float[] means = harness.Floats(new MeanRows(x, mean), mean);
        Assert.That((means[2], means[17]), Is.EqualTo((float.NaN, float.PositiveInfinity)));
        harness.Check(new NormalizeRows(x, unit, 0));
        float[] units = harness.Floats(new NormalizeRows(x, unit, 0), unit);
        Assert.That(units[..18], Is.All.NaN);
        Assert.That(units[18..36], Is.All.NaN);
        Assert.That(units[36..], Is.All.GreaterThan(0));
    }

    [Test]
    public void A_norm_beyond_float32_is_not_a_number_instead_of_zeros()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2, 19);
        Tensor unit = Tensor.Float("unit", 1, 2, 19);
        harness.With(x, [.. Enumerable.Range(1, 38).Select(i => i < 20 ? 1e20f : 1e18f)]);
        NormalizeRows norm = new(x, unit, 1e-12f);
        harness.Check(norm);
        float[] actual = harness.Floats(norm, unit);
        Assert.That(actual[..19], Is.All.NaN);
        Assert.That(actual[19..], Is.All.EqualTo(1 / MathF.Sqrt(19)).Within(1e-6));
    }

    [Test]
    public void A_zero_row_has_the_norm_that_the_floor_gives_it()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2, 17);
        Tensor unit = Tensor.Float("unit", 1, 2, 17);
        float[] values = new float[34];
        values[20] = 1e-13f;
        harness.With(x, values);
        // 1e-13 is below the floor: it is divided by 1e-12.
        harness.Check(new NormalizeRows(x, unit, 1e-12f));
        float[] floored = harness.Floats(new NormalizeRows(x, unit, 1e-12f), unit);
        Assert.That(floored[..17], Is.All.Zero);
        Assert.That(floored[20], Is.EqualTo(0.1f).Within(1e-6));
        harness.Check(new NormalizeRows(x, unit, 0));
        Assert.That(harness.Floats(new NormalizeRows(x, unit, 0), unit)[..17], Is.All.NaN);
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("x", 1, 10, 19);
        TensorView x = source.View().RowRange(0, 9);
        TensorView shifted = source.View().RowRange(1, 9);
        Tensor mean = Tensor.Float("mean", 1, 1, 19);
        MeanRows pooling = new(x, mean);
        harness.Catches(pooling, pooling with { X = x.RowRange(0, 8) }, "last row dropped");
        harness.Catches(pooling, pooling with { X = shifted }, "a row shifted");
        harness.Catches(pooling, mean, values => [.. values.Select(v => v * 9)], "a sum, not a mean");
        harness.CatchesMissingEnd(pooling, mean);

        Tensor unit = Tensor.Float("unit", 1, 9, 19);
        NormalizeRows norm = new(x, unit, 1e-12f);
        harness.Catches(norm, norm with { X = x.ColumnRange(0, 18), Y = unit.View().ColumnRange(0, 18) }, "last column dropped");
        harness.Catches(norm, norm with { X = shifted }, "a row shifted");
        harness.Catches(norm, norm with { Floor = 100 }, "floor too high");
        harness.Catches(norm, unit, values => [.. values.Select(v => v * 1.00001f)], "scale");
        harness.CatchesMissingEnd(norm, unit);

        ArgMaxColumns largest = new(x, Tensor.Int("index", 1, 1, 9));
        harness.Catches(largest, largest with { X = shifted }, "a row shifted");
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_batch_element()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 3, 5, 35);
        Tensor mean = Tensor.Float("mean", 3, 1, 35);
        Tensor index = Tensor.Int("index", 3, 1, 5);
        Tensor unit = Tensor.Float("unit", 3, 5, 35);
        harness.IsRepeatable(new MeanRows(x, mean));
        harness.IsRepeatable(new ArgMaxColumns(x, index));
        harness.IsRepeatable(new NormalizeRows(x, unit, 0));
        Tensor one = Tensor.Float("one", 1, 5, 35);
        Tensor row = Tensor.Float("row", 1, 1, 35);
        harness.IsIndependentOfTheBatch(new MeanRows(x, mean), mean, b => (new MeanRows(OperationHarness.Element(x, b), row), row));
        harness.IsIndependentOfTheBatch(new NormalizeRows(x, unit, 0), unit, b => (new NormalizeRows(OperationHarness.Element(x, b), one, 0), one));
    }

    [Test]
    public void Prepared_steps_allocate_nothing()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 3, 5, 35);
        harness.AllocatesNothing(new MeanRows(x, Tensor.Float("mean", 3, 1, 35)));
        harness.AllocatesNothing(new ArgMaxColumns(x, Tensor.Int("index", 3, 1, 5)));
        harness.AllocatesNothing(new NormalizeRows(x, Tensor.Float("unit", 3, 5, 35), 0));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor x = Tensor.Float("x", 2, 3, 4);
        Assert.Throws<ArgumentException>(new MeanRows(x, Tensor.Float("y", 2, 3, 4)).Validate);
        Assert.Throws<ArgumentException>(new MeanRows(x, Tensor.Float("y", 1, 1, 4)).Validate);
        Assert.Throws<ArgumentException>(new MeanRows(x, Tensor.Float("y", 2, 1, 3)).Validate);
        Assert.Throws<ArgumentException>(new ArgMaxColumns(x, Tensor.Int("index", 2, 1, 4)).Validate);
        Assert.Throws<ArgumentException>(new ArgMaxColumns(x, Tensor.Int("index", 1, 1, 3)).Validate);
        Assert.Throws<ArgumentException>(new ArgMaxColumns(x, Tensor.Float("index", 2, 1, 3)).Validate, "floats for integers");
        Assert.Throws<ArgumentException>(new NormalizeRows(x, Tensor.Float("y", 2, 4, 3), 0).Validate);
        Assert.Throws<ArgumentException>(new NormalizeRows(x, Tensor.Float("y", 2, 3, 4), -1).Validate);
        Assert.Throws<ArgumentException>(new NormalizeRows(x, Tensor.Float("y", 2, 3, 4), float.NaN).Validate);
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 3, 4));
    }
}
