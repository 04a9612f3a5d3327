using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Soaking;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>Many callers on one session: every answer right, memory within the estimate, cancellation that harms nobody. Exit code 1 otherwise.</summary>
internal static class SoakCommand
{
    // What a process may hold beside what the session asked its device for: worker buffers on the managed heap, threads' stacks, code.
    private const long Allowance = 64L << 20;

    // Between the first third and the last; a leak of one mask of ten calls would pass it in a minute.
    private const long GrowthAllowance = 8L << 20;

    public static Command Create()
    {
        Options options = new();
        Command command = new("soak", "Load one session with many callers, then cancel under load.")
        {
            options.Seconds, options.Callers, options.Workers, options.Threads, options.Size, options.Device, options.Model, options.Out,
        };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed, options)));
        return command;
    }

    private static int Run(ParseResult parsed, Options options)
    {
        int callers = parsed.GetValue(options.Callers);
        int size = parsed.GetValue(options.Size);
        TimeSpan time = TimeSpan.FromSeconds(parsed.GetValue(options.Seconds));
        string folder = parsed.GetValue(options.Model) ?? FullModel.Folder;
        using GroupVitModel model = GroupVitModel.Load(folder);
        RgbImage[] images = [.. BenchInput.Photographs.Select(file => Picture.FromFile(file).Image)];
        // One size, as of a camera, for the phase whose memory is judged: where sizes alternate, a worker makes its input buffers anew.
        RgbImage[] frames = [.. images.Select(image => Resize.PilBicubic(image, 600, 400))];
        SessionOptions session = new()
        {
            Device = parsed.GetValue(options.Device)!,
            Threads = parsed.GetValue(options.Threads),
            Workers = parsed.GetValue(options.Workers),
            MaxSize = (size, 2 * size),
            MaxLabels = BenchInput.Labels.Count,
        };
        LabelBank bank;
        using (Session text = model.OpenSession(session with { Workers = 1 }))
        {
            bank = text.EncodeLabels(BenchInput.Labels);
        }
        long before = Rss.Settled();
        long estimate = model.EstimateMemory(session).WithoutText + PositionTables(model, [.. images, .. frames], size);
        using Session opened = model.OpenSession(session);
        SegmentationOptions rules = new() { ShortSide = size };
        SoakJob[] camera = [.. frames.Select(image => new SoakJob(opened, bank, rules, image))];
        SoakJob[] jobs = [.. images.Select(image => new SoakJob(opened, bank, rules, image))];
        
        TimeSpan aside = TimeSpan.FromSeconds(Math.Clamp(time.TotalSeconds / 6, 2, 30));
        // Code is compiled, and every worker sees every size, before memory is watched.
        Soak.Run("warm-up", [.. camera, .. jobs], [SoakWay.OwnMask], callers, aside);
        Rss.Settled();
        SoakPhase load = Soak.Run("load", camera, [SoakWay.OwnMask], callers, time);
        SoakPhase results = Soak.Run("results", jobs, Enum.GetValues<SoakWay>(), callers, aside);
        TimeSpan within = TimeSpan.FromMilliseconds(1.5 * (load.Milliseconds?.Median ?? 100));
        SoakPhase cancelling = Soak.Run("cancelling", jobs, Enum.GetValues<SoakWay>(), callers, aside, within);
        // Each worker once more, from one caller: nothing that was cancelled is left in the way.
        int wrongAfter = jobs.Sum(job => Enumerable.Range(0, 2 * session.Workers).Count(_ => !job.IsRight(SoakWay.OwnMask, job.NewMask(), default)));

        SoakVerdict verdict = SoakVerdict.Of(load, results, cancelling, wrongAfter, before, estimate, opened.MemoryPeak, Allowance, GrowthAllowance);
        new ResultFile($"{callers} callers on one session", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add(
                "Load", LoadTable(load, results, cancelling),
                string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(folder)} on {opened.DeviceName}, {session.Workers} workers, short side {size}, {bank.Labels.Count} labels. Load: each caller segments the pixels of {frames.Length} photographs of one size into its own mask. Results and cancelling: {images.Length} photographs of different sizes, in turn so, from a Picture, and asynchronously. A call's time includes waiting for a worker."))
            .Add("Memory", MemoryTable(before, estimate, opened.MemoryPeak, load, results, cancelling), "Resident memory of the process against what the session said beforehand.")
            .Add("Verdict", verdict.ToString())
            .Finish(parsed, parsed.GetValue(options.Out));
        return verdict.Passed ? 0 : 1;
    }

    // What EstimateMemory says of further sizes: each that is in use adds a table of positions.
    private static long PositionTables(GroupVitModel model, IEnumerable<RgbImage> images, int size)
    {
        VisionConfig vision = model.Config.Vision;
        return images.Select(image => Pipelines.NvlabsSize(image.Width, image.Height, size, Math.Max(2048, size)))
            .Select(input => (input.Width / vision.PatchSize, Height: input.Height / vision.PatchSize)).Distinct()
            .Sum(grid => NativeBlock.SizeOf(4L * grid.Item1 * grid.Height * vision.HiddenSize));
    }

    private static MarkdownTable LoadTable(params ReadOnlySpan<SoakPhase> phases)
    {
        MarkdownTable table = new("phase", ">seconds", ">answers", ">wrong", ">cancelled", ">errors", ">pictures/s", ">p50 ms", ">p95 ms", ">p99 ms", ">max ms", ">cancel p99 ms");
        foreach (SoakPhase phase in phases)
        {
            table.Add(
                phase.Name, phase.Seconds.Cell(1), Whole(phase.Milliseconds?.Count ?? 0), Whole(phase.Wrong), Whole(phase.Cancelled), Whole(phase.Errors.Count),
                ((phase.Milliseconds?.Count ?? 0) / phase.Seconds).Cell(2), Quantile(phase.Milliseconds, 0.5), Quantile(phase.Milliseconds, 0.95), Quantile(phase.Milliseconds, 0.99),
                Quantile(phase.Milliseconds, 1), Quantile(phase.CancelMilliseconds, 0.99));
        }
        return table;
    }

    private static MarkdownTable MemoryTable(long before, long estimate, long peak, SoakPhase load, SoakPhase results, SoakPhase cancelling)
        => new MarkdownTable("what", ">MiB")
            .Add("resident before the session was opened", Mebibytes(before))
            .Add("estimate of the session, with the position tables of the sizes in use", Mebibytes(estimate))
            .Add("the session's own peak", Mebibytes(peak))
            .Add("resident, median of the load's first third", Mebibytes(SoakVerdict.Third(load.Rss, 0)))
            .Add("resident, median of the load's last third", Mebibytes(SoakVerdict.Third(load.Rss, 2)))
            .Add("resident, most during the load", Mebibytes(load.Rss.Max()))
            .Add("resident, most with results that wait for the collector", Mebibytes(results.Rss.Concat(cancelling.Rss).Max()));

    private static string Quantile(Series? series, double share) => series is null ? "" : series.Quantile(share).Cell(1);

    private static string Whole(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Mebibytes(long bytes) => (bytes / 1048576.0).Cell(1);

    private sealed class Options
    {
        public Option<double> Seconds { get; } = BenchOptions.Seconds(60, "of load; as much as half of it is added around");

        public Option<int> Callers { get; } = BenchOptions.Whole("--callers", "threads that ask", 1, 1024, 8);

        public Option<int> Workers { get; } = BenchOptions.Whole("--workers", "workers of the session", 1, 64, 2);

        public Option<int> Threads { get; } = BenchOptions.Whole("--threads", "threads of the cpu device over all workers, 0 for all of the machine's", 0, 1024, 0);

        public Option<int> Size { get; } = BenchOptions.Whole("--size", "short side of the network's input in pixels", 32, 2048, 448);

        public Option<string> Device { get; } = new("--device") { Description = "as of a session; default: cpu", DefaultValueFactory = _ => "cpu", HelpName = "DEVICE" };

        public Option<string?> Model { get; } = new("--model") { Description = "a model folder with a tokenizer; default: the full-size network", HelpName = "FOLDER" };

        public Option<string?> Out { get; } = BenchOptions.Out();
    }
}
