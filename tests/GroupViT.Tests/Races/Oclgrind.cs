using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using GroupViT.Kernels.Devices;
using GroupViT.Tests.Kernels;
using ILGPU;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Tests.Races;

/// <summary>What oclgrind looks for, beside accesses outside a buffer or an array and barriers that not all threads reach, which it always does.</summary>
internal enum Check
{
    DataRaces,

    /// <summary>Apart from races: a barrier that is missing brings forth thousands of values not yet written, and a few races.</summary>
    UninitializedValues,
}

/// <summary>
/// oclgrind as this process's OpenCL driver (.ci/races-lane makes it that): it interprets every thread of a kernel and writes down data races, uses of
/// values that nothing wrote, and accesses outside a buffer or an array.
/// </summary>
/// <remarks>
/// <para>oclgrind 21.10 (Debian 12's) calls itself OpenCL 1.2, and ILGPU refuses a device without the generic address space of 2.0. After
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

    private static string? silence;

    /// <summary>What oclgrind wrote down while a device was used, a line per finding.</summary>
    /// <param name="check">What it looks for.</param>
    /// <param name="facts">The device that it plays: what kernels are chosen by.</param>
    /// <param name="use">Launches kernels.</param>
    public static IReadOnlyList<string> Findings(Check check, DeviceFacts facts, Action<TestDevice> use)
    {
        Assert.That(silence, Is.Null, "oclgrind counts findings over the whole process; it has reached its limit, and would find nothing more");
        // Read by oclgrind whenever an OpenCL context is made, from the C library's environment, which is not that of .NET.
        Set("OCLGRIND_DATA_RACES", check == Check.DataRaces);
        Set("OCLGRIND_UNINITIALIZED", check == Check.UninitializedValues);
        using (GpuDevice device = Open(facts))
        {
            use(new TestDevice("oclgrind", DeviceKind.OpenCL, () => device));
        }
        // The log begins anew with each OpenCL context, and is complete when that is released.
        IReadOnlyList<string> findings = Parse(File.ReadAllText(Environment.GetEnvironmentVariable(LogVariable)!));
        silence = findings.FirstOrDefault(finding => finding.Contains("suppressing further errors", StringComparison.Ordinal));
        return findings;
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

    private static void Set(string variable, bool value)
        => Assert.That(SetEnvironment(variable, value ? "1" : "0", 1), Is.Zero, $"setenv {variable}");

    [DllImport("libc", EntryPoint = "setenv", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    private static extern int SetEnvironment([MarshalAs(UnmanagedType.LPStr)] string name, [MarshalAs(UnmanagedType.LPStr)] string value, int overwrite);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_GenericAddressSpace")]
    private static extern void SetGenericAddressSpace(CLCapabilityContext capabilities, bool value);
}
