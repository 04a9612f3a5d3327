using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Ceilings;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Workloads;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>Every shape of the model alone: its time, its rate, and its share of what the device can do.</summary>
internal static class KernelsCommand
{
    private static readonly string[] Columns = ["operation", "shape", ">times", ">median ms", ">spread ms", ">GFLOP/s", ">GB/s"];

    public static Command Create()
    {
        Options options = new();
        Command command = new("kernels", "Time every shape of the model alone on a device.")
        {
            options.Device, options.Precision, options.Threads, options.Size, options.Batch, options.Filter, options.Seconds, options.Out,
        };
        command.SetAction((parsed, cancellation) =>
        {
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            string name = parsed.GetValue(options.Device)!;
            (name == "cpu" ? Cpu(parsed, options, model, cancellation) : Gpu(parsed, options, model, name, cancellation)).Finish(parsed, parsed.GetValue(options.Out));
            return Task.CompletedTask;
        });
        return command;
    }

    private static ResultFile Cpu(ParseResult parsed, Options options, GroupVitModel model, CancellationToken cancellation)
    {
        Precision precision = parsed.GetValue(options.Precision);
        DeviceCatalog.Open("cpu", precision).Dispose();
        (int size, int batch, int threads) = (parsed.GetValue(options.Size), parsed.GetValue(options.Batch), BenchOptions.Actual(parsed.GetValue(options.Threads)));
        WeightFormat format = precision.WeightFormat();
        List<Workload> workloads = Chosen(
            parsed.GetValue(options.Filter),
            [.. ModelWorkloads.Image(model, size, batch, format), .. ModelWorkloads.Labelling(model, size), .. ModelWorkloads.Input(size), .. ModelWorkloads.Text(model, format)]);
        (double read, double triad) = Ceiling.Bandwidth(threads);
        MarkdownTable table = new([.. Columns, ">of ceiling"]);
        foreach (Workload workload in workloads)
        {
            table.Add(Measure(workload, threads, triad, parsed.GetValue(options.Seconds), cancellation));
            parsed.InvocationConfiguration.Error.WriteLine(string.Join("  ", table.Rows[^1]));
        }
        return new ResultFile($"Kernels alone, input {size} x {size}, batch {batch}, {precision}, {threads} threads", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add(
                "Shapes", table,
                "Median and spread (interquartile range) of a call, its operands warm in the caches. GFLOP/s count products alone, and the share is of "
                + "the register-only FMA rate measured between the rounds; of operations without products, bytes moved are compared with the memory's "
                + $"triad bandwidth, {triad.Cell(1)} GB/s here (reading alone: {read.Cell(1)}); it may pass 100 % where the operands stay in a cache.");
    }

    private static string[] Measure(Workload workload, int threads, double triad, double seconds, CancellationToken cancellation)
    {
        using PreparedWorkload prepared = workload.Prepare(threads);
        AlternatingResult result = new Alternating
        {
            Budget = TimeSpan.FromSeconds(seconds),
            Warmup = TimeSpan.FromSeconds(seconds / 2),
            MostRounds = int.MaxValue,
            Ceiling = workload.Flops > 0 ? () => Ceiling.FloatRate(threads, rounds: 2) : null,
        }.Run([new Contender(workload.Name, prepared.Run)], cancellation);
        Series time = result[workload.Name];
        double share = workload.Flops > 0 ? result.ShareOfCeiling(workload.Name, workload.Flops).Median : workload.Bytes / (time.Median * 1e6) / triad;
        return [.. Cells(workload, time), share.Percent()];
    }

    private static ResultFile Gpu(ParseResult parsed, Options options, GroupVitModel model, string name, CancellationToken cancellation)
    {
        Precision precision = parsed.GetValue(options.Precision);
        DeviceCatalog.Open(name, precision).Dispose();
        (int size, int batch) = (parsed.GetValue(options.Size), parsed.GetValue(options.Batch));
        using GpuDevice device = BenchOptions.OpenGpu(name);
        WeightFormat format = precision.WeightFormat();
        // What the host does is not the device's.
        List<Workload> workloads = Chosen(
            parsed.GetValue(options.Filter),
            [.. ModelWorkloads.Image(model, size, batch, format, device.Facts), .. ModelWorkloads.Labelling(model, size), .. ModelWorkloads.Text(model, format, device.StreamsWeights, device.Facts)]);
        DeviceCeilings ceilings = CeilingMeasurement.Of(device);
        MarkdownTable table = new([.. Columns, "ceiling", ">of it", ">launches"]);
        bool graphs = false;
        foreach (Workload workload in workloads)
        {
            table.Add(Measure(workload, device, ceilings, parsed.GetValue(options.Seconds), out bool graph, cancellation));
            graphs |= graph;
            parsed.InvocationConfiguration.Error.WriteLine(string.Join("  ", table.Rows[^1]));
        }
        return new ResultFile($"Kernels alone on {name}, input {size} x {size}, batch {batch}, {precision}", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add("Device", CeilingsCommand.Rates(ceilings), $"{device.Description}; {device.Facts}.")
            .Add(
                "Shapes", table,
                $"Times are of one launch in a chain: so many launches of the same operation one after another as the last column says, {(graphs ? "as one CUDA graph, " : "")}waited for once; a single launch that is "
                + "waited for is mostly the host's time. Median and spread (interquartile range) over chains; operands are warm in the device's caches. Products and attention are held "
                + "against the instructions that their kernel multiplies with, everything else against the memory's triad bandwidth, which it may pass where operands stay in a cache.");
    }

    private static string[] Measure(Workload workload, GpuDevice device, DeviceCeilings ceilings, double seconds, out bool graph, CancellationToken cancellation)
    {
        using PreparedOperation prepared = new(workload.Operation!, device, 1);
        using LaunchChain chain = prepared.Chain();
        Series time = chain.Sample(seconds, cancellation);
        Bound bound = ceilings.BoundOf(workload.Operation!, device.Facts);
        graph = chain.IsGraph;
        return
        [
            .. Cells(workload, time), bound.Name, bound.Share(time.Median, workload.Flops, workload.Bytes).Percent(), chain.Length.ToString(CultureInfo.InvariantCulture),
        ];
    }

    private static IEnumerable<string> Cells(Workload workload, Series time)
        =>
        [
            workload.Kind, workload.Name, workload.Times.ToString(CultureInfo.InvariantCulture), time.Median.Cell(4), time.Spread.Cell(4),
            workload.Flops > 0 ? (workload.Flops / (time.Median * 1e6)).Cell(1) : "", (workload.Bytes / (time.Median * 1e6)).Cell(1),
        ];

    private static List<Workload> Chosen(string? filter, IEnumerable<Workload> all)
    {
        List<Workload> chosen = [.. all.Where(workload => filter is null || $"{workload.Kind} {workload.Name}".Contains(filter, StringComparison.OrdinalIgnoreCase))];
        return chosen.Count > 0 ? chosen : throw new BenchException($"no shape's kind or name contains '{filter}'");
    }

    private sealed class Options
    {
        public Option<string> Device { get; } = BenchOptions.Device();

        public Option<Precision> Precision { get; } = BenchOptions.Precision();

        public Option<int> Threads { get; } = BenchOptions.Threads();

        public Option<int> Size { get; } = BenchOptions.Size();

        public Option<int> Batch { get; } = BenchOptions.Batch();

        public Option<string?> Filter { get; } = new("--filter") { Description = "only shapes whose kind or name contains this", HelpName = "TEXT" };

        public Option<double> Seconds { get; } = BenchOptions.Seconds(0.5, "for each shape; 0.1 does on a fast GPU");

        public Option<string?> Out { get; } = BenchOptions.Out();
    }
}
