using System.Runtime.InteropServices;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Runtime;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>OpenCL: the program's binary, whatever the driver means by it, is kept.</summary>
internal sealed unsafe class OpenClKernelLoader(CLAccelerator accelerator) : KernelLoader
{
    private static readonly Lazy<nint> CreateProgramWithBinary = new(() => Find("clCreateProgramWithBinary"));

    protected override string Identity
    {
        get
        {
            CLDevice device = (CLDevice)accelerator.Device;
            string driver = CLAPI.CurrentAPI.GetDeviceInfo(accelerator.DeviceId, CLDeviceInfoType.CL_DRIVER_VERSION);
            string platform = CLAPI.CurrentAPI.GetPlatformInfo(accelerator.PlatformId, CLPlatformInfoType.CL_PLATFORM_VERSION);
            return $"opencl {device.PlatformName}, {platform}, {accelerator.Name}, driver {driver}, {accelerator.CLStdVersion}";
        }
    }

    protected override Kernel? Restore(GpuKernel kernel, KernelImage image)
    {
        if (CreateProgramWithBinary.Value == 0)
        {
            return null;
        }
        EntryPointDescription entry = kernel.Entry;
        SeparateViewEntryPoint point = new(
            entry, new SharedMemorySpecification(image.SharedBytes, false), kernel.Specialization(DeviceKind.OpenCL), IlgpuInternals.TypesOf(accelerator.Context), IlgpuInternals.OpenClFieldsOfView);
        CLCompiledKernel compiled = new(accelerator.Context, point, null, string.Empty, accelerator.CLStdVersion);
        nint program = Build(image.Code);
        if (program == 0)
        {
            return null;
        }
        if (CLAPI.CurrentAPI.CreateKernel(program, compiled.Name, out nint native) != CLError.CL_SUCCESS)
        {
            _ = CLAPI.CurrentAPI.ReleaseProgram(program);
            return null;
        }
        return IlgpuInternals.OpenClKernel(accelerator, compiled, LauncherGroup(kernel), program, native);
    }

    protected override (Kernel Kernel, byte[]? Code) Compile(GpuKernel kernel, bool keep)
    {
        CompiledKernel compiled = kernel.Compile(accelerator.GetBackend(), DeviceKind.OpenCL);
        CLKernel loaded = (CLKernel)LoadCompiled(accelerator, kernel, compiled);
        return (loaded, keep ? BinaryOf(loaded.ProgramPtr) : null);
    }

    private nint Build(byte[] code)
    {
        nint device = accelerator.DeviceId;
        nint length = code.Length;
        int status = 0;
        int error = 0;
        nint program;
        fixed (byte* binary = code)
        {
            byte* pointer = binary;
            program = ((delegate* unmanaged<nint, uint, nint*, nint*, byte**, int*, int*, nint>)CreateProgramWithBinary.Value)(
                accelerator.NativePtr, 1, &device, &length, &pointer, &status, &error);
        }
        if (program != 0 && (error != 0 || status != 0 || CLAPI.CurrentAPI.BuildProgram(program, device, $"-cl-std={accelerator.CLStdVersion}") != CLError.CL_SUCCESS))
        {
            _ = CLAPI.CurrentAPI.ReleaseProgram(program);
            program = 0;
        }
        return error == 0 ? program : 0;
    }

    // A context of ILGPU's has one device, so a program has one binary; its size is 0 where the driver gives none away.
    private static byte[]? BinaryOf(nint program)
    {
        nint length = 0;
        if (CLAPI.CurrentAPI.GetProgramInfo(program, CLProgramInfo.CL_PROGRAM_BINARY_SIZES, sizeof(nint), &length, out _) != CLError.CL_SUCCESS || length <= 0)
        {
            return null;
        }
        byte[] code = new byte[length];
        fixed (byte* start = code)
        {
            byte* pointer = start;
            return CLAPI.CurrentAPI.GetProgramInfo(program, CLProgramInfo.CL_PROGRAM_BINARIES, sizeof(nint), &pointer, out _) == CLError.CL_SUCCESS ? code : null;
        }
    }

    private static nint Find(string function)
        => NativeLibrary.TryLoad(NativeLibraries.OpenClFile, out nint library) && NativeLibrary.TryGetExport(library, function, out nint address) ? address : 0;
}
