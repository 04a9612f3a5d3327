using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Tool;

/// <summary>A new process up to its first mask on a device: how long, and where its kernels came from.</summary>
/// <param name="Milliseconds">From the process's start to the mask.</param>
/// <param name="FromDisk">Kernels that an earlier process had compiled.</param>
/// <param name="Compiled">Kernels that this one compiled.</param>
internal sealed record WarmupRun(double Milliseconds, int FromDisk, int Compiled)
{
    /// <summary>Makes a mask of a grey picture in this process.</summary>
    public static WarmupRun Here(string modelName, string device, Precision precision, CancellationToken cancellation)
    {
        using GroupVitModel model = ModelLocator.Open(modelName);
        int side = model.SegmentationShortSide;
        using Session session = model.OpenSession(new SessionOptions { Device = device, Precision = precision, MaxSize = (side, side) });
        byte[] grey = new byte[3 * side * side];
        grey.AsSpan().Fill(128);
        Picture picture = Picture.FromPixels(grey, side, side, 3 * side, PixelFormat.Rgb);
        if (model.Labels.Count > 0)
        {
            session.Segment(picture, session.EncodeLabels(model.Labels, cancellation: cancellation), cancellation: cancellation);
        }
        else
        {
            session.Encode([picture], cancellation: cancellation);
        }
        using Process process = Process.GetCurrentProcess();
        (int fromDisk, int compiled) = session.KernelCounts;
        return new WarmupRun((DateTime.Now - process.StartTime).TotalMilliseconds, fromDisk, compiled);
    }

    /// <summary>The same in a process of its own.</summary>
    /// <param name="modelName">As --model takes it.</param>
    /// <param name="device">As --device takes it.</param>
    /// <param name="precision">Of the weights.</param>
    /// <param name="caches">A folder for our kernels and the driver's own, instead of the user's; null for the user's.</param>
    /// <param name="cancellation">Ends the process.</param>
    /// <exception cref="DeviceUnavailableException">It failed; with what it said.</exception>
    public static WarmupRun Child(string modelName, string device, Precision precision, string? caches, CancellationToken cancellation)
    {
        (string executable, IReadOnlyList<string> arguments) = ProgramBeside.Command("groupvit");
        ProcessStartInfo start = new(executable, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["devices", "--warmup", "--once", "--json", "--model", modelName, "--device", device, "--precision", CommonOptions.NameOf(precision)])
        {
            start.ArgumentList.Add(argument);
        }
        if (caches is not null)
        {
            start.Environment[KernelCache.Variable] = Path.Combine(caches, "kernels");
            // A driver that compiled the same kernels before would answer from its own cache: the first process would not be the first.
            start.Environment["CUDA_CACHE_PATH"] = Path.Combine(caches, "cuda");
            start.Environment["POCL_CACHE_DIR"] = Path.Combine(caches, "pocl");
        }
        using Process process = Process.Start(start)!;
        using CancellationTokenRegistration ending = cancellation.Register(() => process.Kill(entireProcessTree: true));
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        Task<string> errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        process.WaitForExit();
        cancellation.ThrowIfCancellationRequested();
        return process.ExitCode == ExitCodes.Done
            ? Parse(output.Result)
            : throw new DeviceUnavailableException(device, $"a new process on it ended with {process.ExitCode}: {errors.Result.Trim()}");
    }

    public void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteNumber("milliseconds", Math.Round(Milliseconds, 1));
        writer.WriteNumber("fromDisk", FromDisk);
        writer.WriteNumber("compiled", Compiled);
        writer.WriteEndObject();
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Milliseconds:F0} ms, {Compiled} kernels compiled, {FromDisk} from disk");

    private static WarmupRun Parse(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        return new WarmupRun(root.GetProperty("milliseconds").GetDouble(), root.GetProperty("fromDisk").GetInt32(), root.GetProperty("compiled").GetInt32());
    }
}
