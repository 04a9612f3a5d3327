using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Workloads;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>The engine from end to end: image encoder, text encoder, and a file to its mask.</summary>
internal static class EncoderCommand
{
    private const string Sole = "run";
    private const string Image = "image";
    private const string Text = "text";
    private const string Segment = "segment";

    public static Command Create()
    {
        Option<int[]> sizes = BenchOptions.Sizes();
        Option<int[]> batches = BenchOptions.Batches();
        Option<int[]> threads = BenchOptions.ThreadCounts();
        Option<string> device = BenchOptions.Device();
        Option<Precision> precision = BenchOptions.Precision();
        Option<string[]> parts = Parts();
        Option<double> seconds = BenchOptions.Seconds(3, "for each cell");
        Option<string?> output = BenchOptions.Out();
        Command command = new("encoder", "Time image encoder, text encoder and whole segmentations.") { sizes, batches, threads, device, precision, parts, seconds, output };
        command.SetAction((parsed, cancellation) =>
        {
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            string[] chosen = parsed.GetValue(parts)!;
            Run run = new(model, parsed.GetValue(device)!, parsed.GetValue(precision), parsed.GetValue(seconds), cancellation);
            foreach (int count in run.IsCpu ? BenchOptions.Actual(parsed.GetValue(threads)!) : [0])
            {
                foreach (int size in parsed.GetValue(sizes)!)
                {
                    foreach (int batch in parsed.GetValue(batches)!)
                    {
                        if (chosen.Contains(Image))
                        {
                            run.ImageEncoder(size, batch, count);
                        }
                        if (chosen.Contains(Segment))
                        {
                            run.Segment(size, batch, count);
                        }
                    }
                }
                if (chosen.Contains(Text))
                {
                    run.TextEncoder(count);
                }
            }
            ResultFile file = new ResultFile($"End to end on {run.Device}", Machine.Here(), BenchOptions.CommandLine(parsed))
                .Add(
                    "Cells", run.Cells,
                    $"Image encoder: normalised pixels to embeddings and group maps. Text encoder: token ids of {SessionPlan.TextBatch} texts of {ModelWorkloads.TextLength} tokens to embeddings. Segment: "
                    + $"PNG files of 640 x 640 pixels (one photograph, {new FileInfo(BenchInput.PictureFile).Length / 1000} KB) to masks of {BenchInput.Labels.Count} labels, decoding included. Median and spread (interquartile range) of a "
                    + "call with the whole batch; the share of the ceiling is by round, against the FMA rate measured before it.");
            if (chosen.Contains(Segment))
            {
                file.Add("Around the network", run.Around, "Medians for one call with the whole batch, of the same runs as above. Around = (prepare + label) / (prepare + encode + label).");
            }
            file.Finish(parsed, parsed.GetValue(output));
            return Task.CompletedTask;
        });
        return command;
    }

    private static Option<string[]> Parts()
    {
        Option<string[]> parts = new("--parts") { Description = $"what is timed; default: {Image} {Text} {Segment}", DefaultValueFactory = _ => [Image, Text, Segment], AllowMultipleArgumentsPerToken = true };
        parts.AcceptOnlyFromAmong(Image, Text, Segment);
        return parts;
    }

    private sealed class Run(GroupVitModel model, string deviceName, Precision precision, double seconds, CancellationToken cancellation)
    {
        public string Device { get; private set; } = "no device";

        public bool IsCpu => deviceName == "cpu";

        public MarkdownTable Cells { get; } = new("what", ">input", ">batch", ">threads", ">median ms", ">spread ms", ">runs", ">per second", ">GFLOP/s", ">of ceiling");

        public MarkdownTable Around { get; } = new("input", ">batch", ">threads", ">decode ms", ">prepare ms", ">encode ms", ">label ms", ">around");

        public void ImageEncoder(int size, int batch, int threads)
        {
            using PreparedImageEncoder encoder = new(model, deviceName, batch, size, size, threads, precision);
            Device = $"{encoder.Network.DeviceName} ({encoder.Network.DeviceDescription})";
            float[] pixels = BenchInput.Pixels(batch, size);
            Add("image encoder", size.ToString(CultureInfo.InvariantCulture), batch, threads, encoder.Network.Flops, Measure(threads, () => encoder.Run(pixels)));
        }

