using ILGPU.Backends;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>Brings kernels to a device: from disk where an earlier process left them, else by compiling.</summary>
/// <remarks>Used under the device's lock.</remarks>
internal abstract class KernelLoader
{
    private KernelCache? cache;
    private string? device;

    /// <summary>Kernels that were taken from disk, and those that were compiled.</summary>
    public (int FromDisk, int Compiled) Counts { get; private set; }

    /// <summary>Device and driver, as keys name them.</summary>
    protected abstract string Identity { get; }

    public static KernelLoader For(Accelerator accelerator, KernelCache? cache)
    {
        KernelLoader loader = accelerator switch
        {
            CudaAccelerator cuda => new CudaKernelLoader(cuda),
            CLAccelerator openCl => new OpenClKernelLoader(openCl),
            _ => new PlainKernelLoader(accelerator),
        };
        loader.cache = accelerator.AcceleratorType == AcceleratorType.CPU ? null : cache;
        return loader;
    }

    public Kernel Load(GpuKernel kernel)
    {
        string? key = cache is null ? null : KernelKey.Of(kernel, device ??= Identity);
        if (key is not null && cache!.Read(key) is { } image)
        {
            if (Restore(kernel, image) is { } restored)
            {
                Counts = Counts with { FromDisk = Counts.FromDisk + 1 };
                return restored;
            }
            cache.Drop(key);
        }
        (Kernel loaded, byte[]? code) = Compile(kernel, keep: key is not null);
        Counts = Counts with { Compiled = Counts.Compiled + 1 };
        if (key is not null && code is not null)
        {
            cache!.Write(key, new KernelImage(IlgpuInternals.EntryPointOf(loaded.CompiledKernel).SharedMemory.StaticSize, code));
        }
        return loaded;
    }

    /// <summary>A kernel from what <see cref="Compile"/> gave in another process; null where the driver does not take it.</summary>
    protected abstract Kernel? Restore(GpuKernel kernel, KernelImage image);

    /// <summary>Compiles; with <paramref name="keep"/> also the driver's own form of it, if it gives one.</summary>
    protected abstract (Kernel Kernel, byte[]? Code) Compile(GpuKernel kernel, bool keep);

    /// <summary>The size of groups that ILGPU's launcher is made for; 0 where each launch says it.</summary>
    protected static int LauncherGroup(GpuKernel kernel) => kernel.GroupSize == 0 ? GpuKernel.FlatGroupSize : 0;

    protected static Kernel LoadCompiled(Accelerator accelerator, GpuKernel kernel, CompiledKernel compiled)
        => kernel.GroupSize == 0 ? accelerator.LoadImplicitlyGroupedKernel(compiled, GpuKernel.FlatGroupSize) : accelerator.LoadKernel(compiled);
}

/// <summary>The simulator: kernels are methods of this process.</summary>
internal sealed class PlainKernelLoader(Accelerator accelerator) : KernelLoader
{
    protected override string Identity => accelerator.Name;

    protected override Kernel? Restore(GpuKernel kernel, KernelImage image) => null;

    protected override (Kernel Kernel, byte[]? Code) Compile(GpuKernel kernel, bool keep)
    {
        CompiledKernel compiled = kernel.Compile(accelerator.GetBackend(), DeviceKind.Simulator);
        return (kernel.GroupSize == 0 ? accelerator.LoadAutoGroupedKernel(compiled) : accelerator.LoadKernel(compiled), null);
    }
}
