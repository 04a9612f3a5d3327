using System.Text;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace GroupViT.Kernels.Devices;

/// <summary>CUDA: PTX is linked by the driver to a cubin, the card's own code, which is kept; a driver that cannot, compiles PTX each time.</summary>
internal sealed unsafe class CudaKernelLoader(CudaAccelerator accelerator) : KernelLoader
{
    private const int InputPtx = 1;

    private static readonly Lazy<Functions?> Driver = new(Functions.Find);

    // The version that NVIDIA's module says changes with every driver, CUDA's with some; the module is there on Linux alone.
    protected override string Identity
        => $"cuda {accelerator.Name}, compute {accelerator.Architecture}, CUDA {CudaDriver.Installed()}, driver {CudaDriver.ModuleVersion()}, PTX {accelerator.InstructionSet}";

    protected override Kernel? Restore(GpuKernel kernel, KernelImage image)
    {
        SharedMemorySpecification shared = new(image.SharedBytes, false);
        EntryPoint point = new(kernel.Entry, shared, kernel.Specialization(DeviceKind.Cuda));
        return Load(kernel, IlgpuInternals.PtxKernel(accelerator.Context, point, null, string.Empty), image.Code);
    }

    protected override (Kernel Kernel, byte[]? Code) Compile(GpuKernel kernel, bool keep)
    {
        PTXCompiledKernel compiled = (PTXCompiledKernel)kernel.Compile(accelerator.GetBackend(), DeviceKind.Cuda);
        // Where linking fails, loading PTX fails as well, with the driver's words.
        return keep && Link(compiled.PTXAssembly) is { } cubin && Load(kernel, compiled, cubin) is { } loaded
            ? (loaded, cubin)
            : (LoadCompiled(accelerator, kernel, compiled), null);
    }

    private CudaKernel? Load(GpuKernel kernel, PTXCompiledKernel compiled, byte[] cubin)
    {
        if (Driver.Value is not { } driver)
        {
            return null;
        }
        using ScopedAcceleratorBinding binding = accelerator.BindScoped();
        nint module = 0;
        fixed (byte* code = cubin)
        {
            if (((delegate* unmanaged<nint*, byte*, int>)driver.LoadData)(&module, code) != 0)
            {
                return null;
            }
        }
        if (CudaAPI.CurrentAPI.GetModuleFunction(out nint function, module, compiled.Name) != CudaError.CUDA_SUCCESS)
        {
            _ = CudaAPI.CurrentAPI.DestroyModule(module);
            return null;
        }
        return IlgpuInternals.CudaKernel(accelerator, compiled, LauncherGroup(kernel), module, function);
    }

    private byte[]? Link(string ptx)
    {
        if (Driver.Value is not { } driver)
        {
            return null;
        }
        using ScopedAcceleratorBinding binding = accelerator.BindScoped();
        nint state = 0;
        if (((delegate* unmanaged<uint, int*, nint*, nint*, int>)driver.LinkCreate)(0, null, null, &state) != 0)
        {
            return null;
        }
        try
        {
            // With its terminator, which the linker asks for.
            byte[] text = Encoding.ASCII.GetBytes(ptx + '\0');
            fixed (byte* start = text)
            {
                if (((delegate* unmanaged<nint, int, byte*, nuint, byte*, uint, int*, nint*, int>)driver.LinkAddData)(state, InputPtx, start, (nuint)text.Length, null, 0, null, null) != 0)
                {
                    return null;
                }
            }
            byte* cubin = null;
            nuint length = 0;
            // The result belongs to the linker and goes with it.
            return ((delegate* unmanaged<nint, byte**, nuint*, int>)driver.LinkComplete)(state, &cubin, &length) == 0 && length > 0
                ? new ReadOnlySpan<byte>(cubin, checked((int)length)).ToArray()
                : null;
        }
        finally
        {
            _ = ((delegate* unmanaged<nint, int>)driver.LinkDestroy)(state);
        }
    }

    private sealed record Functions(nint LinkCreate, nint LinkAddData, nint LinkComplete, nint LinkDestroy, nint LoadData)
    {
        public static Functions? Find()
        {
            nint[] found =
            [
                CudaDriver.Find("cuLinkCreate_v2"), CudaDriver.Find("cuLinkAddData_v2"), CudaDriver.Find("cuLinkComplete"), CudaDriver.Find("cuLinkDestroy"), CudaDriver.Find("cuModuleLoadData"),
            ];
            return found.Contains(0) ? null : new Functions(found[0], found[1], found[2], found[3], found[4]);
        }
    }
}
