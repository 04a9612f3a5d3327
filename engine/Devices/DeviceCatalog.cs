using GroupViT.Kernels.Devices;

namespace GroupViT.Native;

/// <summary>A device that sessions can be opened on.</summary>
/// <param name="Name">What <see cref="SessionOptions.Device"/> takes.</param>
/// <param name="Hardware">The hardware and the facts that kernels are chosen by.</param>
/// <param name="MemoryBytes">Its memory, or 0 where unknown.</param>
/// <param name="IsDefault">True for the one that <c>auto</c> means.</param>
public sealed record DeviceInfo(string Name, string Hardware, long MemoryBytes, bool IsDefault)
{
    /// <summary>The precisions it has, each with the kernel that the layers' products get there.</summary>
    public IReadOnlyList<ProductInfo> Products { get; init; } = [];
}

/// <summary>Which kernel a device's facts choose for the products of a precision.</summary>
/// <param name="Precision">Of weights and factors; sums are float32.</param>
/// <param name="Kernel">In a few words.</param>
/// <param name="Reason">The fact that decided.</param>
public sealed record ProductInfo(Precision Precision, string Kernel, string Reason);

/// <summary>The devices of this machine.</summary>
public static class DeviceCatalog
{
    /// <summary>Lists every usable device, the best first; always at least cpu and simulator.</summary>
    public static IReadOnlyList<DeviceInfo> List() => List(out _);

    /// <summary>As above, and what was found but does not open, with the reason.</summary>
    internal static IReadOnlyList<DeviceInfo> List(out IReadOnlyList<(string Name, string Problem)> unusable)
    {
        List<(string Name, bool Preferred)> names = Names();
        string preferred = Default(names);
        List<DeviceInfo> devices = [];
        List<(string, string)> problems = [];
        foreach ((string name, _) in names)
        {
            try
            {
                using Device device = Create(name);
                devices.Add(new DeviceInfo(name, device.Description, device.MemoryBytes, name == preferred)
                {
                    Products = [.. device.Products.Select(product => new ProductInfo(Enum.GetValues<Precision>().Single(precision => precision.WeightFormat() == product.Format), product.Kernel, product.Reason))],
                });
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                // One driver's fault must not hide the other devices.
                problems.Add((name, exception.Message));
            }
        }
        unusable = problems;
        return devices;
    }

    /// <summary>What a device has products for.</summary>
    internal static IReadOnlyList<Precision> Precisions(string name)
    {
        using Device device = Open(name);
        return Precisions(device);
    }

    internal static Precision[] Precisions(Device device) => [.. Enum.GetValues<Precision>().Where(precision => device.Supports(precision.WeightFormat()))];

    /// <summary>Opens a device by name for a precision, and says how its waiting threads wait.</summary>
    /// <exception cref="DeviceUnavailableException">There is none of that name, it does not open, or it has no kernels for the precision.</exception>
    internal static Device Open(string name, Precision precision, bool blockingWait = true, string? kernelCache = null)
    {
        Device device = Open(name, blockingWait, kernelCache);
        if (!device.Supports(precision.WeightFormat()))
        {
            string opened = device.Name;
            string there = string.Join(", ", Precisions(device));
            device.Dispose();
            throw new DeviceUnavailableException(opened, $"no kernels for {precision}; what there is: {there}");
        }
        return device;
    }

    /// <summary>Opens a device by name.</summary>
    /// <exception cref="DeviceUnavailableException">There is none of that name, or it does not open; what was found is listed.</exception>
    internal static Device Open(string name, bool blockingWait = true, string? kernelCache = null)
    {
        if (name is "cpu" or "simulator")
        {
            return Create(name, blockingWait, kernelCache);
        }
        List<(string Name, bool Preferred)> names = Names();
        if (name == "auto")
        {
            name = Default(names);
        }
        if (names.All(found => found.Name != name))
        {
            throw new DeviceUnavailableException(name, $"not found; what there is: {string.Join(", ", names.Select(found => found.Name))}");
        }
        try
        {
            return Create(name, blockingWait, kernelCache);
        }
        catch (Exception exception) when (exception is not (OutOfMemoryException or DeviceUnavailableException))
        {
            throw new DeviceUnavailableException(name, $"found, but it cannot be opened ({exception.Message}); what else there is: {string.Join(", ", names.Where(found => found.Name != name).Select(found => found.Name))}", exception);
        }
    }

    private static List<(string Name, bool Preferred)> Names()
    {
        List<(string, bool)> names = [];
        foreach ((DeviceKind kind, int index, _, bool gpu) in GpuDevice.Find())
        {
            names.Add((kind == DeviceKind.Cuda ? $"cuda:{index}" : $"opencl:{index}", gpu));
        }
        names.Add(("cpu", true));
        names.Add(("simulator", false));
        return names;
    }

    // CUDA devices come first in the list; an OpenCL processor (PoCL) is never preferred over our own code for it.
    private static string Default(List<(string Name, bool Preferred)> names) => names.First(found => found.Preferred).Name;

    private static Device Create(string name, bool blockingWait = true, string? kernelCache = null) => name switch
    {
        "cpu" => new CpuDevice(),
        "simulator" => GpuDevice.OpenSimulator(),
        _ when name.StartsWith("cuda:", StringComparison.Ordinal) => GpuDevice.Open(DeviceKind.Cuda, Index(name), blockingWait, kernelCache),
        _ when name.StartsWith("opencl:", StringComparison.Ordinal) => GpuDevice.Open(DeviceKind.OpenCL, Index(name), kernelCache: kernelCache),
        _ => throw new DeviceUnavailableException(name, "no such kind of device"),
    };

    private static int Index(string name) => int.Parse(name.AsSpan(name.IndexOf(':', StringComparison.Ordinal) + 1), System.Globalization.CultureInfo.InvariantCulture);
}
