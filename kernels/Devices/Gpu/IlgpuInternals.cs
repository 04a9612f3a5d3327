using System.Reflection;
using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.IR.Types;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// What ILGPU 1.5.3 keeps to itself and kernels from disk need: it makes a kernel only by compiling one. Launchers, and so the way
/// arguments are passed, are ILGPU's own all the same.
/// </summary>
internal static class IlgpuInternals
{
    /// <summary>The fields by which the OpenCL back end passes a view, as it tells its own entry points: an offset and a length.</summary>
    public const int OpenClFieldsOfView = 2;

    /// <summary>A kernel object around what a driver has loaded; it frees both when it is disposed.</summary>
    public static CLKernel OpenClKernel(CLAccelerator accelerator, CLCompiledKernel compiled, int groupSize, nint program, nint kernel)
    {
        CLKernel made = (CLKernel)RuntimeHelpers.GetUninitializedObject(typeof(CLKernel));
        ProgramOf(made) = program;
        KernelOf(made) = kernel;
        Construct(made, accelerator, compiled, Launcher(accelerator, compiled, groupSize));
        return made;
    }

    /// <inheritdoc cref="OpenClKernel"/>
    public static CudaKernel CudaKernel(CudaAccelerator accelerator, PTXCompiledKernel compiled, int groupSize, nint module, nint function)
    {
        CudaKernel made = (CudaKernel)RuntimeHelpers.GetUninitializedObject(typeof(CudaKernel));
        ModuleOf(made) = module;
        FunctionOf(made) = function;
        Construct(made, accelerator, compiled, Launcher(accelerator, compiled, groupSize));
        return made;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_EntryPoint")]
    public static extern EntryPoint EntryPointOf(CompiledKernel kernel);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_TypeContext")]
    public static extern IRTypeContext TypesOf(Context context);

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern PTXCompiledKernel PtxKernel(Context context, EntryPoint entryPoint, CompiledKernel.KernelInfo? info, string ptx);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = ".ctor")]
    private static extern void Construct(Kernel kernel, Accelerator accelerator, CompiledKernel compiled, MethodInfo? launcher);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "GenerateKernelLauncherMethod")]
    private static extern MethodInfo Launcher(CLAccelerator accelerator, CLCompiledKernel kernel, int groupSize);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "GenerateKernelLauncherMethod")]
    private static extern MethodInfo Launcher(CudaAccelerator accelerator, PTXCompiledKernel kernel, int groupSize);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "programPtr")]
    private static extern ref nint ProgramOf(CLKernel kernel);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "kernelPtr")]
    private static extern ref nint KernelOf(CLKernel kernel);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "modulePtr")]
    private static extern ref nint ModuleOf(CudaKernel kernel);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "functionPtr")]
    private static extern ref nint FunctionOf(CudaKernel kernel);
}
