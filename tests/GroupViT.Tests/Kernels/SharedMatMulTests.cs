using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>The float32 product from shared memory, on the simulator that plays a CUDA device.</summary>
[Category("Simulator")]
internal sealed class SharedMatMulTests
{
    private static readonly TestDevice Pascal = new("simulator of compute 6.0, one multiprocessor", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(60, 1));
    private static readonly TestDevice Ampere = new("simulator of compute 8.0, one multiprocessor", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1));
    private static readonly TestDevice Large = new("simulator of compute 8.0", DeviceKind.Simulator, () => GpuDevice.OpenEmulator(80, 1000));

    private static IEnumerable<TestDevice> Devices => [Pascal, Ampere];

    [OneTimeTearDown]
    public void Close()
    {
        foreach (TestDevice device in (TestDevice[])[Pascal, Ampere, Large])
        {
            device.Close();
        }
    }

    [TestCaseSource(nameof(Devices))]
    public void It_equals_the_definition(TestDevice device)
    {
        foreach ((int m, int n, int k) in ((int, int, int)[])[(65, 68, 32), (64, 64, 160), (3, 4, 64), (130, 72, 96)])
        {
            OperationHarness harness = new(device, m + n + k);
            MatMul product = Product(harness, m, n, k, batch: 2) with { Bias = harness.Vector("bias", n), Activation = Activation.Gelu, Residual = Tensor.Float("residual", 2, m, n) };
            Assert.That(KernelChoice.Product(((GpuDevice)device.Device).Facts, product).Kernel, Is.EqualTo(ProductKernel.Shared64x64));
            harness.Check(product);
        }
        OperationHarness heads = new(device, 2);
        heads.Check(Product(heads, 70, 64, 32) with { HeadSize = 32, Y = Tensor.Float("heads", 1, 140, 32) });
    }

    [Test]
    public void It_gives_the_bits_of_the_product_without_shared_memory()
    {
        MatMul product = Product(new OperationHarness(Ampere, 3), 70, 72, 96);
        Assert.That(KernelChoice.Product(((GpuDevice)Large.Device).Facts, product).Kernel, Is.EqualTo(ProductKernel.Registers4x4));
        Assert.That(new OperationHarness(Ampere, 5).Run(product)[product.Y.Tensor], Is.EqualTo(new OperationHarness(Large, 5).Run(product)[product.Y.Tensor]));
    }

    private static MatMul Product(OperationHarness harness, int m, int n, int k, int batch = 1)
        => new(Tensor.Float("a", batch, m, k), harness.Constant("b", n, k).View().Repeat(batch), Tensor.Float("y", batch, m, n)) { TransposeB = true };
}
