using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>How streamed weights reach the two halves of a window, in order with a worker's launches.</summary>
internal abstract class CopyLane : IDisposable
{
    public static CopyLane Open(GpuDevice device, AcceleratorStream stream, GpuBlock window)
        => stream is CudaStream compute ? new CudaCopyLane(device, compute, window) : new InOrderLane(stream, window);

    /// <summary>Everything launched so far may read the half; what is launched later will not, until it is filled again.</summary>
    public virtual void MarkComputed(int half)
    {
    }

    /// <summary>The copies that follow wait for the half's mark.</summary>
    public virtual void CopyWaits(int half)
    {
    }

    public abstract void Copy(HostBlock block, long offset);

    /// <summary>The copies into the half are all made.</summary>
    public virtual void MarkCopied(int half)
    {
    }

    /// <summary>The launches that follow wait for the half's copies.</summary>
    public virtual void ComputeWaits(int half)
    {
    }

    public virtual void Dispose()
    {
    }
}

/// <summary>
/// OpenCL and the simulator: copies stand in the same queue as the launches, which runs in order, so nothing need be marked. The next
/// segment's copies are queued before this one's launches; whether a driver runs them side by side is its own affair.
/// </summary>
internal sealed class InOrderLane(AcceleratorStream stream, GpuBlock window) : CopyLane
{
    public override void Copy(HostBlock block, long offset)
    {
        if (stream is CLStream queue)
        {
            CLException.ThrowIfFailed(CLAPI.CurrentAPI.WriteBuffer(queue, window.NativePointer, false, (nint)offset, (nint)block.Bytes, block.Address));
        }
        else
        {
            window.View<float>(offset, block.Values.Length).CopyFromCPU(stream, (ReadOnlySpan<float>)block.Values);
            stream.Synchronize();
        }
    }
}

/// <summary>CUDA: copies run on a stream of their own beside the launches; events order the two on the device.</summary>
internal sealed class CudaCopyLane : CopyLane
{
    private readonly GpuDevice device;
    private readonly CudaStream compute;
    private readonly CudaStream copies;
    private readonly GpuBlock window;
    private readonly nint[] computed = new nint[2];
    private readonly nint[] copied = new nint[2];

    public CudaCopyLane(GpuDevice device, CudaStream compute, GpuBlock window)
    {
        (this.device, this.compute, this.window) = (device, compute, window);
        copies = (CudaStream)device.Accelerator.CreateStream();
        using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
        foreach (nint[] events in (nint[][])[computed, copied])
        {
            for (int i = 0; i < events.Length; i++)
            {
                CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.CreateEvent(out events[i], CudaEventFlags.CU_EVENT_DISABLE_TIMING));
            }
        }
    }

    public override void MarkComputed(int half) => Record(computed[half], compute);

    public override void CopyWaits(int half) => Wait(copies, computed[half]);

    public override void Copy(HostBlock block, long offset)
    {
        using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(window.NativePointer + (nint)offset, block.Address, (nint)block.Bytes, copies));
    }

    public override void MarkCopied(int half) => Record(copied[half], copies);

    public override void ComputeWaits(int half) => Wait(compute, copied[half]);

    public override void Dispose()
    {
        using (device.Accelerator.BindScoped())
        {
            foreach (nint marked in (nint[])[.. computed, .. copied])
            {
                _ = CudaAPI.CurrentAPI.DestroyEvent(marked);
            }
        }
        copies.Synchronize();
        copies.Dispose();
        base.Dispose();
    }

    private void Record(nint marked, CudaStream stream)
    {
        using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.RecordEvent(marked, stream.StreamPtr));
    }

    private void Wait(CudaStream stream, nint marked)
    {
        using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
        CudaException.ThrowIfFailed((CudaError)CudaDriver.StreamWaitEvent(stream.StreamPtr, marked));
    }
}
