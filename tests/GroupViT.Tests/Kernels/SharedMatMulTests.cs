using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>The float32 product from shared memory, on the simulator that plays a CUDA device; on a card, the same.</summary>
internal sealed class SharedMatMulTests
{
    // No multiprocessors are filled by any number of groups: the wide shape.
    private static readonly TestDevice Pascal = new("simulator of compute 6.0, small", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(60, 0));
    private static readonly TestDevice Ampere = new("simulator of compute 8.0, small", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 0));
    private static readonly TestDevice LargePascal = new("simulator of compute 6.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(60, 1000));
    private static readonly TestDevice LargeAmpere = new("simulator of compute 8.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1000));

    private static readonly (int M, int N, int K)[] CardShapes = [(1, 4, 128), (260, 1152, 384), (848, 384, 1536), (8, 384, 384), (2000, 1536, 384), (260, 256, 768)];

    private static IEnumerable<TestCaseData> Devices =>
    [
        new TestCaseData(Pascal) { TestName = "{m}(compute 6.0, wide)" },
        new TestCaseData(Ampere) { TestName = "{m}(compute 8.0, wide)" },
        new TestCaseData(LargePascal) { TestName = "{m}(compute 6.0, deep)" },
        new TestCaseData(LargeAmpere) { TestName = "{m}(compute 8.0, deep)" },
    ];

    private static IEnumerable<TestCaseData> Cards
        => from card in TestDevices.Present.Where(device => device.Kind == DeviceKind.Cuda)
           from shape in CardShapes
           select new TestCaseData(card, shape.M, shape.N, shape.K) { TestName = $"{{m}}({card}, {shape.M} x {shape.N} x {shape.K})" };

    [OneTimeTearDown]
    public void Close()
    {
        foreach (TestDevice device in (TestDevice[])[Pascal, Ampere, LargePascal, LargeAmpere])
        {
            device.Close();
        }
    }

    // On a hundred multiprocessors a batch of four takes the wide shape where some of its elements alone take the deep one.
    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_multiplies_exactly_and_with_the_same_bits_in_a_batch(TestDevice device, int m, int n, int k)
    {
        ExactProduct.Check(device, harness => Product(harness, m, n, k));
        OperationHarness harness = new(device, 17);
        Tensor a = Tensor.Float("a", 4, m, k);
        TensorView b = harness.Constant("b", n, k).View();
        MatMul all = new(a, b.Repeat(4), Tensor.Float("y", 4, m, n)) { TransposeB = true, Bias = harness.Vector("bias", n), Activation = Activation.Gelu };
        harness.IsIndependentOfTheBatch(all, all.Y.Tensor, element =>
        {
            Tensor one = Tensor.Float("one", 1, m, n);
            return (all with { A = OperationHarness.Element(a, element), B = b, Y = one }, one);
        });
    }

    // Edges of both shapes: one row, a row and a quad of columns more than a tile, K of one step and of several to a part.
    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Small_integers_are_multiplied_exactly(TestDevice device)
    {
        foreach ((int m, int n, int k) in ((int, int, int)[])[(65, 68, 128), (33, 36, 384), (1, 4, 256), (64, 64, 128), (3, 100, 512)])
        {
            ExactProduct.Check(device, harness =>
            {
                MatMul product = Product(harness, m, n, k);
                RequireShared(device, product);
                return product;
            });
        }
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void It_equals_the_definition(TestDevice device)
    {
        foreach ((int m, int n, int k) in ((int, int, int)[])[(65, 68, 128), (3, 4, 384), (33, 72, 256)])
        {
            OperationHarness harness = new(device, m + n + k);
            MatMul product = Product(harness, m, n, k, batch: 2) with
            {
                Bias = harness.Vector("bias", n),
                Activation = Activation.Gelu,
                Residual = Tensor.Float("residual", 2, m, n),
                Scale = 0.5f,
            };
            RequireShared(device, product);
            harness.Check(product);
        }
        OperationHarness others = new(device, 2);
        others.Check(Product(others, 70, 64, 128) with { HeadSize = 32, Y = Tensor.Float("heads", 1, 140, 32) });
        others.Check(Product(others, 9, 8, 128) with { Bias = others.Vector("rows", 9), BiasAxis = BiasAxis.Rows, Activation = Activation.Relu });
    }

    [TestCase(60), TestCase(80)]
    [Category("Simulator")]
    public void Both_shapes_of_group_give_the_same_bits(int compute)
    {
        (TestDevice few, TestDevice many) = compute == 60 ? (Pascal, LargePascal) : (Ampere, LargeAmpere);
        foreach (Values values in (Values[])[Values.Ordinary, Values.Tiny, Values.Large])
        {
            OperationHarness harness = new(few, 3) { Values = values };
            MatMul product = Product(harness, 70, 72, 384, batch: 2) with
            {
                Bias = harness.Vector("bias", 72),
                Activation = Activation.Gelu,
                Residual = Tensor.Float("residual", 2, 70, 72),
                Scale = 0.3f,
            };
            uint[] Bits(TestDevice device) => new OperationHarness(device, 5) { Values = values }.Run(product)[product.Y.Tensor];
            Assert.That(Bits(few), Is.EqualTo(Bits(many)));
        }
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Rows_have_the_same_bits_whatever_stands_below_them(TestDevice device)
    {
        OperationHarness harness = new(device, 3);
        MatMul all = Product(harness, 66, 12, 256);
        uint[] expected = harness.Run(all)[all.Y.Tensor];
        foreach (int rows in (int[])[1, 31, 64])
        {
            Tensor some = Tensor.Float("some", 1, rows, 12);
            uint[] bits = harness.Run(all with { A = all.A.RowRange(0, rows), Y = some })[some];
            Assert.That(bits, Is.EqualTo(expected[..bits.Length]), $"{rows} rows");
        }
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Faults_are_found(TestDevice device)
    {
        OperationHarness harness = new(device, 13);
        MatMul product = Product(harness, 8, 8, 128);
        float[] weights = new float[8 * 128];
        product.B.Tensor.Reader!(weights);
        weights[777] += 0.01f;
        Tensor other = Tensor.Constant("damaged", 8, 128, destination => weights.CopyTo(destination));
        harness.Catches(product, product with { B = other.View() }, "a weight changed");
        harness.CatchesMissingEnd(product, product.Y.Tensor);
    }

    [Test]
    public void Neither_rows_nor_batch_nor_multiprocessors_choose_the_order_of_summation()
    {
        OperationHarness harness = new(Ampere);
        foreach (DeviceFacts facts in DeviceFacts.CudaArchitectures.SelectMany(compute => (DeviceFacts[])[DeviceFacts.Cuda(compute, 1), DeviceFacts.Cuda(compute)]))
        {
            foreach ((int n, int k, ProductKernel kernel) in ((int, int, ProductKernel)[])
                [
                    (384, 384, ProductKernel.SharedTiles), (4, 128, ProductKernel.SharedTiles),
                    (384, 96, ProductKernel.Registers4x4), (384, 448, ProductKernel.Registers4x4), (42, 384, ProductKernel.Registers4x4),
                ])
            {
                foreach ((int m, int batch) in ((int, int)[])[(1, 1), (8, 1), (260, 1), (5000, 3)])
                {
                    Assert.That(KernelChoice.Product(facts, Product(harness, m, n, k, batch)).Kernel, Is.EqualTo(kernel), $"{batch} of {m} x {n} x {k} on {facts}");
                }
            }
        }
    }

    // Tiles run over each picture's rows where they do not follow one another.
    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Pictures_whose_rows_lie_apart_are_multiplied_one_by_one(TestDevice device)
    {
        OperationHarness harness = new(device, 41);
        MatMul together = Product(harness, 5, 4, 128, batch: 3);
        MatMul apart = together with { A = Tensor.Float("tokens", 3, 9, 128).View().RowRange(2, 5) };
        MatMul same = together with { A = Tensor.Float("one", 1, 5, 128).View().Repeat(3) };
        Assert.That(GpuMatMul.TileRows(together), Is.EqualTo(15));
        foreach (MatMul product in (MatMul[])[together, apart, same])
        {
            Assert.That(GpuMatMul.TileRows(product), Is.EqualTo(product == together ? 15 : 5));
            RequireShared(device, product);
            harness.Check(product);
        }
    }

    // And the shape of group that a test's name promises.
    private static void RequireShared(TestDevice device, MatMul product)
    {
        DeviceFacts facts = ((GpuDevice)device.Device).Facts;
        Assert.That(LaunchedKernels.Of(device, product), Does.StartWith("SharedMatMul.").And.Contain(facts.Multiprocessors == 0 ? "WideShared" : "DeepShared"));
    }

    private static MatMul Product(OperationHarness harness, int m, int n, int k, int batch = 1)
        => new(Tensor.Float("a", batch, m, k), harness.Constant("b", n, k).View().Repeat(batch), Tensor.Float("y", batch, m, n)) { TransposeB = true };
}
