using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>What a device would launch: a test of one shape of a kernel must not run another.</summary>
internal static class LaunchedKernels
{
    /// <summary>The names of an operation's kernels, on a device that need not be here.</summary>
    public static IReadOnlyList<string> Of(DeviceFacts facts, Operation operation)
    {
        List<string> names = [];
        using GpuDevice device = GpuDevice.Absent(facts, kernel => names.Add(kernel.Name));
        using ConstantPool constants = device.CreateConstants(new MemoryAccount());
        using Worker worker = device.CreateWorker(null, constants, 1);
        worker.Prepare(operation, new Dictionary<Tensor, long>());
        return names;
    }

    /// <summary>The name of an operation's only kernel on a device.</summary>
    public static string Of(TestDevice device, Operation operation) => Of(((GpuDevice)device.Device).Facts, operation).Single();
}
