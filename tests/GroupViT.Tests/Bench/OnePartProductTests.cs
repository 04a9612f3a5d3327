using GroupViT.Bench.Workloads;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Bench;

/// <summary>The product that others are compared with computes the same.</summary>
internal sealed class OnePartProductTests
{
    [TestCase(80, WeightFormat.BFloat16, "OnePart<BFloat16Tensors>"), TestCase(75, WeightFormat.Float16, "OnePart<Float16TensorsK8>")]
    [Category("Simulator")]
    public void It_equals_its_definition(int compute, WeightFormat format, string kernel)
    {
        TestDevice device = new($"simulator of compute {compute / 10}.{compute % 10}, small", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(compute, 0));
        OperationHarness harness = new(device, 3);
        OnePartProduct product = Product(harness, format);
        Assert.That(LaunchedKernels.Of(device, product), Does.Contain(kernel));
        harness.Check(product);
        device.Close();
    }

    [Test]
    public void Where_parts_are_needed_to_fill_the_device_it_is_refused()
    {
        OperationHarness harness = new(new TestDevice("cpu", DeviceKind.Cpu, () => new CpuDevice()));
        Assert.That(() => LaunchedKernels.Of(DeviceFacts.Cuda(80), Product(harness, WeightFormat.BFloat16)), Throws.TypeOf<NotSupportedException>().With.Message.Contains("5 x 4 do not fill"));
        Assert.That(OnePartProduct.Fits(Product(harness, WeightFormat.TensorFloat32).Product, DeviceFacts.Cuda(80)), Is.False);
    }

    private static OnePartProduct Product(OperationHarness harness, WeightFormat format)
    {
        Tensor a = Tensor.Float("a", 1, 5, 128);
        MatMul product = new(a, harness.Constant("b", 4, 128), Tensor.Float("y", 1, 5, 4)) { TransposeB = true, WeightFormat = format, RoundsFactors = true };
        if (format != WeightFormat.TensorFloat32)
        {
            a.KeepAs(format);
        }
        return new OnePartProduct(product);
    }
}
