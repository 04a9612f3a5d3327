using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>Where the image encoder's time goes: by stage and by kind of operation, beside the least that the machine allows.</summary>
internal static class StagesCommand
{
    public static Command Create()
    {
        Option<int[]> sizes = BenchOptions.Sizes();
        Option<int[]> batches = BenchOptions.Batches();
        Option<int[]> threads = BenchOptions.ThreadCounts();
        Option<bool> detail = new("--detail") { Description = "also by the operation's place in the model" };
        Option<double> seconds = BenchOptions.Seconds(4, "for each cell");
        Option<string?> output = BenchOptions.Out();
        Command command = new("stages", "Time the image encoder's stages and operations.") { sizes, batches, threads, detail, seconds, output };
        command.SetAction((parsed, cancellation) =>
        {
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            ResultFile file = new("Where the image encoder's time goes", Machine.Here(), BenchOptions.CommandLine(parsed));
            file.Add(
                "Reading", "Milliseconds are medians over the runs, each run's steps added up. The floor is the FLOPs of the products over the "
                + "FMA rate measured between the runs; share = floor / time. Steps are timed one by one, so their sum may differ a little from the whole run's time.");
            foreach (int size in parsed.GetValue(sizes)!)
            {
                foreach (int batch in parsed.GetValue(batches)!)
                {
                    foreach (int count in BenchOptions.Actual(parsed.GetValue(threads)!))
                    {
                        parsed.InvocationConfiguration.Error.WriteLine($"{size} x {size}, batch {batch}, {count} threads");
                        Measure(file, model, size, batch, count, parsed.GetValue(detail), parsed.GetValue(seconds), cancellation);
                    }
                }
            }
            file.Finish(parsed, parsed.GetValue(output));
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Measure(ResultFile file, GroupVitModel model, int size, int batch, int threads, bool detail, double seconds, CancellationToken cancellation)
    {
        using PreparedImageEncoder encoder = new(model, "cpu", batch, size, size, threads);
        float[] pixels = BenchInput.Pixels(batch, size);
        StageProfile profile = new(encoder.Network.Operations);
        double[] steps = new double[encoder.Network.Operations.Count];
        const string whole = "whole run";
        AlternatingResult result = new Alternating
        {
            Budget = TimeSpan.FromSeconds(seconds),
            Ceiling = () => Ceiling.FloatRate(threads, rounds: 2),
            WarmedUp = profile.Clear,
        }.Run(
            [
                new Contender(whole, () => encoder.Run(pixels)),
                new Contender("steps", () =>
                {
                    encoder.RunTimed(pixels, steps);
                    profile.Add(steps);
                }),
            ],
            cancellation);
        double ceiling = result.Ceiling!.Median;
        string cell = $"{size} x {size}, batch {batch}, {threads} {(threads == 1 ? "thread" : "threads")}";
        Series time = result[whole];
        string summary = string.Create(
            CultureInfo.InvariantCulture,
            $"Ceiling {ceiling:F1} GFLOP/s (spread {result.Ceiling.Spread:F1}). Whole run: {time.Median:F2} ms (spread {time.Spread:F2}, {result.Rounds} runs), {encoder.Network.Flops / 1e9:F2} GFLOP, "
            + $"{result.ShareOfCeiling(whole, encoder.Network.Flops).Median:P0} of the ceiling.");
        file.Add(cell, Table("stage", profile, NetworkPart.Of, ceiling), summary);
        file.Add($"{cell}, by operation", Table("operation", profile, operation => operation.GetType().Name, ceiling));
        if (detail)
        {
            file.Add($"{cell}, by place", Table("place", profile, Place, ceiling));
        }
    }

    private static string Place(Operation operation) => $"{NetworkPart.Of(operation)}: {NetworkPart.Role(operation)}";

    private static MarkdownTable Table(string first, StageProfile profile, Func<Operation, string> key, double ceiling)
    {
        MarkdownTable table = new(first, ">steps", ">ms", ">spread", ">of all", ">GFLOP", ">floor ms", ">above floor ms", ">share");
        IReadOnlyList<PartTime> parts = profile.By(key);
        double all = parts.Sum(part => part.Milliseconds.Median);
        foreach (PartTime part in parts)
        {
            double floor = part.Flops / (ceiling * 1e6);
            double time = part.Milliseconds.Median;
            table.Add(
                part.Name, part.Steps.ToString(CultureInfo.InvariantCulture), time.Cell(3), part.Milliseconds.Spread.Cell(3), (time / all).Percent(),
                (part.Flops / 1e9).Cell(3), floor.Cell(3), (time - floor).Cell(3), part.Flops > 0 ? (floor / time).Percent() : "");
        }
        double flops = parts.Sum(part => part.Flops);
        table.Add(
            "all", parts.Sum(part => part.Steps).ToString(CultureInfo.InvariantCulture), all.Cell(3), "", "100 %", (flops / 1e9).Cell(3), (flops / (ceiling * 1e6)).Cell(3),
            (all - flops / (ceiling * 1e6)).Cell(3), (flops / (ceiling * 1e6) / all).Percent());
        return table;
    }
}
