using System.Runtime.InteropServices;
using GroupViT.Native;

namespace GroupViT.Kernels.Devices;

/// <summary>What is asked of the CUDA driver beside ILGPU's imports, and which version of it a card needs.</summary>
internal static unsafe class CudaDriver
{
    private const string ModuleFile = "/proc/driver/nvidia/version";

    private static readonly Lazy<nint> Library = new(() => NativeLibrary.TryLoad(File, out nint library) ? library : 0);
    private static readonly Lazy<nint> WaitEvent = new(() => Find("cuStreamWaitEvent"));

    /// <summary>The file that the driver installs.</summary>
    public static string File => OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";

    /// <summary>The newest CUDA version that the installed driver supports; null without a driver.</summary>
    public static Version? Installed()
    {
        if (Find("cuDriverGetVersion") is not (not 0 and nint function))
        {
            return null;
        }
        int version = 0;
        return ((delegate* unmanaged<int*, int>)function)(&version) == 0 && version > 0 ? new Version(version / 1000, version % 1000 / 10) : null;
    }

    /// <summary>The version of NVIDIA's kernel module, which is the driver's; "unknown" where the system does not tell.</summary>
    public static string ModuleVersion()
    {
        try
        {
            return OperatingSystem.IsLinux() && System.IO.File.Exists(ModuleFile) ? System.IO.File.ReadLines(ModuleFile).First().Trim() : "unknown";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return "unknown";
        }
    }

    /// <summary>
    /// The CUDA version from which on a driver takes the instructions that a card of this compute capability (times ten) is given: by PTX
    /// version, 6.0 (shfl.sync), 6.5 (ldmatrix, mma.m16n8k8), 7.0 (cp.async, mma.m16n8k16), or the first that knows the card.
    /// </summary>
    public static Version Required(int compute) => compute switch
    {
        >= 100 => new Version(12, 8),
        >= 89 => new Version(11, 8),
        >= 86 => new Version(11, 1),
        >= 80 => new Version(11, 0),
        >= 75 => new Version(10, 2),
        _ => new Version(9, 0),
    };

    /// <exception cref="DeviceUnavailableException">The driver is older than the card's kernels; both versions are named.</exception>
    public static void Require(string device, int compute, Version? installed)
    {
        Version required = Required(compute);
        if (installed is not null && installed < required)
        {
            throw new DeviceUnavailableException(
                device, $"its driver supports CUDA {installed}, kernels for compute {compute / 10}.{compute % 10} need CUDA {required} or later; install a newer driver");
        }
    }

    /// <summary>The stream's later work waits on the device for an event that was recorded on another stream. The driver's error code.</summary>
    public static int StreamWaitEvent(nint stream, nint marked) => ((delegate* unmanaged<nint, nint, uint, int>)WaitEvent.Value)(stream, marked, 0);

    /// <summary>A function of the driver by name; 0 where there is none.</summary>
    public static nint Find(string function) => Library.Value != 0 && NativeLibrary.TryGetExport(Library.Value, function, out nint address) ? address : 0;
}
