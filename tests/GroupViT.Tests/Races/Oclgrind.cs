using System.Runtime.CompilerServices;
using GroupViT.Kernels.Devices;
using GroupViT.Tests.Kernels;
using ILGPU;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Tests.Races;

/// <summary>
/// oclgrind as this process's OpenCL driver (.ci/races-lane makes it that): it interprets every thread of a kernel and writes down data races, uses of
/// values that nothing wrote, and accesses outside a buffer or an array.
/// </summary>
/// <remarks>
/// <para>oclgrind 21.10, the newest there is, calls itself OpenCL 1.2, and ILGPU refuses a device without the generic address space of 2.0. After
/// <see cref="AddressSpaceHook"/> no pointer of a kernel is generic, so the device is let in all the same: kernels are compiled, given their
/// arguments and launched as on every OpenCL device, and their results are held to the definition.</para>
/// <para>The other way, OpenCL text made without a device and run by the program oclgrind-kernel, would need the layout of every kernel's arguments a
/// second time and would launch nothing as the product does.</para>
/// </remarks>
internal static class Oclgrind
{
    private const string LogVariable = "OCLGRIND_LOG";

    /// <summary>Why it is not there, or null.</summary>
    public static string? WhyMissing
        => Environment.GetEnvironmentVariable(LogVariable) is null ? $"oclgrind is not this process's OpenCL driver: .ci/races-lane makes it that, and names its log in {LogVariable}" : null;

    /// <summary>What oclgrind wrote down while a device was used, a line per finding.</summary>
    /// <param name="facts">The device that it plays: what kernels are chosen by.</param>
    /// <param name="use">Launches kernels.</param>
    public static IReadOnlyList<string> Findings(DeviceFacts facts, Action<TestDevice> use)
    {
        using (GpuDevice device = Open(facts))
        {
            use(new TestDevice("oclgrind", DeviceKind.OpenCL, () => device));
        }
        // The log begins anew with each OpenCL context, and is complete when that is released.
        return Parse(File.ReadAllText(Environment.GetEnvironmentVariable(LogVariable)!));
    }

    /// <summary>Each finding begins at the margin; its place in the kernel, the thread and the instruction follow, indented.</summary>
    internal static IReadOnlyList<string> Parse(string log)
    {
        List<string> findings = [];
        foreach (string line in log.Split('\n').Where(line => !string.IsNullOrWhiteSpace(line)))
        {
            if (char.IsWhiteSpace(line[0]) && findings.Count > 0)
            {
                findings[^1] += $" | {line.Trim()}";
            }
            else
            {
                findings.Add(line.Trim());
            }
        }
        return findings;
    }

    private static GpuDevice Open(DeviceFacts facts)
    {
        NativeLibraries.Install();
        Context context = Context.Create(builder => builder.OpenCL(device =>
        {
            SetGenericAddressSpace(device.Capabilities, true);
            return device.PlatformName == "Oclgrind";
        }));
        try
        {
            Assert.That(context.GetCLDevices().Count, Is.EqualTo(1), "OpenCL devices of oclgrind");
            GpuIntrinsics.Register(context);
            return GpuDevice.Of(context, context.CreateCLAccelerator(0), "oclgrind", facts);
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_GenericAddressSpace")]
    private static extern void SetGenericAddressSpace(CLCapabilityContext capabilities, bool value);
}
