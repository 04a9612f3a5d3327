using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>What this machine allows at most: the numbers that every share elsewhere is a share of, and the bounds of what is not built.</summary>
internal static class CeilingsCommand
{
    public static Command Create()
    {
        Option<string?> output = BenchOptions.Out();
        Command command = new("ceilings", "Measure the machine: multiply-adds, integer products, memory.") { output };
        command.SetAction((parsed, _) =>
        {
            int all = BenchOptions.Actual(0);
            double one = Ceiling.FloatRate(1);
            MarkdownTable rates = new("what", ">threads", ">10^9 a second", ">of fp32 on one thread");
            rates.Add("fp32 multiply-adds, FLOP", "1", one.Cell(1), 1.0.Percent());
            double together = Ceiling.FloatRate(all);
            rates.Add("fp32 multiply-adds, FLOP", all.ToString(CultureInfo.InvariantCulture), together.Cell(1), (together / one).Percent());
            foreach ((string instruction, string operands, double rate) in IntegerRate.All())
            {
                rates.Add($"{instruction}: {operands}", "1", rate.Cell(1), (rate / one).Percent());
            }
            foreach (int threads in new[] { 1, all }.Distinct())
            {
                (double read, double triad) = Ceiling.Bandwidth(threads);
                rates.Add("bytes read from memory", threads.ToString(CultureInfo.InvariantCulture), read.Cell(1), "");
                rates.Add("bytes of a triad in memory", threads.ToString(CultureInfo.InvariantCulture), triad.Cell(1), "");
            }
            MarkdownTable features = new("instructions", "offered by this runtime on this processor");
            foreach ((string feature, bool offered) in IntegerRate.Features())
            {
                features.Add(feature, offered ? "yes" : "no");
            }
            new ResultFile("What the machine allows", Machine.Here(), BenchOptions.CommandLine(parsed))
                .Add("Rates", rates, "On registers alone; a multiply-add counts two. The best of several short rounds.")
                .Add("Integer instructions", features)
                .Finish(parsed, parsed.GetValue(output));
            return Task.CompletedTask;
        });
        return command;
    }
}
