using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using ILGPU;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// Lets ILGPU find the GPU driver's libraries on a Linux machine that has the driver but no development packages.
/// </summary>
/// <remarks>
/// ILGPU imports <c>cuda</c> and <c>OpenCL</c>, which the runtime looks up as <c>libcuda.so</c> and <c>libOpenCL.so</c>.
/// Those names are links of the development packages; a driver alone installs <c>libcuda.so.1</c> and
/// <c>libOpenCL.so.1</c>. Without help the devices are silently missing.
/// <para>
/// The help is a handler of <see cref="AssemblyLoadContext.ResolvingUnmanagedDll"/>, which the runtime asks after its own
/// look-up failed. <see cref="NativeLibrary.SetDllImportResolver"/> would do too, but there is one such slot per assembly:
/// taking it makes ILGPU's own call throw under the Windows Subsystem for Linux, and a host's as well. Loading the
/// <c>.so.1</c> beforehand does not help: the loader compares the requested name with the SONAME, which ends in <c>.so.1</c>.
/// </para>
/// On Windows the plain look-up finds <c>nvcuda.dll</c> and <c>OpenCL.dll</c>; there, and elsewhere, nothing is installed.
/// </remarks>
internal static class NativeLibraries
{
    /// <summary>The file by which a program finds the OpenCL devices: the loader's on Linux and Windows, the system's own on macOS.</summary>
    public static string OpenClFile
        => OperatingSystem.IsWindows() ? "OpenCL.dll" : OperatingSystem.IsMacOS() ? "/System/Library/Frameworks/OpenCL.framework/OpenCL" : "libOpenCL.so.1";

    private static readonly Lock Gate = new();
    private static bool _installed;

    /// <summary>
    /// Installs the look-up, once per process. Call it before the first ILGPU context with CUDA or OpenCL devices is made:
    /// ILGPU keeps the answer of its first attempt. Safe to call from any thread, any number of times.
    /// </summary>
    public static void Install()
    {
        lock (Gate)
        {
            if (_installed || !OperatingSystem.IsLinux())
            {
                return;
            }
            Assembly ilgpu = typeof(Context).Assembly;
            AssemblyLoadContext context = AssemblyLoadContext.GetLoadContext(ilgpu) ?? AssemblyLoadContext.Default;
            context.ResolvingUnmanagedDll += Resolve;
            _installed = true;
        }
    }

    /// <summary>The file that a driver alone installs for a library name of ILGPU's imports; null for any other name.</summary>
    internal static string? DriverFile(string libraryName) => libraryName switch
    {
        "cuda" => "libcuda.so.1",
        "OpenCL" => "libOpenCL.so.1",
        _ => null,
    };

    private static IntPtr Resolve(Assembly assembly, string libraryName)
    {
        // The event is raised for every assembly of the load context; others' imports are none of our business.
        if (assembly != typeof(Context).Assembly || DriverFile(libraryName) is not { } file)
        {
            return IntPtr.Zero;
        }
        return NativeLibrary.TryLoad(file, out IntPtr handle) ? handle : IntPtr.Zero;
    }
}
