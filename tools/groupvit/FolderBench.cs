using System.Diagnostics;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Measuring;
using GroupViT.Native.Text;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Tool;

/// <summary>
/// How close segmenting a folder comes to the network alone. Each run encodes the folder's pictures, decoded before, with one worker and with
/// as many as segment takes, then segments the folder: files in, files out.
/// </summary>
internal sealed record FolderBench(string Device, int Pictures, int Workers, Series EncodeOne, Series EncodeMany, Series Segment, Series Label)
{
    /// <summary>The faster way to encode.</summary>
    public Series Encode => EncodeOne.Median < EncodeMany.Median ? EncodeOne : EncodeMany;

    /// <summary>Pictures per second of segment over those of the faster way to encode, the median of the runs: what slows one run slows both.</summary>
    public double Share => Encode.Over(Segment).Median;

    /// <param name="model">Whose encoder.</param>
    /// <param name="folder">The pictures.</param>
    /// <param name="device">Where.</param>
    /// <param name="precision">How weights are kept.</param>
    /// <param name="threads">Of the cpu device; 0 for all.</param>
    /// <param name="runs">How often.</param>
    /// <param name="cancellation">Looked at between pictures.</param>
    public static FolderBench Measure(GroupVitModel model, string folder, string device, Precision precision, int threads, int runs, CancellationToken cancellation)
    {
        List<PictureEntry> entries = PictureList.Expand([folder]);
        Picture[] pictures = [.. entries.Select(entry => PictureList.Decode(entry, AlphaMode.White, CommonOptions.DefaultMaxPixels))];
        SegmentationOptions rules = new();
        int workers = SegmentSettings.WorkersFor(pictures.Length, null, long.MaxValue);
        SessionOptions options = new()
        {
            Device = device,
            Precision = precision,
            Threads = threads,
            MaxSize = InputSize.Largest(model, pictures.Select(picture => (picture.Width, picture.Height)), (width, height) => InputSize.Segmentation(model, rules, width, height)),
        };
        using Session one = model.OpenSession(options);
        using Session many = model.OpenSession(options with { Workers = workers });
        IReadOnlyList<string> labels = model.Labels.Count > 0 ? model.Labels : ClassNames.Get("voc");
        LabelChoice choice = LabelChoice.Of(labels, "simple", null, SegmentationPreset.Nvlabs, background: true);
        LabelBank bank = choice.Encode(one, cancellation);
        DirectoryInfo target = Directory.CreateTempSubdirectory("groupvit-bench-");
        try
        {
            SegmentSettings settings = new()
            {
                Model = "",
                Precision = precision,
                Rules = rules,
                Labels = choice,
                Alpha = AlphaMode.White,
                MaxPixels = CommonOptions.DefaultMaxPixels,
                Threads = threads,
                Batch = 1,
                Workers = workers,
                Outputs = OutputKinds.Default,
            };
            SegmentTask[] tasks = [.. entries.Select((entry, i) => new SegmentTask(entry, $"{i}"))];
            SegmentRun segment = new(many, bank, settings, new OutputFolder(target.FullName));
            List<double> encodeOne = [];
            List<double> encodeMany = [];
            List<double> segmented = [];
            List<double> label = [];
            // The first round compiles, packs and caches.
            for (int run = -1; run < runs; run++)
            {
                double first = Time(() =>
                {
                    foreach (Picture picture in pictures)
                    {
                        one.Encode(picture, rules, cancellation);
                    }
                });
                double second = Time(() => Parallel.ForEach(pictures, new ParallelOptions { MaxDegreeOfParallelism = workers, CancellationToken = cancellation }, picture => many.Encode(picture, rules, cancellation)));
                string? error = null;
                double third = Time(() => segment.Run(tasks, outcome => error ??= outcome.Error, cancellation));
                if (error is not null)
                {
                    throw new UsageException($"--folder {folder}: {error}");
                }
                ImageEncoding encoding = one.Encode(pictures[0], rules, cancellation);
                double fourth = Time(() => one.Label(encoding, bank, rules, cancellation));
                if (run >= 0)
                {
                    encodeOne.Add(first / pictures.Length);
                    encodeMany.Add(second / pictures.Length);
                    segmented.Add(third / pictures.Length);
                    label.Add(fourth);
                }
            }
            return new FolderBench(one.DeviceName, pictures.Length, workers, new Series(encodeOne), new Series(encodeMany), new Series(segmented), new Series(label));
        }
        finally
        {
            target.Delete(recursive: true);
        }
    }

    private static double Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
