using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace GroupViT.Kernels.Devices;

/// <summary>A prepared program as one CUDA graph: its launches captured from a stream, handed to the driver once, and started by one call.</summary>
/// <remarks>
/// Arguments are part of the graph: arena and constants stay where they are as long as a program lives. The capture is relaxed, because
/// other workers' threads may allocate and wait meanwhile. Whatever the driver does not like about it ends in no graph and the straight walk.
/// </remarks>
internal sealed unsafe class CudaGraph : Recording
{
    private const int Relaxed = 2;

    private static readonly Lazy<Functions?> Driver = new(Functions.Find);

    private readonly GpuDevice device;
    private readonly CudaStream stream;
    private readonly Functions driver;
    private nint executable;

    private CudaGraph(GpuDevice device, CudaStream stream, Functions driver, nint executable)
        => (this.device, this.stream, this.driver, this.executable) = (device, stream, driver, executable);

    /// <summary>The steps' launches, not run; null where the driver has no graphs (before CUDA 11.4) or refuses one of these.</summary>
    public static CudaGraph? Record(GpuDevice device, CudaStream stream, IReadOnlyList<Step> steps)
    {
        if (Driver.Value is not { } driver)
        {
            return null;
        }
        using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
        if (((delegate* unmanaged<nint, int, int>)driver.BeginCapture)(stream.StreamPtr, Relaxed) != 0)
        {
            return null;
        }
        bool launched = true;
        try
        {
            foreach (Step step in steps)
            {
                step.Run();
            }
        }
        catch (AcceleratorException)
        {
            // If it is the device and not the capture, the straight walk meets it again.
            launched = false;
        }
        nint graph = 0;
        bool captured = ((delegate* unmanaged<nint, nint*, int>)driver.EndCapture)(stream.StreamPtr, &graph) == 0 && graph != 0;
        nint executable = 0;
        bool made = launched && captured && ((delegate* unmanaged<nint*, nint, ulong, int>)driver.Instantiate)(&executable, graph, 0) == 0;
        if (graph != 0)
        {
            _ = ((delegate* unmanaged<nint, int>)driver.DestroyGraph)(graph);
        }
        return made ? new CudaGraph(device, stream, driver, executable) : null;
    }

    public override void Launch()
    {
        using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
        CudaException.ThrowIfFailed((CudaError)((delegate* unmanaged<nint, nint, int>)driver.Launch)(executable, stream.StreamPtr));
    }

    public override void Dispose()
    {
        if (executable != 0)
        {
            using ScopedAcceleratorBinding binding = device.Accelerator.BindScoped();
            _ = ((delegate* unmanaged<nint, int>)driver.DestroyExecutable)(executable);
            executable = 0;
        }
    }

    private sealed record Functions(nint BeginCapture, nint EndCapture, nint Instantiate, nint Launch, nint DestroyGraph, nint DestroyExecutable)
    {
        public static Functions? Find()
        {
            nint[] found =
            [
                CudaDriver.Find("cuStreamBeginCapture_v2"), CudaDriver.Find("cuStreamEndCapture"), CudaDriver.Find("cuGraphInstantiateWithFlags"),
                CudaDriver.Find("cuGraphLaunch"), CudaDriver.Find("cuGraphDestroy"), CudaDriver.Find("cuGraphExecDestroy"),
            ];
            return found.Contains(0) ? null : new Functions(found[0], found[1], found[2], found[3], found[4], found[5]);
        }
    }
}
