using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Native;
using GroupViT.Native.Measuring;
using GroupViT.Tool;

namespace GroupViT.Bench.Commands;

/// <summary>A folder of pictures through what <c>groupvit segment</c> does, against the network alone on the same pictures; <c>groupvit bench --folder</c> on made pictures, with the machine.</summary>
internal static class FolderCommand
{
    private const int Side = 448;

    public static Command Create()
    {
        Option<int> pictures = BenchOptions.Whole("--pictures", "pictures in the folder", 2, 1000, 12);
        Option<int> runs = BenchOptions.Whole("--runs", "how often the whole folder is run each way", BenchRun.LeastRuns, 1000, BenchRun.LeastRuns);
        Option<int> threads = BenchOptions.Whole("--threads", "threads of the cpu device; 0 for all of the machine's", 0, 1024, 0);
        Option<string> device = new("--device") { Description = "cpu, cuda:N, opencl:N; default: cpu", DefaultValueFactory = _ => "cpu", HelpName = "DEVICE" };
        Option<string?> output = BenchOptions.Out();
        Command command = new("folder", "Time a folder of pictures through segment, against the network alone.") { pictures, runs, threads, device, output };
        command.SetAction((parsed, cancellation) =>
        {
            string folder = BenchInput.Folder(parsed.GetValue(pictures), Side);
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            FolderBench bench = FolderBench.Measure(model, folder, parsed.GetValue(device)!, Precision.Float32, parsed.GetValue(threads), parsed.GetValue(runs), cancellation);
            MarkdownTable table = new("what", ">ms per picture", ">spread ms", ">pictures per second", ">of encode only", ">spread");
            Add("encode only, 1 worker", bench.EncodeOne);
            Add($"encode only, {bench.Workers} workers", bench.EncodeMany);
            Add("segment", bench.Segment);
            long bytes = Directory.EnumerateFiles(folder).Sum(file => new FileInfo(file).Length);
            new ResultFile($"A folder of pictures on {bench.Device}", Machine.Here(), BenchOptions.CommandLine(parsed))
                .Add(
                    "Folder", table,
                    $"{bench.Pictures} PNG files of {Side} x {Side} pixels (crops of two photographs, {bytes / 1000} KB together), {BenchInput.Labels.Count} labels, {bench.Segment.Count} runs. Encode only: pictures decoded before, resizing "
                    + $"and network. Segment: {bench.Workers} workers, files in, files out (overlay, mask and JSON), as the command does it with its defaults. The ways take turns; shares are of the throughput of the faster way to encode, by run. "
                    + $"Labelling one encoded picture, resampling to its pixels included, takes {bench.Label.Median.Cell(2)} ms.")
                .Finish(parsed, parsed.GetValue(output));
            return Task.CompletedTask;

            void Add(string what, Series time)
            {
                Series share = bench.Encode.Over(time);
                table.Add(what, time.Median.Cell(1), time.Spread.Cell(1), (1000 / time.Median).Cell(2), share.Median.Percent(), (100 * share.Spread).Cell(1) + " %");
            }
        });
        return command;
    }
}
