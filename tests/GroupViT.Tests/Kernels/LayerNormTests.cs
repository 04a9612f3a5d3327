using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class LayerNormTests(TestDevice device)
{
    private const float Epsilon = 1e-5f;

    private static readonly (int Batch, int Rows, int Columns)[] Shapes = [(1, 1, 1), (2, 3, 5), (1, 2, 33), (2, 2, 4), (1, 2, 44)];

    // Around the widths of 4, 8 and 16 lanes and the tile of 16 rows, long, thin, and the network's own.
    private static readonly (int Batch, int Rows, int Columns)[] LargerShapes =
    [
        (1, 15, 3), (1, 16, 4), (1, 17, 7), (2, 8, 8), (3, 11, 9), (1, 33, 15), (2, 1, 16), (1, 1, 17), (2, 5, 31), (1, 4, 32),
        (1, 200, 2), (1, 2, 4099), (2, 9, 384),
    ];

    private IEnumerable<(int Batch, int Rows, int Columns)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void It_equals_its_definition([Values] Values values, [Values] bool residual)
    {
        foreach ((int batch, int rows, int columns) in Sizes)
        {
            OperationHarness harness = new(device, rows + columns) { Values = values };
            Tensor x = Tensor.Float("x", batch, rows, columns);
            Tensor y = Tensor.Float("y", batch, rows, columns);
            Tensor positions = Tensor.Float("positions", 1, rows, columns);
            harness.Check(new LayerNorm(x, harness.Vector("gamma", columns), harness.Vector("beta", columns), y, Epsilon)
            {
                Residual = residual ? positions.View().Repeat(batch) : null,
            });
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 2, 6, 30);
        Tensor y = Tensor.Float("y", 2, 9, 40);
        Tensor residual = Tensor.Float("residual", 1, 8, 25);
        harness.Check(new LayerNorm(
            x.View().RowRange(2, 4).ColumnRange(3, 17), harness.Vector("gamma", 17), harness.Vector("beta", 17), y.View().RowRange(5, 4).ColumnRange(20, 17), Epsilon)
        {
            Residual = residual.View().RowRange(1, 4).ColumnRange(8, 17).Repeat(2),
        });
    }

    [Test]
    public void The_result_may_lie_on_the_input_or_on_the_residual()
    {
        OperationHarness harness = new(device) { InPlace = true };
        Tensor wide = Tensor.Float("wide", 2, 5, 40);
        Tensor x = Tensor.Float("x", 2, 5, 35);
        Tensor y = Tensor.Float("y", 2, 5, 35);
        LayerNorm norm = new(x, harness.Vector("gamma", 35), harness.Vector("beta", 35), y, Epsilon);
        harness.Check(norm with { Residual = Tensor.Float("other", 2, 5, 35) });
        // A part of a tensor cannot be overwritten, so here the residual is.
        harness.Check(norm with { X = wide.View().ColumnRange(2, 35), Residual = Tensor.Float("residual", 2, 5, 35) });
    }

    [Test]
    public void A_row_of_equal_small_integers_gives_beta()
    {
        OperationHarness harness = new(device);
        // 32 of them: their sum and its division are exact.
        Tensor x = Tensor.Float("x", 1, 2, 32);
        Tensor y = Tensor.Float("y", 1, 2, 32);
        Tensor beta = harness.Vector("beta", 32);
        float[] expected = new float[32];
        beta.Reader!(expected);
        harness.With(x, [.. Enumerable.Repeat(3f, 32), .. Enumerable.Repeat(-7f, 32)]);
        float[] actual = harness.Floats(new LayerNorm(x, harness.Vector("gamma", 32), beta, y, Epsilon), y);
        Assert.That(actual, Is.EqualTo(expected.Concat(expected)));
    }

    [Test]
    public void Not_a_number_and_infinity_spoil_their_row_alone([Values(float.NaN, float.PositiveInfinity, float.NegativeInfinity)] float bad, [Values(0, 16, 18)] int column)
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 3, 19);
        Tensor y = Tensor.Float("y", 1, 3, 19);
        float[] values = [.. Enumerable.Range(0, 57).Select(i => MathF.Sin(i))];
        values[19 + column] = bad;
        harness.With(x, values);
        LayerNorm norm = new(x, harness.Vector("gamma", 19), harness.Vector("beta", 19), y, Epsilon);
        harness.Check(norm);
        float[] actual = harness.Floats(norm, y);
        Assert.That(actual[19..38], Is.All.NaN);
        Assert.That(actual[..19].Concat(actual[38..]), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void A_variance_beyond_float32_is_not_a_number_instead_of_beta()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2, 19);
        Tensor y = Tensor.Float("y", 1, 2, 19);
        // The second row's squares stay within: 19 of 1e36.
        harness.With(x, [.. Enumerable.Range(0, 38).Select(i => (i < 19 ? 1e20f : 1e18f) * MathF.Sin(i))]);
        LayerNorm norm = new(x, harness.Vector("gamma", 19), harness.Vector("beta", 19), y, Epsilon);
        harness.Check(norm);
        float[] actual = harness.Floats(norm, y);
        Assert.That(actual[..19], Is.All.NaN);
        Assert.That(actual[19..], Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("x", 1, 5, 33);
        TensorView x = source.View().RowRange(0, 4);
        Tensor y = Tensor.Float("y", 1, 4, 33);
        Tensor residual = Tensor.Float("residual", 1, 4, 33);
        LayerNorm right = new(x, harness.Vector("gamma", 33), harness.Vector("beta", 33), y, Epsilon) { Residual = residual };
        harness.Catches(right, right with { Gamma = Filled("ones", 1) }, "gamma missing");
        harness.Catches(right, right with { Beta = Filled("zeros", 0) }, "beta missing");
        harness.Catches(right, right with { Residual = null }, "residual missing");
        harness.Catches(right, right with { X = source.View().RowRange(1, 4) }, "a row shifted");
        harness.Catches(right, right with { X = residual, Residual = x }, "input and residual swapped");
        harness.Catches(
            right,
            right with { X = x.ColumnRange(0, 32), Y = y.View().ColumnRange(0, 32), Residual = residual.View().ColumnRange(0, 32), Gamma = Cut(right.Gamma), Beta = Cut(right.Beta) },
            "last column dropped");
        harness.Catches(right, right with { Epsilon = 1e-3f }, "epsilon wrong by far");
        harness.CatchesMissingEnd(right, y);
        OperationHarness flat = new(device) { Values = Values.Tiny };
        flat.Catches(right, right with { Epsilon = 1e-6f }, "epsilon of 1e-6 instead of 1e-5");
    }

    [Test]
    public void The_unbiased_variance_is_found()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 1, 2, 33);
        Tensor y = Tensor.Float("y", 1, 2, 33);
        LayerNorm right = new(x, Filled("ones", 1), Filled("zeros", 0), y, Epsilon);
        harness.Catches(right, y, values => [.. values.Select(v => v * MathF.Sqrt(32f / 33))], "divided by n - 1");
    }

    [Test]
    public void Bits_depend_on_nothing_but_the_row()
    {
        OperationHarness harness = new(device);
        int rows = device.IsSlow ? 2 : 37;
        Tensor x = Tensor.Float("x", 3, rows, 35);
        Tensor y = Tensor.Float("y", 3, rows, 35);
        LayerNorm norm = new(x, harness.Vector("gamma", 35), harness.Vector("beta", 35), y, Epsilon);
        harness.IsRepeatable(norm);
        Tensor one = Tensor.Float("one", 1, rows, 35);
        harness.IsIndependentOfTheBatch(norm, y, b => (norm with { X = OperationHarness.Element(x, b), Y = one }, one));
    }

    [Test]
    public void A_prepared_step_allocates_nothing()
    {
        OperationHarness harness = new(device);
        harness.AllocatesNothing(new LayerNorm(Tensor.Float("x", 1, 40, 17), harness.Vector("gamma", 17), harness.Vector("beta", 17), Tensor.Float("y", 1, 40, 17), Epsilon));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor x = Tensor.Float("x", 1, 3, 4);
        LayerNorm right = new(x, Filled("gamma", 1, 4), Filled("beta", 0, 4), Tensor.Float("y", 1, 3, 4), Epsilon);
        Assert.DoesNotThrow(right.Validate);
        Assert.Throws<ArgumentException>((right with { Y = Tensor.Float("y", 1, 3, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { Gamma = Filled("gamma", 1, 3) }).Validate);
        Assert.Throws<ArgumentException>((right with { Beta = Filled("beta", 0, 5) }).Validate);
        Assert.Throws<ArgumentException>((right with { Residual = Tensor.Float("residual", 2, 3, 4) }).Validate);
        Assert.Throws<ArgumentException>((right with { Epsilon = 0 }).Validate);
        Assert.Throws<ArgumentException>((right with { Epsilon = float.NaN }).Validate);
        Assert.Throws<ArgumentException>((right with { X = x.View().Repeat(2), Y = Tensor.Float("y", 1, 3, 4).View().Repeat(2) }).Validate, "a repeated output");
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 3, 4));
    }

    private static Tensor Filled(string name, float value, int columns = 33) => Tensor.Constant($"{name}#{value}", 1, columns, destination => destination.Fill(value));

    private static Tensor Cut(Tensor vector) => Tensor.Constant($"{vector.Name}/cut", 1, vector.Columns - 1, destination =>
    {
        float[] values = new float[vector.Columns];
        vector.Reader!(values);
        values.AsSpan(0, destination.Length).CopyTo(destination);
    });
}
