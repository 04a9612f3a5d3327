using System.CommandLine;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Workloads;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>Every shape of the model alone: its time, its rate, and its share of what the machine can do, measured in between.</summary>
internal static class KernelsCommand
{
    public static Command Create()
    {
        Option<int> threads = BenchOptions.Threads();
        Option<int> size = BenchOptions.Size();
        Option<int> batch = BenchOptions.Batch();
        Option<string?> filter = new("--filter") { Description = "only shapes whose kind or name contains this", HelpName = "TEXT" };
        Option<double> seconds = BenchOptions.Seconds(0.5, "for each shape");
        Option<string?> output = BenchOptions.Out();
        Command command = new("kernels", "Time every shape of the model on the cpu device.") { threads, size, batch, filter, seconds, output };
        command.SetAction((parsed, cancellation) =>
        {
            Run(parsed, parsed.GetValue(threads), parsed.GetValue(size), parsed.GetValue(batch), parsed.GetValue(filter), parsed.GetValue(seconds), parsed.GetValue(output), cancellation);
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Run(ParseResult parsed, int threads, int size, int batch, string? filter, double seconds, string? name, CancellationToken cancellation)
    {
        threads = BenchOptions.Actual(threads);
        using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        List<Workload> workloads = [.. ModelWorkloads.Image(model, size, batch), .. ModelWorkloads.Labelling(model, size), .. ModelWorkloads.Input(size), .. ModelWorkloads.Text(model)];
        workloads = [.. workloads.Where(workload => filter is null || $"{workload.Kind} {workload.Name}".Contains(filter, StringComparison.OrdinalIgnoreCase))];
        if (workloads.Count == 0)
        {
            throw new BenchException($"no shape's kind or name contains '{filter}'");
        }
        (double read, double triad) = Ceiling.Bandwidth(threads);
        MarkdownTable table = new("operation", "shape", ">times", ">median ms", ">spread ms", ">GFLOP/s", ">GB/s", ">of ceiling");
        foreach (Workload workload in workloads)
        {
            table.Add(Measure(workload, threads, triad, seconds, cancellation));
            parsed.InvocationConfiguration.Error.WriteLine(string.Join("  ", table.Rows[^1]));
        }
        new ResultFile($"Kernels alone, input {size} x {size}, batch {batch}, {threads} threads", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add(
                "Shapes", table,
                "Median and spread (interquartile range) of a call, its operands warm in the caches. GFLOP/s count products alone, and the share is of "
                + "the register-only FMA rate measured between the rounds; of operations without products, bytes moved are compared with the memory's "
                + $"triad bandwidth, {triad.Cell(1)} GB/s here (reading alone: {read.Cell(1)}); it may pass 100 % where the operands stay in a cache.")
            .Finish(parsed, name);
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
        double rate = workload.Bytes / (time.Median * 1e6);
        return
        [
            workload.Kind, workload.Name, workload.Times.ToString(System.Globalization.CultureInfo.InvariantCulture), time.Median.Cell(4), time.Spread.Cell(4),
            workload.Flops > 0 ? (workload.Flops / (time.Median * 1e6)).Cell(1) : "", rate.Cell(1),
            (workload.Flops > 0 ? result.ShareOfCeiling(workload.Name, workload.Flops).Median : rate / triad).Percent(),
        ];
    }
}