        public void TextEncoder(int threads)
        {
            using PreparedTextEncoder encoder = new(model, deviceName, SessionPlan.TextBatch, ModelWorkloads.TextLength, threads);
            (int[] ids, int[] lengths) = BenchInput.Texts(model, SessionPlan.TextBatch, ModelWorkloads.TextLength);
            Device = $"{encoder.Network.DeviceName} ({encoder.Network.DeviceDescription})";
            Add("text encoder", $"{ModelWorkloads.TextLength} tokens", SessionPlan.TextBatch, threads, encoder.Network.Flops, Measure(threads, () => encoder.Run(ids, lengths)));
        }

        public void Segment(int size, int batch, int threads)
        {
            string file = BenchInput.PictureFile;
            using Session session = model.OpenSession(new SessionOptions { Device = deviceName, Precision = precision, MaxSize = (size, size), MaxBatch = batch, MaxLabels = ModelWorkloads.Labels, Threads = threads });
            Device = $"{session.DeviceName} ({session.DeviceDescription})";
            LabelBank bank = session.EncodeLabels(BenchInput.Labels);
            SegmentationOptions rules = new() { ShortSide = size };
            List<(double Decode, double Prepare, double Encode, double Label)> parts = [];
            AlternatingResult result = Measure(
                threads,
                () =>
                {
                    long start = Stopwatch.GetTimestamp();
                    Picture[] pictures = new Picture[batch];
                    for (int i = 0; i < batch; i++)
                    {
                        pictures[i] = Picture.FromFile(file);
                    }
                    double decode = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                    double label = 0;
                    IReadOnlyList<ImageEncoding> encodings = session.Encode(pictures, rules, cancellation);
                    foreach (ImageEncoding encoding in encodings)
                    {
                        label += session.Label(encoding, bank, rules, cancellation).Timings.Label;
                    }
                    parts.Add((decode, batch * encodings[0].Timings.Prepare, batch * encodings[0].Timings.Encode, label));
                },
                parts.Clear);
            string input = size.ToString(CultureInfo.InvariantCulture);
            Add("segment", input, batch, threads, 0, result);
            double prepare = Median(part => part.Prepare);
            double encode = Median(part => part.Encode);
            double labelling = Median(part => part.Label);
            Around.Add(
                input, batch.ToString(CultureInfo.InvariantCulture), Threads(threads), Median(part => part.Decode).Cell(2), prepare.Cell(2), encode.Cell(2), labelling.Cell(2),
                $"{(100 * (prepare + labelling) / (prepare + encode + labelling)).Cell(1)} %");

            double Median(Func<(double Decode, double Prepare, double Encode, double Label), double> part) => new Series([.. parts.Select(part)]).Median;
        }

        private AlternatingResult Measure(int threads, Action run, Action? warmedUp = null) => new Alternating
        {
            Budget = TimeSpan.FromSeconds(seconds),
            Ceiling = IsCpu ? () => Ceiling.FloatRate(threads, rounds: 2) : null,
            WarmedUp = warmedUp,
        }.Run([new Contender(Sole, run)], cancellation);

        private void Add(string what, string input, int batch, int threads, double flops, AlternatingResult result)
        {
            Series time = result[Sole];
            Cells.Add(
                what, input, batch.ToString(CultureInfo.InvariantCulture), Threads(threads), time.Median.Cell(2), time.Spread.Cell(2), time.Count.ToString(CultureInfo.InvariantCulture),
                (1000 * batch / time.Median).Cell(1), flops > 0 ? (flops / (time.Median * 1e6)).Cell(1) : "",
                flops > 0 && IsCpu ? result.ShareOfCeiling(Sole, flops).Median.Percent() : "");
            Console.Error.WriteLine(string.Join("  ", Cells.Rows[^1]));
        }

        private string Threads(int threads) => IsCpu ? threads.ToString(CultureInfo.InvariantCulture) : "";
    }
}
