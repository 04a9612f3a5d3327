using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Workloads;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Measuring;
using GroupViT.Tool;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Bench.Commands;

/// <summary>A folder of pictures through <c>groupvit segment</c>, files written, against the network alone on the same pictures.</summary>
internal static class FolderCommand
{
    private const string EncodeOnly = "encode only";

    private static readonly (string Name, OutputKind Kinds)[] Written =
    [
        ("segment", OutputKind.Overlay | OutputKind.Mask | OutputKind.Json),
        ("segment, nothing written", OutputKind.None),
    ];

    public static Command Create()
    {
        Option<int> size = BenchOptions.Size();
        Option<int> batch = BenchOptions.Batch();
        Option<int> workers = BenchOptions.Whole("--workers", "pictures or batches in the network at once", 1, 64, 1);
        Option<int> threads = BenchOptions.Whole("--threads", "threads of the cpu device; 0 for all of the machine's", 0, 1024, 0);
        Option<int> pictures = BenchOptions.Whole("--pictures", "pictures in the folder", 1, 1000, 12);
        Option<string> device = new("--device") { Description = "cpu, cuda:N, opencl:N; default: cpu", DefaultValueFactory = _ => "cpu", HelpName = "DEVICE" };
        Option<double> seconds = BenchOptions.Seconds(60, "in all");
        Option<string?> output = BenchOptions.Out();
        Command command = new("folder", "Time a folder of pictures through segment, against the network alone.") { size, batch, workers, threads, pictures, device, seconds, output };
        command.SetAction((parsed, cancellation) =>
        {
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            using Run run = new(
                model, parsed.GetValue(device)!, parsed.GetValue(size), parsed.GetValue(pictures), parsed.GetValue(batch), parsed.GetValue(workers), parsed.GetValue(threads), cancellation);
            MarkdownTable table = run.Measure(parsed.GetValue(seconds));
            new ResultFile($"A folder of pictures on {run.Device}", Machine.Here(), BenchOptions.CommandLine(parsed))
                .Add(
                    "Folder", table,
                    $"{parsed.GetValue(pictures)} PNG files of {parsed.GetValue(size)} x {parsed.GetValue(size)} pixels (crops of two photographs, {run.FileBytes / 1000} KB together), {BenchInput.Labels.Count} labels, batch {parsed.GetValue(batch)}. "
                    + "Encode only: the decoded pictures, one call after another, resizing and network. Segment: what the tool's command does between opening the session and its end, from files to files "
                    + "(overlay, mask and JSON). The contenders take turns; the ratio is that of throughputs, by round, its median and spread (interquartile range).")
                .Finish(parsed, parsed.GetValue(output));
            return Task.CompletedTask;
        });
        return command;
    }

    private sealed class Run : IDisposable
    {
        private readonly Session session;
        private readonly LabelBank bank;
        private readonly SegmentSettings settings;
        private readonly string[] files;
        private readonly int batch;
        private readonly CancellationToken cancellation;
        private readonly DirectoryInfo written = Directory.CreateTempSubdirectory("groupvit-bench-");

        public Run(GroupVitModel model, string device, int size, int pictures, int batch, int workers, int threads, CancellationToken cancellation)
        {
            (this.batch, this.cancellation) = (batch, cancellation);
            files = [.. Enumerable.Range(0, pictures).Select(i => BenchInput.Crop(i, size))];
            session = model.OpenSession(new SessionOptions { Device = device, MaxSize = (size, size), MaxBatch = batch, MaxLabels = ModelWorkloads.Labels, Workers = workers, Threads = threads });
            bank = session.EncodeLabels(BenchInput.Labels, cancellation: cancellation);
            settings = new SegmentSettings
            {
                Model = "full",
                Precision = Precision.Float32,
                Rules = new SegmentationOptions { ShortSide = size },
                Labels = new LabelChoice(BenchInput.Labels, bank, "simple", bank.Templates, bank.Normalization, bank.HasBackground),
                Alpha = AlphaMode.White,
                MaxPixels = CommonOptions.DefaultMaxPixels,
                Threads = threads,
                Batch = batch,
                Workers = workers,
                Outputs = OutputKind.None,
            };
        }

        public string Device => $"{session.DeviceName} ({session.DeviceDescription})";

        public long FileBytes => files.Sum(file => new FileInfo(file).Length);

        public MarkdownTable Measure(double seconds)
        {
            Picture[] decoded = [.. files.Select(file => Picture.FromFile(file))];
            List<Contender> contenders = [new(EncodeOnly, () =>
            {
                foreach (Picture[] chunk in decoded.Chunk(batch))
                {
                    session.Encode(chunk, settings.Rules, cancellation);
                }
            })];
            contenders.AddRange(Written.Select(kind => new Contender(kind.Name, () => Segment(kind.Kinds))));
            AlternatingResult result = new Alternating { Budget = TimeSpan.FromSeconds(seconds), LeastRounds = 5 }.Run(contenders, cancellation);
            MarkdownTable table = new("what", ">pictures per second", ">ms per picture", ">of encode only", ">spread", ">rounds");
            foreach (string name in contenders.Select(contender => contender.Name))
            {
                Series ratio = result.Ratio(EncodeOnly, name);
                table.Add(
                    name, (1000 * files.Length / result[name].Median).Cell(2), (result[name].Median / files.Length).Cell(1), $"{(100 * ratio.Median).Cell(1)} %", $"{(100 * ratio.Spread).Cell(1)} %",
                    result.Rounds.ToString(CultureInfo.InvariantCulture));
            }
            return table;
        }

        public void Dispose()
        {
            session.Dispose();
            written.Delete(recursive: true);
        }

        private void Segment(OutputKind kinds)
        {
            OutputFolder? folder = kinds == OutputKind.None ? null : new(written.FullName);
            new SegmentRun(session, bank, settings with { Outputs = kinds }, folder).Run(
                files.Select(file => new SegmentTask(new PictureEntry(file), Path.GetFileNameWithoutExtension(file))),
                outcome =>
                {
                    if (outcome.Error is { } error)
                    {
                        throw new BenchException(error);
                    }
                },
                cancellation);
        }
    }
}
