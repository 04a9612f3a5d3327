using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Tests.Devices;

/// <summary>ILGPU finds the machine's devices with the driver's libraries alone, and each runs a kernel.</summary>
internal sealed class IlgpuDevicesTests
{
    private const int Length = 1000;

    [Test, Category("OpenCL")]
    public void Every_OpenCL_device_runs_a_kernel() => RunOnEach(AcceleratorType.OpenCL, builder => builder.OpenCL());

    [Test, Category("Cuda")]
    public void Every_CUDA_device_runs_a_kernel() => RunOnEach(AcceleratorType.Cuda, builder => builder.Cuda());

    private static void RunOnEach(AcceleratorType kind, Action<Context.Builder> enable)
    {
        NativeLibraries.Install();
        using Context context = Context.Create(enable);
        // A context that found nothing contains a CPU accelerator instead.
        ILGPU.Runtime.Device[] devices = [.. context.Devices.Where(device => device.AcceleratorType == kind)];
        if (devices.Length == 0)
        {
            RequiredDevices.Missing(kind.ToString());
        }
        foreach (ILGPU.Runtime.Device device in devices)
        {
            TestContext.Out.WriteLine($"{kind}: {device.Name}, {device.MemorySize >> 20} MiB");
            using Accelerator accelerator = device.CreateAccelerator(context);
            using MemoryBuffer1D<int, Stride1D.Dense> buffer =
                accelerator.Allocate1D(Enumerable.Range(0, Length).ToArray());
            Action<Index1D, ArrayView<int>> triple =
                accelerator.LoadAutoGroupedStreamKernel<Index1D, ArrayView<int>>(TripleAndAddOne);
            triple(Length, buffer.View);
            accelerator.Synchronize();
            Assert.That(
                buffer.GetAsArray1D(),
                Is.EqualTo(Enumerable.Range(0, Length).Select(i => 3 * i + 1)),
                device.Name);
        }
    }

    private static void TripleAndAddOne(Index1D index, ArrayView<int> values) => values[index] = 3 * values[index] + 1;
}
