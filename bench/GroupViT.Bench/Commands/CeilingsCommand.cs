using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Ceilings;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>What a device allows at most: the numbers that every share elsewhere is a share of, and the bounds of what is not built.</summary>
internal static class CeilingsCommand
{
    public static Command Create()
    {
        Option<string> device = BenchOptions.Device();
        Option<string?> output = BenchOptions.Out();
        Command command = new("ceilings", "Measure what a device allows: multiply-adds, integer products or matrix instructions, memory.") { device, output };
        command.SetAction((parsed, _) =>
        {
            string name = parsed.GetValue(device)!;
            (name == "cpu" ? Cpu(parsed) : Gpu(parsed, name)).Finish(parsed, parsed.GetValue(output));
            return Task.CompletedTask;
        });
        return command;
    }

    /// <summary>A device's rates as rows.</summary>
    internal static MarkdownTable Rates(DeviceCeilings ceilings)
    {
        MarkdownTable table = new("what", ">10^9 a second", ">of fp32");
        table.Add("fp32 multiply-adds, FLOP", ceilings.MultiplyAdds.Cell(1), 1.0.Percent());
        foreach ((WeightFormat format, double rate) in ceilings.Matrices)
        {
            table.Add($"{format} matrix instructions, FLOP", rate.Cell(1), (rate / ceilings.MultiplyAdds).Percent());
        }
        return table
            .Add("bytes read from memory", ceilings.Read.Cell(1), "")
            .Add("bytes of a copy in memory", ceilings.Copy.Cell(1), "")
            .Add("bytes of a triad in memory", ceilings.Triad.Cell(1), "");
    }

    private static ResultFile Gpu(ParseResult parsed, string name)
    {
        using GpuDevice device = BenchOptions.OpenGpu(name);
        DeviceCeilings ceilings = CeilingMeasurement.Of(device);
        using CeilingMeasurement measurement = new(device);
        (double chained, double waited) = measurement.Launch();
        return new ResultFile($"What {device.Name} allows", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add("Device", $"{device.Description}; {device.Facts}.")
            .Add(
                "Rates", Rates(ceilings),
                "Measured on the device by kernels that do nothing else, the best of several launches of some milliseconds, each waited for. On registers alone; a multiply-add counts two, sums are float32. "
                + $"Streams are of {CeilingMeasurement.BytesFor(device) >> 20} MiB each, 16 bytes an access; a copy counts two of them, the triad a = b + s·c three.")
            .Add(
                "Launches", new MarkdownTable("what", ">us").Add("a kernel without work, one of 256 launched one after another", chained.Cell(2)).Add("a kernel without work, waited for", waited.Cell(2)),
                "Least of several.");
    }

    private static ResultFile Cpu(ParseResult parsed)
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
        return new ResultFile("What the machine allows", Machine.Here(), BenchOptions.CommandLine(parsed))
            .Add("Rates", rates, "On registers alone; a multiply-add counts two. The best of several short rounds.")
            .Add("Integer instructions", features);
    }
}
