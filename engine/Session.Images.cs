using System.Diagnostics;
using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>One label of a classification.</summary>
/// <param name="Id">Its position in the bank.</param>
/// <param name="Label">The label.</param>
/// <param name="Score">nvlabs: the cosine of picture and label (spec G); transformers: the softmax over the labels of the logits.</param>
public sealed record ClassScore(int Id, string Label, double Score);

public sealed partial class Session
{
    /// <summary>Runs the network on a picture; labels are asked of the result, as often as one likes.</summary>
    /// <exception cref="SessionLimitException">The picture's input is larger than the session's maximum.</exception>
    /// <exception cref="NumericalException">The network's output is not finite.</exception>
    public ImageEncoding Encode(Picture picture, SegmentationOptions? rules = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        return Encode([picture], rules, cancellation)[0];
    }

    /// <summary>Runs the network on several pictures; neighbours whose inputs are of one size run together, up to the session's MaxBatch.</summary>
    public IReadOnlyList<ImageEncoding> Encode(IReadOnlyList<Picture> pictures, SegmentationOptions? rules = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pictures);
        foreach (Picture picture in pictures)
        {
            ArgumentNullException.ThrowIfNull(picture, nameof(pictures));
        }
        rules ??= new SegmentationOptions();
        rules.Validate();
        SessionWorker worker = Take(cancellation);
        try
        {
            List<ImageEncoding> encodings = [];
            while (encodings.Count < pictures.Count)
            {
                if (rules.Mode == SegmentationMode.Slide)
                {
                    encodings.Add(EncodeWindows(worker, pictures[encodings.Count].Image, rules, cancellation));
                    continue;
                }
                EncodeBatch(worker, pictures, rules, encodings, cancellation);
            }
            return encodings;
        }
        finally
        {
            Return(worker);
        }
    }

    /// <summary>Labels an encoded picture's pixels; no network runs.</summary>
    /// <exception cref="LabelException">The bank is of another model, or has a background where the preset knows none.</exception>
    public SegmentationResult Label(ImageEncoding encoding, LabelBank bank, SegmentationOptions? rules = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(encoding);
        rules ??= new SegmentationOptions { Preset = encoding.Preset, Mode = encoding.Mode };
        rules.Validate();
        CheckForMask(bank, rules.Preset);
        if (encoding.Fingerprint != model.Fingerprint || encoding.Preset != rules.Preset || encoding.Mode != rules.Mode)
        {
            throw new ArgumentException(
                $"the picture was encoded by another model, or for preset {encoding.Preset} and mode {encoding.Mode}, not {rules.Preset} and {rules.Mode}", nameof(encoding));
        }
        SessionWorker worker = Take(cancellation);
        try
        {
            if (encoding.Mode == SegmentationMode.Slide)
            {
                return LabelWindows(worker, encoding, bank, rules, default, cancellation);
            }
            InputShape shape = new(encoding.InputWidth, encoding.InputHeight, encoding.Region);
            return Label(worker, encoding.EmbeddingValues, encoding.GroupEmbeddings, encoding.Maps, shape, (encoding.PictureWidth, encoding.PictureHeight), bank, rules, default, cancellation);
        }
        finally
        {
            Return(worker);
        }
    }

    /// <summary>A label for every pixel of a picture: <see cref="Encode(Picture, SegmentationOptions?, CancellationToken)"/>, then labelling.</summary>
    public SegmentationResult Segment(Picture picture, LabelBank bank, SegmentationOptions? rules = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        rules ??= new SegmentationOptions();
        rules.Validate();
        CheckForMask(bank, rules.Preset);
        SessionWorker worker = Take(cancellation);
        try
        {
            return Segment(worker, picture, bank, rules, cancellation);
        }
        finally
        {
            Return(worker);
        }
    }

    /// <summary>As <see cref="Segment(Picture, LabelBank, SegmentationOptions?, CancellationToken)"/>; waits for a worker without a thread, and runs on a pool thread.</summary>
    public async Task<SegmentationResult> SegmentAsync(Picture picture, LabelBank bank, SegmentationOptions? rules = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        rules ??= new SegmentationOptions();
        rules.Validate();
        CheckForMask(bank, rules.Preset);
        SessionWorker worker = await TakeAsync(cancellation).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => Segment(worker, picture, bank, rules, cancellation), cancellation).ConfigureAwait(false);
        }
        finally
        {
            Return(worker);
        }
    }

    /// <summary>
    /// Preset nvlabs on pixels in memory, into the caller's mask: once a picture size has been seen, a call in mode Whole allocates no managed memory.
    /// </summary>
    /// <param name="pixels">8-bit samples, row by row.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="stride">Bytes from one row to the next.</param>
    /// <param name="format">The order of the samples.</param>
    /// <param name="bank">The labels.</param>
    /// <param name="mask">Receives positions in the bank, width·height of them.</param>
    /// <param name="rules">The rules' values; preset nvlabs.</param>
    /// <param name="cancellation">Looked at between steps.</param>
    /// <exception cref="ArgumentException">The sizes do not fit, or the preset is not nvlabs.</exception>
    public SegmentationTimings Segment(
        ReadOnlySpan<byte> pixels, int width, int height, int stride, PixelFormat format, LabelBank bank, Span<ushort> mask,
        SegmentationOptions? rules = null, CancellationToken cancellation = default)
    {
        rules ??= DefaultRules;
        rules.Validate();
        CheckForMask(bank, rules.Preset);
        if (rules.Preset != SegmentationPreset.Nvlabs)
        {
            throw new ArgumentException("pixels into a mask are for preset nvlabs; use a Picture for others", nameof(rules));
        }
        if (mask.Length != (long)width * height)
        {
            throw new ArgumentException($"the mask holds {mask.Length} values, the picture {width} x {height} pixels", nameof(mask));
        }
        SessionWorker worker = Take(cancellation);
        try
        {
            long start = Stopwatch.GetTimestamp();
            worker.Input = RgbImage.FromPixels(pixels, width, height, stride, format, AlphaMode.White, worker.Input);
            if (rules.Mode == SegmentationMode.Slide)
            {
                ImageEncoding encoding = EncodeWindows(worker, worker.Input, rules, cancellation);
                start = Stopwatch.GetTimestamp();
                worker.LabelWindows(
                    encoding.Windows, (encoding.InputWidth, encoding.InputHeight), (width, height), bank, rules, mask,
                    worker.Counts.AsSpan(0, bank.Labels.Count), worker.Sums.AsSpan(0, bank.Labels.Count), cancellation);
                return encoding.Timings with { Label = Milliseconds(start) };
            }
            InputShape shape = worker.Shape(worker.Input, InputWay.Nvlabs, rules.ShortSide ?? model.SegmentationShortSide);
            worker.Prepare(worker.Input, InputWay.Nvlabs, shape, 0, 1);
            double prepare = Milliseconds(start);
            start = Stopwatch.GetTimestamp();
            if (worker.SegmentsAtOnce)
            {
                worker.Segment(shape, width, bank, rules, mask, worker.Counts.AsSpan(0, bank.Labels.Count), worker.Sums.AsSpan(0, bank.Labels.Count), cancellation);
                return new SegmentationTimings(prepare, Milliseconds(start), 0);
            }
            worker.Encode(shape, 1, cancellation);
            double encode = Milliseconds(start);
            start = Stopwatch.GetTimestamp();
            worker.Label(
                worker.EmbeddingOf(0), worker.GroupEmbeddingsOf(0), worker.MapsOf(shape, 0), shape, width, bank, rules, mask, worker.Counts.AsSpan(0, bank.Labels.Count), worker.Sums.AsSpan(0, bank.Labels.Count), cancellation);
            return new SegmentationTimings(prepare, encode, Milliseconds(start));
        }
        finally
        {
            Return(worker);
        }
    }

    /// <summary>How well each label names the whole picture, best first.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="bank">Labels without background.</param>
    /// <param name="preset">nvlabs: the authors' ImageNet preprocessing and cosines (spec E.2, G); transformers: the model's own processor and a softmax.</param>
    /// <param name="cancellation">Looked at between steps.</param>
    public IReadOnlyList<ClassScore> Classify(Picture picture, LabelBank bank, SegmentationPreset preset = SegmentationPreset.Nvlabs, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        Check(bank, preset);
        if (bank.HasBackground)
        {
            throw new LabelException("classification knows no background; encode the labels with Background = false");
        }
        float[] embedding = Embed(picture, preset == SegmentationPreset.Nvlabs ? InputWay.ImageNet : InputWay.Processor, preset, out double temperature, cancellation);
        double[] scores = new double[bank.Count];
        for (int c = 0; c < scores.Length; c++)
        {
            ReadOnlySpan<float> label = bank.Embeddings.AsSpan(c * bank.Width, bank.Width);
            for (int k = 0; k < label.Length; k++)
            {
                scores[c] += (double)embedding[k] * label[k];
            }
        }
        if (preset == SegmentationPreset.Transformers)
        {
            double max = scores.Max();
            double sum = scores.Sum(score => Math.Exp(temperature * (score - max)));
            scores = [.. scores.Select(score => Math.Exp(temperature * (score - max)) / sum)];
        }
        return [.. scores.Select((score, id) => new ClassScore(id, bank.Labels[id], score)).OrderByDescending(score => score.Score).ThenBy(score => score.Id)];
    }

    /// <summary>The picture's embedding, of length 1, by the model's own processor.</summary>
    public float[] EmbedImage(Picture picture, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        return Embed(picture, InputWay.Processor, null, out _, cancellation);
    }

    private static SegmentationOptions DefaultRules { get; } = new();

    private static InputWay WayOf(SegmentationOptions rules)
        => rules.Preset == SegmentationPreset.Nvlabs ? InputWay.Nvlabs : rules.Fit == PictureFit.Stretch ? InputWay.Stretch : InputWay.Processor;

    private float[] Embed(Picture picture, InputWay way, SegmentationPreset? scored, out double temperature, CancellationToken cancellation)
    {
        SessionWorker worker = Take(cancellation);
        try
        {
            InputShape shape = worker.Shape(picture.Image, way, model.SegmentationShortSide);
            worker.Prepare(picture.Image, way, shape, 0, 1);
            worker.Encode(shape, 1, cancellation);
            temperature = scored is { } preset ? worker.Temperature(preset) : 1;
            return worker.EmbeddingOf(0).ToArray();
        }
        finally
        {
            Return(worker);
        }
    }

    private void EncodeBatch(SessionWorker worker, IReadOnlyList<Picture> pictures, SegmentationOptions rules, List<ImageEncoding> encodings, CancellationToken cancellation)
    {
        InputWay way = WayOf(rules);
        int first = encodings.Count;
        List<InputShape> shapes = [];
        (int Width, int Height) grid = default;
        while (shapes.Count < options.MaxBatch && first + shapes.Count < pictures.Count)
        {
            InputShape shape = worker.Shape(pictures[first + shapes.Count].Image, way, rules.ShortSide ?? model.SegmentationShortSide);
            grid = shapes.Count == 0 ? worker.Grid(shape) : grid;
            if (worker.Grid(shape) != grid)
            {
                break;
            }
            shapes.Add(shape);
        }
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < shapes.Count; i++)
        {
            worker.Prepare(pictures[first + i].Image, way, shapes[i], i, shapes.Count);
        }
        double prepare = Milliseconds(start);
        start = Stopwatch.GetTimestamp();
        worker.Encode(shapes[0], shapes.Count, cancellation);
        SegmentationTimings timings = new(prepare / shapes.Count, Milliseconds(start) / shapes.Count, 0);
        for (int i = 0; i < shapes.Count; i++)
        {
            Picture picture = pictures[first + i];
            encodings.Add(new ImageEncoding(
                rules.Preset, (picture.Width, picture.Height), shapes[i].Region, (shapes[i].Width, shapes[i].Height), grid,
                worker.EmbeddingOf(i).ToArray(), worker.GroupEmbeddingsOf(i).ToArray(), worker.MapsOf(shapes[i], i).ToArray(), model.Fingerprint)
            {
                Timings = timings,
                StageMaps = worker.StageMapsOf(shapes[i], i),
            });
        }
    }

    // One picture after another: its windows are the batch.
    private ImageEncoding EncodeWindows(SessionWorker worker, RgbImage image, SegmentationOptions rules, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        InputShape whole = worker.Shape(image, InputWay.Nvlabs, rules.ShortSide ?? model.SegmentationShortSide);
        (int crop, int stride) = SlidingWindow.Sizes(rules, model.SegmentationShortSide);
        Window[] areas = SlidingWindow.Over(whole.Width, whole.Height, crop, stride);
        InputShape shape = SessionWorker.ShapeOf(areas[0]);
        if (Math.Min(shape.Width, shape.Height) < model.Config.Vision.PatchSize)
        {
            throw new ArgumentOutOfRangeException(nameof(rules), crop, $"the window's side must be at least one patch of {model.Config.Vision.PatchSize}");
        }
        worker.Resize(image, whole);
        double prepare = Milliseconds(start);
        double encode = 0;
        List<EncodedWindow> windows = [];
        while (windows.Count < areas.Length)
        {
            start = Stopwatch.GetTimestamp();
            int first = windows.Count;
            int count = Math.Min(options.MaxBatch, areas.Length - first);
            for (int i = 0; i < count; i++)
            {
                worker.PrepareWindow(areas[first + i], i, count);
            }
            prepare += Milliseconds(start);
            start = Stopwatch.GetTimestamp();
            using (Activity? activity = Telemetry.Source.StartActivity("encode"))
            {
                worker.Encode(shape, count, cancellation);
            }
            encode += Milliseconds(start);
            for (int i = 0; i < count; i++)
            {
                windows.Add(new EncodedWindow(areas[first + i], worker.EmbeddingOf(i).ToArray(), worker.GroupEmbeddingsOf(i).ToArray(), worker.MapsOf(shape, i).ToArray()));
            }
        }
        Telemetry.EncodeMilliseconds.Record(encode);
        return new ImageEncoding((image.Width, image.Height), (whole.Width, whole.Height), worker.Grid(shape), windows, model.Fingerprint)
        {
            Timings = new SegmentationTimings(prepare, encode, 0),
        };
    }

    private SegmentationResult Segment(SessionWorker worker, Picture picture, LabelBank bank, SegmentationOptions rules, CancellationToken cancellation)
    {
        if (rules.Mode == SegmentationMode.Slide)
        {
            ImageEncoding encoding = EncodeWindows(worker, picture.Image, rules, cancellation);
            return LabelWindows(worker, encoding, bank, rules, encoding.Timings, cancellation);
        }
        InputWay way = WayOf(rules);
        long start = Stopwatch.GetTimestamp();
        InputShape shape = worker.Shape(picture.Image, way, rules.ShortSide ?? model.SegmentationShortSide);
        worker.Prepare(picture.Image, way, shape, 0, 1);
        double prepare = Milliseconds(start);
        start = Stopwatch.GetTimestamp();
        if (worker.SegmentsAtOnce)
        {
            return SegmentAtOnce(worker, picture, shape, bank, rules, prepare, cancellation);
        }
        using (Activity? activity = Telemetry.Source.StartActivity("encode"))
        {
            worker.Encode(shape, 1, cancellation);
        }
        double encode = Milliseconds(start);
        Telemetry.EncodeMilliseconds.Record(encode);
        SegmentationTimings timings = new(prepare, encode, 0);
        return Label(worker, worker.EmbeddingOf(0), worker.GroupEmbeddingsOf(0), worker.MapsOf(shape, 0), shape, (picture.Width, picture.Height), bank, rules, timings, cancellation);
    }

    // Encoding and labelling are one wait, and one time.
    private static SegmentationResult SegmentAtOnce(
        SessionWorker worker, Picture picture, InputShape shape, LabelBank bank, SegmentationOptions rules, double prepare, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        using Activity? activity = Telemetry.Source.StartActivity("segment");
        (ushort[] mask, long[] counts, double[] sums) = Blank((picture.Width, picture.Height), bank);
        worker.Segment(shape, picture.Width, bank, rules, mask, counts, sums, cancellation);
        double encode = Milliseconds(start);
        Telemetry.EncodeMilliseconds.Record(encode);
        return Result(worker, (picture.Width, picture.Height), bank, new SegmentationTimings(prepare, encode, 0), mask, counts, sums);
    }

    private static SegmentationResult Label(
        SessionWorker worker, ReadOnlySpan<float> embedding, ReadOnlySpan<float> groups, ReadOnlySpan<float> maps, InputShape shape, (int Width, int Height) picture,
        LabelBank bank, SegmentationOptions rules, SegmentationTimings timings, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        using Activity? activity = Telemetry.Source.StartActivity("label");
        (ushort[] mask, long[] counts, double[] sums) = Blank(picture, bank);
        worker.Label(embedding, groups, maps, shape, picture.Width, bank, rules, mask, counts, sums, cancellation);
        return Result(worker, picture, bank, timings with { Label = Labelled(start) }, mask, counts, sums);
    }

    private static SegmentationResult LabelWindows(SessionWorker worker, ImageEncoding encoding, LabelBank bank, SegmentationOptions rules, SegmentationTimings timings, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        using Activity? activity = Telemetry.Source.StartActivity("label");
        (int Width, int Height) picture = (encoding.PictureWidth, encoding.PictureHeight);
        (ushort[] mask, long[] counts, double[] sums) = Blank(picture, bank);
        worker.LabelWindows(encoding.Windows, (encoding.InputWidth, encoding.InputHeight), picture, bank, rules, mask, counts, sums, cancellation);
        return Result(worker, picture, bank, timings with { Label = Labelled(start) }, mask, counts, sums);
    }

    private static (ushort[] Mask, long[] Counts, double[] Sums) Blank((int Width, int Height) picture, LabelBank bank)
        => (GC.AllocateUninitializedArray<ushort>(picture.Width * picture.Height), new long[bank.Labels.Count], new double[bank.Labels.Count]);

    private static SegmentationResult Result(
        SessionWorker worker, (int Width, int Height) picture, LabelBank bank, SegmentationTimings timings, ushort[] mask, long[] counts, double[] sums)
    {
        long all = counts.Sum();
        LabelShare[] labels = new LabelShare[counts.Length];
        for (int i = 0; i < labels.Length; i++)
        {
            labels[i] = new LabelShare(i, bank.Labels[i], counts[i], (double)counts[i] / all, counts[i] == 0 ? null : sums[i] / counts[i]);
        }
        return new SegmentationResult(picture.Width, picture.Height, mask, labels, timings, worker.EffectiveThreshold);
    }

    private static double Labelled(long start)
    {
        double milliseconds = Milliseconds(start);
        Telemetry.LabelMilliseconds.Record(milliseconds);
        return milliseconds;
    }

    // Before the network runs: the worker's tables are made for so many labels.
    private void CheckForMask(LabelBank bank, SegmentationPreset preset)
    {
        Check(bank, preset);
        if (bank.Labels.Count > options.MaxLabels)
        {
            throw new SessionLimitException($"{bank.Labels.Count} labels are more than the session's MaxLabels of {options.MaxLabels}; open it with MaxLabels = {bank.Labels.Count}");
        }
    }

    private void Check(LabelBank bank, SegmentationPreset preset)
    {
        ArgumentNullException.ThrowIfNull(bank);
        if (bank.Fingerprint != model.Fingerprint)
        {
            throw new LabelException($"the label bank is of another model (fingerprint {bank.Fingerprint}, not {model.Fingerprint}); encode the labels with this one");
        }
        if (bank.Width != model.Config.ProjectionDim)
        {
            throw new LabelException($"the label bank's embeddings have {bank.Width} values, the model's {model.Config.ProjectionDim}; encode the labels with this model");
        }
        if (bank.HasBackground && preset == SegmentationPreset.Transformers)
        {
            throw new LabelException("preset transformers knows no background threshold; encode the labels with Background = false, which makes it an ordinary label");
        }
    }
}
