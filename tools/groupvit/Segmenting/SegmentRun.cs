using System.Diagnostics;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Pictures;

namespace GroupViT.Tool.Segmenting;

/// <summary>A picture and the name that its files get.</summary>
internal sealed record SegmentTask(PictureEntry Picture, string Name);

/// <summary>What became of a picture: a result, or an error.</summary>
internal sealed record SegmentOutcome(SegmentTask Task)
{
    public string? Error { get; init; }

    public SegmentationResult? Result { get; init; }

    public SegmentTimes Times { get; init; }

    public byte[] Json { get; init; } = [];

    public IReadOnlyList<string> Files { get; init; } = [];
}

/// <summary>Where a picture's time went, in milliseconds. Its part of a batch, where it was encoded in one.</summary>
internal readonly record struct SegmentTimes(double Decode, double Prepare, double Encode, double Label, double Write, double Total);

/// <summary>Segments pictures: batches of them at once on as many workers as the session has; results come in the order given.</summary>
internal sealed class SegmentRun(Session session, LabelBank bank, SegmentSettings settings, OutputFolder folder)
{
    private readonly LabelColors colors = SegmentSettings.ColorsOf(bank.Labels);

    public void Run(IReadOnlyList<SegmentTask> tasks, Action<SegmentOutcome> report, CancellationToken cancellation)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Queue<Task<SegmentOutcome[]>> running = [];
        try
        {
            foreach (SegmentTask[] batch in tasks.Chunk(settings.Batch))
            {
                if (running.Count == settings.Workers)
                {
                    Report(running.Dequeue());
                }
                running.Enqueue(Task.Run(() => Segment(batch, stop.Token), CancellationToken.None));
            }
            while (running.Count > 0)
            {
                Report(running.Dequeue());
            }
        }
        finally
        {
            // After an error nobody asks for the others' results; but they use the session, which is about to go.
            stop.Cancel();
            foreach (Task<SegmentOutcome[]> task in running)
            {
                ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
            }
        }

        void Report(Task<SegmentOutcome[]> task)
        {
            foreach (SegmentOutcome outcome in task.GetAwaiter().GetResult())
            {
                report(outcome);
            }
        }
    }

    private SegmentOutcome[] Segment(SegmentTask[] batch, CancellationToken cancellation)
    {
        SegmentOutcome?[] outcomes = new SegmentOutcome?[batch.Length];
        List<(int Index, Picture Picture, double Decode)> decoded = [];
        for (int i = 0; i < batch.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            PictureEntry entry = batch[i].Picture;
            long start = Stopwatch.GetTimestamp();
            try
            {
                decoded.Add((i, PictureList.Decode(entry, settings.Alpha, settings.MaxPixels), Milliseconds(start)));
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                outcomes[i] = Failed(batch[i], exception);
            }
        }
        IReadOnlyList<ImageEncoding>? encodings = null;
        if (decoded.Count > 1)
        {
            try
            {
                encodings = session.Encode([.. decoded.Select(item => item.Picture)], settings.Rules, cancellation);
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                // One of them is at fault; alone, each gets its own answer.
            }
        }
        for (int i = 0; i < decoded.Count; i++)
        {
            (int index, Picture picture, double decode) = decoded[i];
            try
            {
                SegmentationResult result = encodings is null
                    ? session.Segment(picture, bank, settings.Rules, cancellation)
                    : session.Label(encodings[i], bank, settings.Rules, cancellation);
                SegmentationTimings before = encodings is null ? result.Timings : encodings[i].Timings;
                outcomes[index] = Write(batch[index], picture, result, new SegmentTimes(decode, before.Prepare, before.Encode, result.Timings.Label, 0, 0), cancellation);
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                outcomes[index] = Failed(batch[index], exception);
            }
        }
        return outcomes!;
    }

    private SegmentOutcome Write(SegmentTask task, Picture picture, SegmentationResult result, SegmentTimes times, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        RgbImage overlay = Overlay.Draw(picture.Image, result.Mask, bank.Labels, colors, new OverlayOptions { PlainLabel = bank.HasBackground ? 0 : null });
        List<string> files =
        [
            folder.Write($"{task.Name}.overlay.png", Png(stream => PngWriter.WriteRgb(stream, overlay)), cancellation),
            folder.Write($"{task.Name}.mask.png", Png(stream => MaskWriter.Write(stream, result.Width, result.Height, result.Mask, bank.Labels.Count, colors)), cancellation),
        ];
        double write = Milliseconds(start);
        times = times with { Write = write, Total = times.Decode + times.Prepare + times.Encode + times.Label + write };
        SegmentOutcome outcome = new(task) { Result = result, Times = times };
        outcome = outcome with { Json = SegmentJson.Bytes(outcome, session, bank, settings) };
        files.Add(folder.Write($"{task.Name}.json", outcome.Json, cancellation));
        return outcome with { Files = files };
    }

    private static SegmentOutcome Failed(SegmentTask task, Exception exception) => new(task) { Error = ExitCodes.Describe(exception) };

    private static ReadOnlyMemory<byte> Png(Action<Stream> write)
    {
        using MemoryStream stream = new();
        write(stream);
        return stream.GetBuffer().AsMemory(0, (int)stream.Length);
    }

    private static double Milliseconds(long since) => Stopwatch.GetElapsedTime(since).TotalMilliseconds;
}
