using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class MatMulTests(TestDevice device)
{
    // Around the tiles of every width (6 and 12 rows; 2, 8, 16 and 32 columns), long, thin, and one.
    private static readonly (int M, int N, int K)[] Shapes =
    [
        (1, 1, 1), (1, 33, 5), (5, 1, 7), (6, 8, 16), (7, 9, 17), (11, 31, 3), (12, 32, 4), (13, 33, 64), (4, 4, 300), (2, 70, 1),
    ];

    private static readonly (int M, int N, int K)[] LargerShapes =
    [
        (97, 65, 48), (200, 16, 129), (3, 500, 40), (260, 96, 64), (1, 7, 4096), (8, 384, 384),
    ];

    private IEnumerable<(int M, int N, int K)> Sizes => device.IsSlow ? Shapes : Shapes.Concat(LargerShapes);

    [Test]
    public void A_linear_layer_equals_its_definition([Values] Values values, [Values] Activation activation)
    {
        foreach ((int m, int n, int k) in Sizes)
        {
            OperationHarness harness = new(device, m + n + k) { Values = values };
            Tensor a = Tensor.Float("a", 2, m, k);
            Tensor y = Tensor.Float("y", 2, m, n);
            Tensor residual = Tensor.Float("residual", 2, m, n);
            harness.Check(new MatMul(a, harness.Constant("w", n, k).View().Repeat(2), y)
            {
                TransposeB = true,
                Bias = harness.Vector("bias", n),
                Activation = activation,
                Residual = residual,
            });
        }
    }

    // The definition rounds the weights; what follows has float32's bound. Sizes on both sides of where a panel is widened for a whole block.
    [TestCase(WeightFormat.BFloat16)]
    [TestCase(WeightFormat.Float16)]
    public void Narrow_weights_are_rounded_and_nothing_else(WeightFormat format)
    {
        if (!device.Device.Supports(format))
        {
            Assert.Ignore($"{device} keeps no weights as {format}");
        }
        foreach (Values values in Enum.GetValues<Values>().Where(values => !device.IsSlow || values is Values.Ordinary or Values.Tiny))
        {
            foreach ((int m, int n, int k) in Sizes)
            {
                OperationHarness harness = new(device, m + n + k) { Values = values };
                harness.Check(new MatMul(Tensor.Float("a", 1, m, k), harness.Constant("w", n, k).View(), Tensor.Float("y", 1, m, n))
                {
                    TransposeB = true,
                    Bias = harness.Vector("bias", n),
                    WeightFormat = format,
                });
            }
        }
    }

    [Test]
    public void Only_constants_are_kept_as_bfloat16()
        => Assert.Throws<ArgumentException>(() => new MatMul(Tensor.Float("a", 1, 3, 4), Tensor.Float("b", 1, 4, 2), Tensor.Float("y", 1, 3, 2)) { WeightFormat = WeightFormat.BFloat16 }.Validate());

    [Test]
    public void Computed_factors_equal_the_definition([Values] bool transposed, [Values(0.125f, 1f)] float scale)
    {
        foreach ((int m, int n, int k) in Sizes)
        {
            OperationHarness harness = new(device, m + n + k);
            Tensor b = transposed ? Tensor.Float("b", 3, n, k) : Tensor.Float("b", 3, k, n);
            harness.Check(new MatMul(Tensor.Float("a", 3, m, k), b, Tensor.Float("y", 3, m, n)) { TransposeB = transposed, Scale = scale });
        }
    }

    // Heads that a panel of the kernel fits in, that fit in a panel, and that lie across; rows that end inside a tile, for one and more batch elements.
    [TestCase(1, 1, 4, 4)]
    [TestCase(2, 13, 64, 192)]
    [TestCase(3, 6, 32, 96)]
    [TestCase(3, 50, 16, 48)]
    [TestCase(2, 5, 12, 36)]
    [TestCase(2, 7, 20, 60)]
    [TestCase(3, 101, 64, 128)]
    [TestCase(5, 1, 64, 64)]
    public void A_product_is_laid_out_by_heads(int batch, int rows, int size, int columns)
    {
        if (device.IsSlow && rows > 50)
        {
            Assert.Ignore("smaller shapes show the same on the simulator");
        }
        foreach (Activation activation in (Activation[])[Activation.None, Activation.Gelu])
        {
            OperationHarness harness = new(device, rows + columns);
            harness.Check(new MatMul(Tensor.Float("a", batch, rows, 24), harness.Constant("w", columns, 24).View().Repeat(batch), Tensor.Float("y", batch, columns / size * rows, size))
            {
                TransposeB = true,
                Bias = harness.Vector("bias", columns),
                Activation = activation,
                HeadSize = size,
            });
            harness.Check(new MatMul(Tensor.Float("a", batch, rows, 24), Tensor.Float("b", batch, 24, columns), Tensor.Float("y", batch, columns / size * rows, size))
            {
                Bias = harness.Vector("rows", rows),
                BiasAxis = BiasAxis.Rows,
                Activation = activation,
                HeadSize = size,
            });
        }
    }

    [Test]
    public void By_heads_the_values_are_the_same_bits([Values(8, 32, 64)] int size)
    {
        OperationHarness harness = new(device);
        int rows = device.IsSlow ? 5 : 61;
        int columns = 3 * size;
        Tensor w = harness.Constant("w", columns, 30);
        Tensor a = Tensor.Float("a", 2, rows, 30);
        Tensor plain = Tensor.Float("plain", 2, rows, columns);
        Tensor heads = Tensor.Float("heads", 2, 3 * rows, size);
        uint[] expected = harness.Run(new MatMul(a, w.View().Repeat(2), plain) { TransposeB = true })[plain];
        uint[] actual = harness.Run(new MatMul(a, w.View().Repeat(2), heads) { TransposeB = true, HeadSize = size })[heads];
        for (int i = 0; i < actual.Length; i++)
        {
            (int rest, int column) = Math.DivRem(i, size);
            (int batchHead, int row) = Math.DivRem(rest, rows);
            (int batch, int head) = Math.DivRem(batchHead, 3);
            Assert.That(actual[i], Is.EqualTo(expected[(batch * rows + row) * columns + head * size + column]), $"element {i}");
        }
    }

    [Test]
    public void Heads_that_do_not_fit_are_refused()
    {
        Tensor a = Tensor.Float("a", 1, 3, 4);
        Tensor b = Tensor.Float("b", 1, 4, 24);
        Assert.DoesNotThrow(() => new MatMul(a, b, Tensor.Float("y", 1, 9, 8)) { HeadSize = 8 }.Validate());
        Assert.Throws<ArgumentException>(() => new MatMul(a, b, Tensor.Float("y", 1, 12, 6)) { HeadSize = 6 }.Validate(), "no multiple of 4");
        Assert.Throws<ArgumentException>(() => new MatMul(a, b, Tensor.Float("y", 1, 3, 16)) { HeadSize = 16 }.Validate(), "no divisor");
        Assert.Throws<ArgumentException>(() => new MatMul(a, b, Tensor.Float("y", 1, 3, 24)) { HeadSize = 8 }.Validate(), "side by side");
        Assert.Throws<ArgumentException>(() => new MatMul(a, b, Tensor.Float("y", 1, 9, 8)) { HeadSize = 8, Residual = Tensor.Float("r", 1, 9, 8) }.Validate(), "residual");
    }

    [Test]
    public void A_constant_on_the_left_mixes_rows()
    {
        foreach ((int m, int n, int k) in Sizes)
        {
            OperationHarness harness = new(device, m + n + k);
            Tensor group = Tensor.Float("group", 1, m, n);
            harness.Check(new MatMul(harness.Constant("w", m, k).View().Repeat(2), Tensor.Float("x", 2, k, n), Tensor.Float("y", 2, m, n))
            {
                Bias = harness.Vector("bias", m),
                BiasAxis = BiasAxis.Rows,
                Activation = Activation.Gelu,
                Residual = group.View().Repeat(2),
            });
        }
    }

    [Test]
    public void Views_read_and_write_only_their_part()
    {
        OperationHarness harness = new(device);
        Tensor x = Tensor.Float("x", 2, 9, 40);
        Tensor y = Tensor.Float("y", 2, 20, 50);
        harness.Check(new MatMul(x.View().RowRange(2, 5).ColumnRange(3, 17), harness.Constant("w", 33, 17).View().Repeat(2), y.View().RowRange(4, 5).ColumnRange(10, 33)) { TransposeB = true });
    }

    [Test]
    public void The_residual_may_lie_under_the_result()
    {
        OperationHarness harness = new(device) { InPlace = true };
        harness.Check(new MatMul(Tensor.Float("a", 2, 7, 20), harness.Constant("w", 33, 20).View().Repeat(2), Tensor.Float("y", 2, 7, 33))
        {
            TransposeB = true,
            Residual = Tensor.Float("residual", 2, 7, 33),
        });
    }

    [Test]
    public void A_row_has_the_same_bits_alone_and_among_others([Values(1, 2, 5)] int threads)
    {
        int rows = device.IsSlow ? 14 : 101;
        OperationHarness harness = new(device, 3) { Threads = threads };
        Tensor w = harness.Constant("w", 70, 48);
        Tensor bias = harness.Vector("bias", 70);
        Tensor a = Tensor.Float("a", 2, rows, 48);
        Tensor y = Tensor.Float("y", 2, rows, 70);
        MatMul Layer(TensorView from, TensorView to) => new(from, w.View().Repeat(from.Batch), to) { TransposeB = true, Bias = bias, Activation = Activation.Gelu };
        uint[] all = harness.Run(Layer(a, y))[y];
        foreach (int row in (int[])[0, 1, rows / 2, rows - 1])
        {
            Tensor one = Tensor.Float("one", 1, 1, 70);
            TensorView second = a.View() with { Batch = 1, Offset = rows * 48 };
            uint[] alone = harness.Run(Layer(second.RowRange(row, 1), one))[one];
            Assert.That(alone, Is.EqualTo(all[((rows + row) * 70)..((rows + row + 1) * 70)]), $"row {row}");
        }
    }

    [Test]
    public void Seeded_faults_are_found()
    {
        OperationHarness harness = new(device);
        Tensor source = Tensor.Float("a", 1, 14, 64);
        TensorView a = source.View().RowRange(0, 13);
        Tensor b = Tensor.Float("b", 1, 64, 33);
        Tensor y = Tensor.Float("y", 1, 13, 33);
        Tensor residual = Tensor.Float("residual", 1, 13, 33);
        MatMul right = new(a, b, y) { Bias = harness.Vector("bias", 33), Activation = Activation.Gelu, Residual = residual };
        harness.Catches(right, right with { A = a.ColumnRange(0, 63), B = b.View().RowRange(0, 63) }, "last element of K dropped");
        harness.Catches(right, right with { A = source.View().RowRange(1, 13) }, "rows shifted");
        harness.Catches(right, right with { Bias = null }, "bias missing");
        harness.Catches(right, right with { Activation = Activation.QuickGelu }, "wrong activation");
        harness.Catches(right, right with { Residual = null }, "residual missing");
        harness.Catches(right, right with { Y = y.View().RowRange(0, 12), A = a.RowRange(0, 12), Residual = null, Activation = Activation.None, Bias = null }, "last row not written");
        harness.Catches(right, right with { Scale = 1.001f }, "scale");
    }

    [Test]
    public void Not_a_number_and_infinity_spread_as_in_ieee_arithmetic()
    {
        OperationHarness harness = new(device);
        Tensor a = Tensor.Float("a", 1, 4, 3);
        Tensor b = Tensor.Float("b", 1, 3, 2);
        harness.With(a, float.NaN, 1, 1, float.PositiveInfinity, 1, 1, 1, 0, 1, 1, 1, 1).With(b, 1f, -1, float.NegativeInfinity, 2, 3, 4);
        Tensor y = Tensor.Float("y", 1, 4, 2);
        MatMul product = new(a, b, y);
        harness.Check(product);
        Assert.That(harness.Floats(product, y), Is.EqualTo((float[])
            [float.NaN, float.NaN, float.NaN, float.NegativeInfinity, float.NaN, 3, float.NegativeInfinity, 5]));
    }

    [Test]
    public void Bits_do_not_depend_on_threads_or_runs()
    {
        OperationHarness harness = new(device);
        int rows = device.IsSlow ? 3 : 150;
        Tensor y = Tensor.Float("y", 2, rows, 40);
        harness.IsRepeatable(new MatMul(Tensor.Float("a", 2, rows, 30), Tensor.Float("b", 2, 30, 40), y) { Activation = Activation.QuickGelu });
    }

    [Test]
    public void Prepared_steps_allocate_nothing([Values] bool transposed)
    {
        OperationHarness harness = new(device);
        Tensor b = transposed ? Tensor.Float("b", 1, 20, 8) : Tensor.Float("b", 1, 8, 20);
        harness.AllocatesNothing(new MatMul(Tensor.Float("a", 1, 30, 8), b, Tensor.Float("y", 1, 30, 20)) { TransposeB = transposed, Activation = Activation.Gelu });
        harness.AllocatesNothing(new MatMul(Tensor.Float("a", 1, 30, 8), harness.Constant("w", 20, 8), Tensor.Float("y", 1, 30, 20)) { TransposeB = true, Bias = harness.Vector("bias", 20) });
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Tensor a = Tensor.Float("a", 1, 3, 4);
        Assert.Throws<ArgumentException>(() => new MatMul(a, Tensor.Float("b", 1, 5, 2), Tensor.Float("y", 1, 3, 2)).Validate());
        Assert.Throws<ArgumentException>(() => new MatMul(a, Tensor.Float("b", 2, 4, 2), Tensor.Float("y", 1, 3, 2)).Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => Tensor.Float("none", 0, 3, 2));
    }
}
