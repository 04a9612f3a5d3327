using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>
/// The tensor-core products on the simulator with warps of 32, whose matrix instructions are emulated lane by lane: what is right there
/// gives every lane what the hardware expects of it. On a card, the same.
/// </summary>
internal sealed class TensorMatMulTests
{
    private static readonly TestDevice Many = new("simulator of compute 8.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1000));
    // No multiprocessors are filled by any number of groups: the largest tiles that there are.
    private static readonly TestDevice Few = new("simulator of compute 8.0, small", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 0));
    private static readonly TestDevice One = new("simulator of compute 8.0, one multiprocessor", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1));
    private static readonly TestDevice Turing = new("simulator of compute 7.5", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(75, 1000));
    private static readonly TestDevice TuringFew = new("simulator of compute 7.5, small", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(75, 0));

    private static IEnumerable<TestCaseData> Devices
    {
        get
        {
            foreach (WeightFormat format in (WeightFormat[])[WeightFormat.BFloat16, WeightFormat.Float16, WeightFormat.TensorFloat32])
            {
                yield return new TestCaseData(Many, format) { TestName = $"{{m}}({format}, deep)" };
                yield return new TestCaseData(Few, format) { TestName = $"{{m}}({format}, wide)" };
            }
            yield return new TestCaseData(Turing, WeightFormat.Float16) { TestName = "{m}(Float16 of compute 7.5, deep)" };
            yield return new TestCaseData(TuringFew, WeightFormat.Float16) { TestName = "{m}(Float16 of compute 7.5, wide)" };
        }
    }

    private static IEnumerable<TestCaseData> PairDevices => Devices.Where(data => !data.Arguments.Contains(WeightFormat.TensorFloat32));

    // On hardware the same bodies, at the shapes that fill more than a group.
    private static IEnumerable<TestCaseData> Cards
        => from card in TestDevices.Present.Where(device => device.Kind == DeviceKind.Cuda)
           from format in ((GpuDevice)card.Device).Facts.Formats.Where(format => format != WeightFormat.Float32)
           from shape in Shapes
           select new TestCaseData(card, format, shape.M, shape.N, shape.K) { TestName = $"{{m}}({card}, {format}, {shape.M} x {shape.N} x {shape.K})" };

    private static readonly (int M, int N, int K)[] Shapes = [(1, 4, 128), (260, 1152, 384), (848, 384, 1536), (8, 384, 384), (2000, 1536, 384), (260, 256, 768)];

    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_multiplies_small_integers_exactly(TestDevice device, WeightFormat format, int m, int n, int k)
    {
        Exact(device, format, m, n, k);
        OperationHarness harness = new(device, 17);
        harness.Check(Product(harness, m, n, k, format) with { Bias = harness.Vector("bias", n), Activation = Activation.Gelu });
        if (format != WeightFormat.TensorFloat32)
        {
            HasTheSameBits(device, format, m, n, k);
        }
    }

    [OneTimeTearDown]
    public void Close()
    {
        foreach (TestDevice device in (TestDevice[])[Many, Few, One, Turing, TuringFew])
        {
            device.Close();
        }
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Small_integers_are_multiplied_exactly(TestDevice device, WeightFormat format)
    {
        RequireTensorKernel(device, Product(new OperationHarness(device), 33, 36, 256, format));
        Exact(device, format, 33, 36, 256);
    }

    private static void Exact(TestDevice device, WeightFormat format, int m, int n, int k)
        => ExactProduct.Check(device, harness => Product(harness, m, n, k, format));

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Bias_activation_residual_heads_and_batches_are_those_of_the_definition(TestDevice device, WeightFormat format)
    {
        OperationHarness harness = new(device, 11);
        MatMul activated = Product(harness, 5, 32, 128, format, batch: 2) with { Bias = harness.Vector("bias", 32), Activation = Activation.Gelu, Scale = 0.5f };
        RequireTensorKernel(device, activated);
        harness.Check(activated);
        MatMul residual = Product(harness, 9, 36, 128, format);
        harness.Check(residual with { Bias = harness.Vector("bias", 36), Residual = Tensor.Float("residual", 1, 9, 36) });
        MatMul heads = Product(harness, 5, 64, 128, format);
        harness.Check(heads with { HeadSize = 32, Y = Tensor.Float("heads", 1, 10, 32) });
    }

    [TestCase(WeightFormat.BFloat16)]
    [TestCase(WeightFormat.Float16)]
    [TestCase(WeightFormat.TensorFloat32)]
    [Category("Simulator")]
    public void Both_shapes_of_group_give_the_same_bits(WeightFormat format)
    {
        MatMul product = Product(new OperationHarness(Many, 3), 9, 36, 256, format);
        RequireTensorKernel(Many, product);
        RequireTensorKernel(Few, product);
        Assert.That(new OperationHarness(Few, 5).Run(product)[product.Y.Tensor], Is.EqualTo(new OperationHarness(Many, 5).Run(product)[product.Y.Tensor]));
    }

    // A's 16-bit numbers come by another way, and are what the other way rounds: not a bit may differ.
    [TestCaseSource(nameof(PairDevices)), Category("Simulator")]
    public void Numbers_of_16_bits_give_the_bits_of_floats_that_are_rounded(TestDevice device, WeightFormat format) => HasTheSameBits(device, format, 9, 36, 256);

    [TestCaseSource(nameof(PairDevices)), Category("Simulator")]
    public void Products_of_16_bits_are_those_of_the_definition(TestDevice device, WeightFormat format)
    {
        OperationHarness harness = new(device, 19);
        MatMul product = Narrow(Product(harness, 5, 64, 128, format, batch: 2) with { Bias = harness.Vector("bias", 64), Activation = Activation.Gelu });
        harness.Check(product with { HeadSize = 32, Y = Kept(Tensor.Float("heads", 2, 10, 32), format) });
        MatMul residual = Product(harness, 33, 4, 128, format);
        residual = residual with { A = Kept(Tensor.Float("a", 1, 33, 128), format), Residual = Tensor.Float("residual", 1, 33, 4) };
        RequireTensorKernel(device, residual);
        harness.Check(residual);
    }

    // Between the deep shape and the tall tiles: the wide one with 16 bits.
    [Test, Category("Simulator")]
    public void All_three_sizes_of_tile_give_the_same_bits()
    {
        const WeightFormat format = WeightFormat.BFloat16;
        MatMul product = Product(new OperationHarness(Many, 3), 65, 4, 128, format);
        Kept(product.A.Tensor, format);
        Assert.That(LaunchedKernels.Of(Many, product), Does.Contain("PairTile, AsyncTileCopy, DeepHalves, WarpTile"));
        Assert.That(LaunchedKernels.Of(One, product), Does.Contain("PairTile, AsyncTileCopy, WidePairs, WarpTile"));
        Assert.That(LaunchedKernels.Of(Few, product), Does.Contain("PairTile, AsyncTileCopy, WidePairs, TallTile"));
        uint[] deep = new OperationHarness(Many, 5).Run(product)[product.Y.Tensor];
        Assert.That(new OperationHarness(One, 5).Run(product)[product.Y.Tensor], Is.EqualTo(deep), "wide");
        Assert.That(new OperationHarness(Few, 5).Run(product)[product.Y.Tensor], Is.EqualTo(deep), "tall");
    }

    // Four steps of each part of K: more than there are stages, so that the ring comes round.
    [TestCase(80, WeightFormat.BFloat16, "DeepHalves"), TestCase(75, WeightFormat.Float16, "DeepPairs")]
    [Category("Simulator")]
    public void Every_stage_is_filled_again(int compute, WeightFormat format, string shape)
    {
        TestDevice device = compute == 80 ? Many : Turing;
        OperationHarness harness = new(device, 43) { Values = Values.Ties };
        MatMul product = Product(harness, 5, 4, 512, format);
        Kept(product.A.Tensor, format);
        Assert.That(LaunchedKernels.Of(device, product), Does.Contain($"PairTile, {(compute == 80 ? "Async" : "Plain")}TileCopy, {shape}"));
        ExactProduct.Check(device, exact =>
        {
            MatMul made = Product(exact, 5, 4, 512, format);
            Kept(made.A.Tensor, format);
            return made;
        });
        harness.Check(product);
    }

    // Tiles run over the rows of all pictures where they follow one another, and else over each one's.
    [Test, Category("Simulator")]
    public void Pictures_whose_rows_lie_apart_are_multiplied_one_by_one()
    {
        OperationHarness harness = new(Many, 41);
        MatMul together = Product(harness, 5, 4, 128, WeightFormat.BFloat16, batch: 3);
        MatMul apart = together with { A = Tensor.Float("tokens", 3, 9, 128).View().RowRange(2, 5) };
        MatMul same = together with { A = Tensor.Float("one", 1, 5, 128).View().Repeat(3) };
        Assert.That(GpuMatMul.TileRows(together), Is.EqualTo(15));
        foreach (MatMul product in (MatMul[])[apart, same])
        {
            Assert.That(GpuMatMul.TileRows(product), Is.EqualTo(5));
            RequireTensorKernel(Many, product);
            harness.Check(product);
        }
    }

    [Test]
    public void Other_kernels_refuse_numbers_of_16_bits()
    {
        OperationHarness harness = new(Many);
        MatMul product = Product(harness, 8, 8, 96, WeightFormat.BFloat16);
        Assert.That(() => harness.Run(product with { A = Kept(Tensor.Float("hidden", 1, 8, 96), WeightFormat.BFloat16) }),
            Throws.ArgumentException.With.Message.Contains("hidden[1, 8, 96] holds BFloat16, not floats"));
    }

    [TestCase(WeightFormat.BFloat16)]
    [TestCase(WeightFormat.TensorFloat32)]
    [Category("Simulator")]
    public void A_fault_is_found(WeightFormat format)
    {
        OperationHarness harness = new(Many, 13);
        MatMul product = Product(harness, 8, 8, 128, format);
        float[] weights = new float[8 * 128];
        product.B.Tensor.Reader!(weights);
        weights[777] += 4;
        Tensor other = Tensor.Constant("damaged", 8, 128, destination => weights.CopyTo(destination));
        harness.Catches(product, product with { B = other.View() }, "a weight changed");
    }

    [Test]
    [Category("Simulator")]
    public void A_weight_that_float16_does_not_hold_is_refused_by_name()
    {
        OperationHarness harness = new(Many);
        MatMul product = Product(harness, 8, 8, 128, WeightFormat.Float16);
        float[] weights = new float[8 * 128];
        weights[130] = 70000;
        Tensor large = Tensor.Constant("large.weight", 8, 128, destination => weights.CopyTo(destination));
        Assert.That(() => harness.Run(product with { B = large.View() }),
            Throws.TypeOf<GroupViT.Native.PrecisionException>().With.Message.Contains("large.weight[1, 2] is 70000").And.Message.Contains("65504"));
    }

    private static MatMul Product(OperationHarness harness, int m, int n, int k, WeightFormat format, int batch = 1)
    {
        Tensor a = Tensor.Float("a", batch, m, k);
        Tensor b = harness.Constant("b", n, k);
        return new MatMul(a, b.View().Repeat(batch), Tensor.Float("y", batch, m, n)) { TransposeB = true, WeightFormat = format, RoundsFactors = true };
    }

    private static void HasTheSameBits(TestDevice device, WeightFormat format, int m, int n, int k)
    {
        OperationHarness harness = new(device, 23);
        float[] a = Array.ConvertAll(TensorAttentionTests.Numbers(m * k, 29), value => (float)format.Kept(value));
        MatMul wide = Product(harness, m, n, k, format) with { Bias = harness.Vector("bias", n), Activation = Activation.Gelu };
        RequireTensorKernel(device, wide);
        MatMul narrow = Narrow(wide with { A = Tensor.Float("a", 1, m, k), Y = Tensor.Float("y", 1, m, n) });
        harness.With(wide.A.Tensor, a).With(narrow.A.Tensor, a);
        float[] expected = Array.ConvertAll(harness.Floats(wide, wide.Y.Tensor), value => (float)format.Kept(value));
        Assert.That(harness.Floats(narrow, narrow.Y.Tensor), Is.EqualTo(expected));
    }

    internal static Tensor Kept(Tensor tensor, WeightFormat format)
    {
        tensor.KeepAs(format);
        return tensor;
    }

    // Both A and Y.
    private static MatMul Narrow(MatMul product)
    {
        Kept(product.A.Tensor, product.WeightFormat);
        Kept(product.Y.Tensor, product.WeightFormat);
        return product;
    }

    // On the simulators the shape of group as well that a test's name promises.
    private static void RequireTensorKernel(TestDevice device, MatMul product)
    {
        string kernel = LaunchedKernels.Of(device, product);
        Assert.That(kernel, Does.StartWith("TensorMatMul."));
        if (device.IsSlow)
        {
            DeviceFacts facts = ((GpuDevice)device.Device).Facts;
            Assert.That(kernel, Does.Contain(facts.Multiprocessors == 0 ? "Wide" : "Deep"));
            Assert.That(kernel.Contains("TallTile", StringComparison.Ordinal), Is.EqualTo(facts.Multiprocessors == 0 && facts.HasAsyncCopy && product.A.Tensor.IsNarrow));
        }
    }
}
