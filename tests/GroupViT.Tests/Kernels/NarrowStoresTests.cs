using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>What norms and patches write in 16 bits, for products on matrix instructions to read. On a card, the same.</summary>
internal sealed class NarrowStoresTests
{
    private static readonly TestDevice Ampere = new("simulator of compute 8.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1));
    private static readonly TestDevice Turing = new("simulator of compute 7.5", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(75, 1));

    private static IEnumerable<TestCaseData> Devices
    {
        get
        {
            yield return new TestCaseData(Ampere, WeightFormat.BFloat16) { TestName = "{m}(BFloat16)" };
            yield return new TestCaseData(Ampere, WeightFormat.Float16) { TestName = "{m}(Float16)" };
            yield return new TestCaseData(Turing, WeightFormat.Float16) { TestName = "{m}(Float16 of compute 7.5)" };
        }
    }

    private static IEnumerable<TestCaseData> Cards
        => from card in TestDevices.Present.Where(device => device.Kind == DeviceKind.Cuda)
           from format in ((GpuDevice)card.Device).Facts.Formats.Where(format => KernelChoice.IsPairs(KernelChoice.Product(((GpuDevice)card.Device).Facts, format).Kernel))
           select new TestCaseData(card, format) { TestName = $"{{m}}({card}, {format})" };

    [OneTimeTearDown]
    public void Close()
    {
        Ampere.Close();
        Turing.Close();
    }

    [TestCaseSource(nameof(Cards)), Category("Cuda")]
    public void A_card_writes_the_rounded_bits(TestDevice device, WeightFormat format)
    {
        A_norm_is_rounded_to_nearest_even(device, format);
        Patches_are_rounded_to_nearest_even(device, format);
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void A_norm_is_rounded_to_nearest_even(TestDevice device, WeightFormat format)
    {
        OperationHarness harness = new(device, 3);
        LayerNorm wide = new(Tensor.Float("x", 2, 3, 24), harness.Vector("gamma", 24), harness.Vector("beta", 24), Tensor.Float("wide", 2, 3, 24), 1e-5f);
        LayerNorm narrow = wide with { Y = TensorMatMulTests.Kept(Tensor.Float("narrow", 2, 3, 24), format) };
        harness.Check(narrow);
        float[] expected = Array.ConvertAll(harness.Floats(wide, wide.Y.Tensor), value => (float)format.Kept(value));
        Assert.That(harness.Floats(narrow, narrow.Y.Tensor), Is.EqualTo(expected));
    }

    [TestCaseSource(nameof(Devices)), Category("Simulator")]
    public void Patches_are_rounded_to_nearest_even(TestDevice device, WeightFormat format)
    {
        OperationHarness harness = new(device, 5);
        Tensor x = Tensor.Float("x", 2, 3 * 8, 12);
        float[] values = TensorAttentionTests.Numbers(x.Count, 7);
        // Halfway between two numbers, the smallest, beyond the largest, and none.
        (values[0], values[1], values[2], values[3], values[4]) = (1 + MathF.ScaleB(1, -8), 1 + MathF.ScaleB(1, -11), MathF.ScaleB(1, -24), 65520, float.NaN);
        harness.With(x, values);
        harness.Check(new PatchUnfold(x, TensorMatMulTests.Kept(Tensor.Float("patches", 2, 6, 48), format), 3, 4));
    }

    [Test]
    public void What_no_quads_write_is_refused()
    {
        OperationHarness harness = new(Ampere);
        Tensor narrow = TensorMatMulTests.Kept(Tensor.Float("narrow", 1, 2, 6), WeightFormat.BFloat16);
        Assert.That(
            () => harness.Run(new LayerNorm(Tensor.Float("x", 1, 2, 6), harness.Vector("gamma", 6), harness.Vector("beta", 6), narrow, 1e-5f)),
            Throws.ArgumentException.With.Message.Contains("narrow[1, 2, 6] holds BFloat16, not floats"));
        Tensor patches = TensorMatMulTests.Kept(Tensor.Float("patches", 1, 1, 18), WeightFormat.BFloat16);
        Assert.That(
            () => harness.Run(new PatchUnfold(Tensor.Float("x", 1, 6, 3), patches, 2, 3)), Throws.ArgumentException.With.Message.Contains("patches[1, 1, 18] holds BFloat16, not floats"));
    }

    [Test]
    public void Constants_and_integers_stay_what_they_are()
    {
        Assert.That(() => new OperationHarness(Ampere).Vector("gamma", 4).KeepAs(WeightFormat.BFloat16), Throws.InvalidOperationException);
        Assert.That(() => Tensor.Int("index", 1, 1, 4).KeepAs(WeightFormat.BFloat16), Throws.InvalidOperationException);
        Assert.That(() => Tensor.Float("x", 1, 1, 4).KeepAs(WeightFormat.TensorFloat32), Throws.InvalidOperationException);
    }

    [Test]
    public void A_result_of_half_the_bytes_lies_on_no_operand()
    {
        Tensor x = Tensor.Float("x", 1, 4, 8);
        Tensor y = Tensor.Float("y", 1, 4, 8);
        OperationHarness harness = new(Ampere);
        LayerNorm norm = new(x, harness.Vector("gamma", 8), harness.Vector("beta", 8), y, 1e-5f);
        OperationUses before = new();
        norm.Describe(before);
        y.KeepAs(WeightFormat.Float16);
        OperationUses after = new();
        norm.Describe(after);
        Assert.That(before.Overwrites, Is.EqualTo(((Tensor, Tensor)[])[(y, x)]));
        Assert.That(after.Overwrites, Is.Empty);
    }
}
