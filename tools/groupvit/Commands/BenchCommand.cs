using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit bench: how fast the image encoder is here, where its time goes, and what the machine could do at most.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("bench", "Measure the image encoder: pictures per second, time by stage, share of the machine's ceiling, memory.")
        {
            options.Model, options.Device, options.Precision, options.Size, options.Batch, options.Threads, options.Runs, options.Folder, options.Json,
        };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, parsed.GetValue(options.Json));
        int batch = parsed.GetValue(options.Batch);
        int threads = parsed.GetValue(options.Threads);
        int runs = parsed.GetValue(options.Runs);
        string device = parsed.GetValue(options.Device)!;
        string precision = CommonOptions.NameOf(parsed.GetValue(options.Precision));
        new SessionOptions { Device = device, Precision = parsed.GetValue(options.Precision), Threads = threads, MaxBatch = batch }.Validate();
        string name = parsed.GetValue(options.Model)!;
        using GroupVitModel model = ModelLocator.Open(name);
        if (parsed.GetValue(options.Folder) is { } folder)
        {
            FolderBench measured = FolderBench.Measure(model, folder, device, parsed.GetValue(options.Precision), threads, runs, cancellation);
            Report(output, measured, name, folder);
            return ExitCodes.Done;
        }
        (int Height, int Width) size = parsed.GetValue(options.Size) ?? (model.SegmentationShortSide, model.SegmentationShortSide);
        int patch = model.Config.Vision.PatchSize;
        if (size.Height % patch != 0 || size.Width % patch != 0)
        {
            throw new UsageException($"--size {size.Height}x{size.Width}: sides must be multiples of the model's patch of {patch} pixels, as {Round(size.Height)}x{Round(size.Width)}");
        }
        // No bar that moves while it is measured: what draws it takes a processor.
        BenchRun run = BenchRun.Measure(model, device, parsed.GetValue(options.Precision), size, batch, threads, runs, Announce, cancellation);
        if (output.IsJson)
        {
            output.Json(writer => Write(writer, run, name, precision, size, batch));
        }
        else
        {
            Print(output, run, name, precision, size, batch);
        }
        return ExitCodes.Done;

        void Announce(double milliseconds)
        {
            if (output.IsTalkative)
            {
                output.Note(Text($"warm; now {runs} runs and as many step by step, about {2 * runs * milliseconds / 1000:F0} s"));
            }
        }

        int Round(int side) => Math.Max(patch, (side + patch / 2) / patch * patch);
    }

    private static void Report(Output output, FolderBench bench, string model, string folder)
    {
        (string Name, Series Series)[] rows =
        [
            ("encode only, 1 worker", bench.EncodeOne), ($"encode only, {bench.Workers} workers", bench.EncodeMany), ("segment: files in, files out", bench.Segment), ("label, one picture", bench.Label),
        ];
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("model", model);
                writer.WriteString("folder", folder);
                writer.WriteString("device", bench.Device);
                writer.WriteNumber("pictures", bench.Pictures);
                writer.WriteNumber("workers", bench.Workers);
                writer.WriteNumber("runs", bench.Segment.Count);
                WriteSeries(writer, "encode_one_worker", bench.EncodeOne);
                WriteSeries(writer, "encode_workers", bench.EncodeMany);
                WriteSeries(writer, "segment", bench.Segment);
                WriteSeries(writer, "label", bench.Label);
                writer.WriteNumber("share_of_encode_only", bench.Share);
                writer.WriteNumber("label_of_encode", bench.Label.Median / bench.EncodeOne.Median);
                writer.WriteEndObject();
            });
            return;
        }
        output.Line($"model {model} on {bench.Device}; {bench.Pictures} pictures of {folder}, {bench.Segment.Count} runs, milliseconds a picture");
        output.Table(
            ["what", ">ms", ">spread", ">pictures/s"],
            [.. rows.Select(row => (IReadOnlyList<TableCell>)[row.Name, Text($"{row.Series.Median:F2}"), Text($"{row.Series.Spread:F2}"), Text($"{1000 / row.Series.Median:F2}")])]);
        output.Line(Text($"segment reaches {bench.Share:P1} of the encode-only throughput; labelling with resampling to the picture takes {bench.Label.Median / bench.EncodeOne.Median:P1} of encoding"));
    }

    private static void Print(Output output, BenchRun run, string model, string precision, (int Height, int Width) size, int batch)
    {
        string threads = run.Threads is { } count ? $", {count} {(count == 1 ? "thread" : "threads")}" : "";
        output.Line($"model {model} on {run.Device} ({run.Hardware}), {precision}; input {size.Height}x{size.Width}, batch {batch}{threads}");
        if (run.Ceiling is { } ceiling)
        {
            output.Line(Text($"ceiling: {ceiling.Gflops:F1} GFLOP/s, {ceiling.GflopsOneThread:F1} on one thread; memory: {ceiling.ReadBandwidth:F1} GB/s read, {ceiling.TriadBandwidth:F1} GB/s read and written"));
        }
        Series time = run.Milliseconds;
        string share = run.Ceiling is null ? "" : Text($", {Share(run, run.Flops, time.Median):P0} of the ceiling");
        output.Line(Text($"image encoder: median {time.Median:F2} ms, spread {time.Spread:F2}, fastest {time.Min:F2}, {time.Count} runs: {1000 * batch / time.Median:F1} pictures/s, {run.Flops / (time.Median * 1e6):F1} GFLOP/s{share}"));
        output.Bars("ms, median", run.Parts.Select(part => (part.Name, part.Milliseconds.Median)));
        double all = run.Parts.Sum(part => part.Milliseconds.Median);
        List<string> headers = ["stage", ">ms", ">spread", ">of all", ">GFLOP"];
        if (run.Ceiling is not null)
        {
            headers.Add(">of the ceiling");
        }
        output.Table(headers, [.. run.Parts.Select(part => (IReadOnlyList<TableCell>)
        [
            part.Name, Text($"{part.Milliseconds.Median:F3}"), Text($"{part.Milliseconds.Spread:F3}"), Text($"{part.Milliseconds.Median / all:P0}"), Text($"{part.Flops / 1e9:F3}"),
            .. run.Ceiling is null ? (TableCell[])[] : [part.Flops > 0 ? Text($"{Share(run, part.Flops, part.Milliseconds.Median):P0}") : ""],
        ])]);
        long bytes = run.WeightBytes + run.ArenaBytes + run.ScratchBytes;
        output.Line($"memory: weights {Quantity.Bytes(run.WeightBytes)}, arena {Quantity.Bytes(run.ArenaBytes)}, scratch {Quantity.Bytes(run.ScratchBytes)}, together {Quantity.Bytes(bytes)}; the process's peak {Quantity.Bytes(run.PeakBytes)}");
    }

    private static void Write(Utf8JsonWriter writer, BenchRun run, string model, string precision, (int Height, int Width) size, int batch)
    {
        writer.WriteStartObject();
        writer.WriteString("model", model);
        writer.WriteString("device", run.Device);
        writer.WriteString("hardware", run.Hardware);
        writer.WriteString("precision", precision);
        writer.WriteNumber("height", size.Height);
        writer.WriteNumber("width", size.Width);
        writer.WriteNumber("batch", batch);
        if (run.Threads is { } threads)
        {
            writer.WriteNumber("threads", threads);
        }
        writer.WriteNumber("runs", run.Milliseconds.Count);
        WriteSeries(writer, "milliseconds", run.Milliseconds);
        writer.WriteNumber("pictures_per_second", 1000 * batch / run.Milliseconds.Median);
        writer.WriteNumber("gflop", run.Flops / 1e9);
        writer.WriteNumber("gflops", run.Flops / (run.Milliseconds.Median * 1e6));
        if (run.Ceiling is { } ceiling)
        {
            writer.WriteNumber("share_of_ceiling", Share(run, run.Flops, run.Milliseconds.Median));
            writer.WriteStartObject("ceiling");
            writer.WriteNumber("gflops", ceiling.Gflops);
            writer.WriteNumber("gflops_one_thread", ceiling.GflopsOneThread);
            writer.WriteNumber("read_gigabytes_per_second", ceiling.ReadBandwidth);
            writer.WriteNumber("triad_gigabytes_per_second", ceiling.TriadBandwidth);
            writer.WriteEndObject();
        }
        writer.WriteStartArray("stages");
        foreach (PartTime part in run.Parts)
        {
            writer.WriteStartObject();
            writer.WriteString("name", part.Name);
            writer.WriteNumber("steps", part.Steps);
            writer.WriteNumber("gflop", part.Flops / 1e9);
            WriteSeries(writer, "milliseconds", part.Milliseconds);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteStartObject("bytes");
        writer.WriteNumber("weights", run.WeightBytes);
        writer.WriteNumber("arena", run.ArenaBytes);
        writer.WriteNumber("scratch", run.ScratchBytes);
        writer.WriteNumber("peak", run.PeakBytes);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteSeries(Utf8JsonWriter writer, string name, Series series)
    {
        writer.WriteStartObject(name);
        writer.WriteNumber("median", series.Median);
        writer.WriteNumber("spread", series.Spread);
        writer.WriteNumber("min", series.Min);
        writer.WriteNumber("max", series.Max);
        writer.WriteEndObject();
    }

    private static double Share(BenchRun run, double flops, double milliseconds) => flops / (milliseconds * 1e6) / run.Ceiling!.Gflops;

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    // One number is a square.
    private static (int Height, int Width)? Size(ArgumentResult result)
    {
        string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        string[] sides = text.Split('x');
        int[] numbers = [.. sides.Select(side => int.TryParse(side, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number is >= 1 and <= 16384 ? number : 0)];
        if (numbers.Length is 1 or 2 && !numbers.Contains(0))
        {
            return (numbers[0], numbers[^1]);
        }
        result.AddError($"--size takes N or HEIGHTxWIDTH in pixels, each from 1 to 16384, not '{text}'");
        return null;
    }

    private sealed class Options
    {
        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<Precision> Precision { get; } = CommonOptions.Precision();

        public Option<(int Height, int Width)?> Size { get; } = new("--size")
        {
            Description = "the network's input in pixels; default: a square of the model's segmentation short side",
            HelpName = "N|HEIGHTxWIDTH",
            CustomParser = BenchCommand.Size,
        };

        public Option<int> Batch { get; } = CommonOptions.Whole("--batch", "pictures at once", 1, 1024, 1);

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<int> Runs { get; } = CommonOptions.Whole(
            "--runs", $"how often to run; a figure from under {BenchRun.LeastRuns} runs is not printed", BenchRun.LeastRuns, 1_000_000, 30);

        public Option<string?> Folder { get; } = new("--folder") { Description = "measure segmenting this folder of pictures against encoding them alone", HelpName = "DIR" };

        public Option<bool> Json { get; } = CommonOptions.Json();
    }
}
