using System.Runtime.InteropServices;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace GroupViT.Kernels.Devices;

/// <summary>Packed values in host memory that stay where they are: page-locked for CUDA, whose copies then run by themselves.</summary>
internal sealed unsafe class HostBlock : IDisposable
{
    private readonly int count;
    private readonly Accelerator? locker;
    private nint address;

    public HostBlock(GpuDevice device, long floats)
    {
        count = checked((int)floats);
        if (device.Kind == DeviceKind.Cuda)
        {
            locker = device.Accelerator;
            using ScopedAcceleratorBinding binding = locker.BindScoped();
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.AllocateHostMemory(out address, (nint)Bytes));
        }
        else
        {
            address = (nint)NativeMemory.AlignedAlloc((nuint)Bytes, 64);
        }
    }

    public long Bytes => (long)count * sizeof(float);

    public nint Address => address;

    public Span<float> Values => new((void*)address, count);

    public void Dispose()
    {
        if (locker is null)
        {
            NativeMemory.AlignedFree((void*)address);
        }
        else if (address != 0)
        {
            using ScopedAcceleratorBinding binding = locker.BindScoped();
            _ = CudaAPI.CurrentAPI.FreeHostMemory(address);
        }
        address = 0;
    }
}
