using GroupViT.Kernels.Devices;
using GroupViT.Native;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace GroupViT.Bench.Measuring;

/// <summary>What a CUDA driver says of its card's free memory, asked through a context of its own, so that another one can come and go.</summary>
internal sealed class DriverMemory : IDisposable
{
    private readonly GpuDevice? watch;

    /// <param name="device">As <see cref="SessionOptions.Device"/>; only CUDA devices tell.</param>
    public DriverMemory(string device)
        => watch = device.StartsWith("cuda:", StringComparison.Ordinal) ? (GpuDevice)DeviceCatalog.Open(device) : null;

    /// <summary>Bytes that no process has taken; null where nobody tells.</summary>
    public long? Free
    {
        get
        {
            if (watch?.Accelerator is not CudaAccelerator card)
            {
                return null;
            }
            using ScopedAcceleratorBinding binding = card.BindScoped();
            return card.GetFreeMemory();
        }
    }

    public void Dispose() => watch?.Dispose();
}
