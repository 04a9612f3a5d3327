using System.CommandLine;
using System.Numerics;
using System.Runtime.InteropServices;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit devices: what models can run on here.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        Option<bool> verbose = new("--verbose") { Description = "also the kernels that each device gets, why, and the facts of this machine" };
        Option<bool> warmup = new("--warmup") { Description = "keep a model's kernels, compiled, for later processes; prints what a first and a later process take to their first mask" };
        Option<bool> once = new("--once") { Description = "with --warmup: in this process, with the caches as they are" };
        Option<string> model = CommonOptions.Model();
        Option<string> device = CommonOptions.Device();
        Option<Precision> precision = CommonOptions.Precision();
        Command command = new("devices", "List the devices of this machine.") { json, verbose, warmup, once, model, device, precision };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token =>
            {
                Output output = new(parsed, parsed.GetValue(json));
                if (!parsed.GetValue(warmup))
                {
                    return parsed.GetValue(once) ? throw new UsageException("--once is for --warmup") : Run(output, parsed.GetValue(verbose));
                }
                Warmup plan = new(parsed.GetValue(model)!, parsed.GetResult(device) is { Implicit: false } ? parsed.GetValue(device) : null, parsed.GetValue(precision));
                return parsed.GetValue(once) ? plan.RunOnce(output, token) : plan.Run(output, token);
            },
            cancellation));
        return command;
    }

    private static int Run(Output output, bool verbose)
    {
        IReadOnlyList<DeviceInfo> devices = DeviceCatalog.List(out IReadOnlyList<(string Name, string Problem)> unusable);
        List<(string Driver, string Library, bool Found)> drivers = [.. Drivers()];
        List<(string Name, string Value)> facts = [.. Facts()];
        output.Table(
            ["device", "default", ">memory", "hardware"],
            [.. devices.Select(device => (IReadOnlyList<TableCell>)[device.Name, device.IsDefault ? "default" : "", device.MemoryBytes > 0 ? Quantity.Bytes(device.MemoryBytes) : "unknown", device.Hardware])]);
        foreach ((string name, string problem) in unusable)
        {
            output.Line($"{name}: found, but it cannot be used: {problem}");
        }
        foreach ((string driver, string library, bool found) in drivers)
        {
            bool used = devices.Any(device => device.Name.StartsWith(driver + ":", StringComparison.Ordinal));
            if (!used)
            {
                output.Line(found
                    ? $"{driver}: the driver ({library}{(driver == "cuda" && CudaDriver.Installed() is { } version ? $", CUDA {version}" : "")}) is here, but offers no device that can be used"
                    : $"{driver}: no driver ({library} was not found)");
            }
        }
        if (verbose)
        {
            output.Table(
                ["device", "precision", "kernels", "because"],
                [.. devices.SelectMany(device => device.Products.Select(product => (IReadOnlyList<TableCell>)[device.Name, CommonOptions.NameOf(product.Precision), product.Kernel, product.Reason]))]);
            foreach ((string name, string value) in facts)
            {
                output.Line($"{name}: {value}");
            }
        }
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteStartArray("devices");
                foreach (DeviceInfo device in devices)
                {
                    writer.WriteStartObject();
                    writer.WriteString("device", device.Name);
                    writer.WriteString("hardware", device.Hardware);
                    writer.WriteNumber("memory", device.MemoryBytes);
                    writer.WriteBoolean("default", device.IsDefault);
                    writer.WriteStartObject("products");
                    foreach (ProductInfo product in device.Products)
                    {
                        writer.WriteStartObject(CommonOptions.NameOf(product.Precision));
                        writer.WriteString("kernel", product.Kernel);
                        writer.WriteString("reason", product.Reason);
                        writer.WriteEndObject();
                    }
                    writer.WriteEndObject();
                    writer.WriteEndObject();
                }
                writer.WriteEndArray();
                writer.WriteStartArray("unusable");
                foreach ((string name, string problem) in unusable)
                {
                    writer.WriteStartObject();
                    writer.WriteString("device", name);
                    writer.WriteString("problem", problem);
                    writer.WriteEndObject();
                }
                writer.WriteEndArray();
                writer.WriteStartArray("drivers");
                foreach ((string driver, string library, bool found) in drivers)
                {
                    writer.WriteStartObject();
                    writer.WriteString("driver", driver);
                    writer.WriteString("library", library);
                    writer.WriteBoolean("found", found);
                    writer.WriteEndObject();
                }
                writer.WriteEndArray();
                if (verbose)
                {
                    writer.WriteStartObject("facts");
                    foreach ((string name, string value) in facts)
                    {
                        writer.WriteString(name, value);
                    }
                    writer.WriteEndObject();
                }
                writer.WriteEndObject();
            });
        }
        return ExitCodes.Done;
    }

    // Whether the driver's library loads is all that can be said of a device that the driver does not list.
    private static IEnumerable<(string Driver, string Library, bool Found)> Drivers()
    {
        yield return ("cuda", CudaDriver.File, Loads(CudaDriver.File));
        yield return ("opencl", NativeLibraries.OpenClFile, Loads(NativeLibraries.OpenClFile));
    }

    // Not freed again: drivers do not take it well, and the program ends anyway.
    private static bool Loads(string library) => NativeLibrary.TryLoad(library, out _);

    private static IEnumerable<(string Name, string Value)> Facts()
    {
        yield return ("vector width", $"{(int)CpuDevice.Level} floats ({CpuDevice.Level}); Vector<T>: {Vector<float>.Count}");
        yield return ("threads", Environment.ProcessorCount.ToString(System.Globalization.CultureInfo.InvariantCulture));
        yield return ("CUDA driver", CudaDriver.Installed()?.ToString() ?? "none");
        KernelCache? cache = KernelCache.Open(null);
        yield return ("kernel cache", cache is null ? "off" : cache.Problem() ?? cache.Folder);
        yield return ("ILGPU", typeof(ILGPU.Context).Assembly.GetName().Version?.ToString(3) ?? "unknown");
        yield return ("runtime", RuntimeInformation.FrameworkDescription);
        yield return ("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.RuntimeIdentifier}");
    }
}
