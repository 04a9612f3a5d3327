using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Bench.Commands;

/// <summary>What sessions ask of a card that need not be here, to the byte; or of a device that is, with the time a picture takes.</summary>
internal static class MemoryCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("memory", "Print the device memory of the full-size model by precision, size and batch: of a CUDA card that need not be here, or with --device as it is used there, and the time.")
        {
            options.Architecture, options.Device, options.Precisions, options.Sizes, options.Batches, options.Seconds, options.Out,
        };
        command.SetAction((parsed, cancellation) =>
        {
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            if (parsed.GetValue(options.Device) is { } device)
            {
                Measure(parsed, options, model, device, cancellation);
            }
            else
            {
                Foretell(parsed, options, model);
            }
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Foretell(ParseResult parsed, Options options, GroupVitModel model)
    {
        using GpuDevice card = GpuDevice.Absent(DeviceFacts.Cuda(parsed.GetValue(options.Architecture)), _ => { });
        MarkdownTable table = new("precision", ">input", ">batch", ">weights", ">arena", ">bytes", ">least, weights streamed");
        foreach ((Precision precision, int size, int batch) in Cells(parsed, options, DeviceCatalog.Precisions(card)))
        {
            MemoryEstimate need = new SessionPlan(model, Session(card.Name, precision, size, batch), card).Estimate();
            table.Add(precision.ToString(), Number(size), Number(batch), Number(need.ImageWeights), Number(need.Arenas), Number(need.WithoutText), Number(need.LeastLimit));
        }
        parsed.InvocationConfiguration.Output.Write(table.ToString());
    }

    private static void Measure(ParseResult parsed, Options options, GroupVitModel model, string name, CancellationToken cancellation)
    {
        using DriverMemory driver = new(name);
        Picture picture = Picture.FromFile(BenchInput.PictureFile);
        string description;
        Precision[] precisions;
        using (Device device = DeviceCatalog.Open(name))
        {
            (description, precisions) = ($"{device.Name}: {device.Description}", DeviceCatalog.Precisions(device));
        }
        MarkdownTable table = new("precision", ">input", ">batch", ">limit", "streamed", ">foretold", ">used at most", ">driver: session", ">driver: context", ">ms a picture", ">spread", ">calls");
        foreach ((Precision precision, int size, int batch) in Cells(parsed, options, precisions))
        {
            SessionOptions whole = Session(name, precision, size, batch);
            foreach (long limit in (ReadOnlySpan<long>)[long.MaxValue, model.EstimateMemory(whole).LeastLimit])
            {
                cancellation.ThrowIfCancellationRequested();
                table.Add(Row(precision, size, batch, limit, () => SessionMemory.Measure(model, whole with { MemoryLimit = limit }, picture, driver, parsed.GetValue(options.Seconds), cancellation)));
                parsed.InvocationConfiguration.Error.WriteLine(string.Join("  ", table.Rows[^1]));
            }
        }
        new ResultFile($"Memory and time on {name}", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add(
                description, table,
                "Bytes of device memory of the image side, one worker: what the estimate foretold, what the session's own count came to, and, on CUDA, what the driver says it took for the session (kernels and their "
                + "stacks included; other processes' changes too) and, apart from that, for the context. The least limit streams all weights, both sides'. Time is from a decoded picture of 640 x 640 pixels to its encoding, the whole "
                + "batch's over the batch: median and spread (interquartile range).")
            .Finish(parsed, parsed.GetValue(options.Out));
    }

    /// <summary>A row of what was measured, or of why it was not.</summary>
    internal static string[] Row(Precision precision, int size, int batch, long limit, Func<SessionMemory> measure)
    {
        string[] cell = [precision.ToString(), Number(size), Number(batch), limit == long.MaxValue ? "none" : Number(limit)];
        try
        {
            SessionMemory used = measure();
            return
            [
                .. cell, used.Streamed.ToString(), Number(used.Foretold), Number(used.Peak), used.Taken is { } taken ? Number(taken) : "", used.Context is { } context ? Number(context) : "",
                used.Milliseconds.Median.Cell(3), used.Milliseconds.Spread.Cell(3), Number(used.Milliseconds.Count),
            ];
        }
        catch (OutOfDeviceMemoryException exception)
        {
            return [.. cell, $"does not fit: {exception.Message}", "", "", "", "", "", "", ""];
        }
    }

    private static IEnumerable<(Precision Precision, int Size, int Batch)> Cells(ParseResult parsed, Options options, Precision[] there)
    {
        Precision[] asked = parsed.GetValue(options.Precisions) is { Length: > 0 } some ? some : there;
        return asked.Distinct().SelectMany(precision => parsed.GetValue(options.Sizes)!.SelectMany(size => parsed.GetValue(options.Batches)!.Select(batch => (precision, size, batch))));
    }

    private static SessionOptions Session(string device, Precision precision, int size, int batch)
        => new() { Device = device, Precision = precision, MaxSize = (size, size), MaxBatch = batch };

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private sealed class Options
    {
        public Option<int> Architecture { get; } = new("--architecture") { Description = "of the card that need not be here: compute capability times ten; default: 80", DefaultValueFactory = _ => 80 };

        public Option<string?> Device { get; } = new("--device") { Description = "measure on this device instead: cuda:N, opencl:N", HelpName = "DEVICE" };

        public Option<Precision[]> Precisions { get; } = new("--precision") { Description = "Float32, TensorFloat32, BFloat16, Float16; default: all that there are", AllowMultipleArgumentsPerToken = true };

        public Option<int[]> Sizes { get; } = BenchOptions.Sizes();

        public Option<int[]> Batches { get; } = BenchOptions.Several("--batch", "pictures at once", 1, 256, 1, 8, 64);

        public Option<double> Seconds { get; } = BenchOptions.Seconds(0.5, "for each cell");

        public Option<string?> Out { get; } = BenchOptions.Out();
    }
}
