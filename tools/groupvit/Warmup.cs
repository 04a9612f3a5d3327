using System.Globalization;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Tool;

/// <summary>groupvit devices --warmup: what a first process takes, what a later one, and the kernels kept for those to come.</summary>
/// <param name="Model">As --model takes it.</param>
/// <param name="Device">The one to warm; null for every GPU device.</param>
/// <param name="Precision">Of the weights.</param>
internal sealed record Warmup(string Model, string? Device, Precision Precision)
{
    public int RunOnce(Output output, CancellationToken cancellation)
    {
        WarmupRun run = WarmupRun.Here(Model, Device ?? "auto", Precision, cancellation);
        if (output.IsJson)
        {
            output.Json(run.Write);
        }
        output.Line(run.ToString());
        return ExitCodes.Done;
    }

    public int Run(Output output, CancellationToken cancellation)
    {
        string[] devices = Device is not null ? [Device] : [.. DeviceCatalog.List().Select(device => device.Name).Where(name => name.Contains(':', StringComparison.Ordinal))];
        if (devices.Length == 0)
        {
            output.Line("there is no GPU device to warm up; cpu compiles no kernels");
        }
        List<(string Device, WarmupRun First, WarmupRun Later)> runs = [];
        KernelCache? cache = KernelCache.Open(null);
        foreach (string device in devices)
        {
            DirectoryInfo caches = Directory.CreateTempSubdirectory("groupvit-warmup-");
            try
            {
                WarmupRun first = WarmupRun.Child(Model, device, Precision, caches.FullName, cancellation);
                runs.Add((device, first, WarmupRun.Child(Model, device, Precision, caches.FullName, cancellation)));
            }
            finally
            {
                caches.Delete(recursive: true);
            }
            // Those two had caches of their own; this one fills the user's.
            if (cache is not null)
            {
                WarmupRun.Child(Model, device, Precision, null, cancellation);
            }
        }
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("folder", cache?.Folder);
                writer.WriteString("precision", CommonOptions.NameOf(Precision));
                writer.WriteStartArray("devices");
                foreach ((string device, WarmupRun first, WarmupRun later) in runs)
                {
                    writer.WriteStartObject();
                    writer.WriteString("device", device);
                    writer.WritePropertyName("first");
                    first.Write(writer);
                    writer.WritePropertyName("later");
                    later.Write(writer);
                    writer.WriteEndObject();
                }
                writer.WriteEndArray();
                writer.WriteEndObject();
            });
        }
        if (runs.Count > 0)
        {
            output.Table(
                ["device", ">first process ms", ">kernels compiled", ">later process ms", ">kernels from disk"],
                [.. runs.Select(run => (IReadOnlyList<TableCell>)[run.Device, Number(run.First.Milliseconds), Number(run.First.Compiled), Number(run.Later.Milliseconds), Number(run.Later.FromDisk)])]);
            output.Line(cache is null ? $"the kernel cache is off ({KernelCache.Variable}): every process is a first one"
                : cache.Problem() is { } problem ? $"no kernels were kept: {problem}"
                : $"kernels are kept in {cache.Folder}");
        }
        return ExitCodes.Done;

        static string Number(double value) => value.ToString("F0", CultureInfo.InvariantCulture);
    }
}
