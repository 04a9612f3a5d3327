using System.Diagnostics;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Tool.Segmenting;

/// <summary>A picture and the name that its files get.</summary>
internal sealed record SegmentTask(PictureEntry Picture, string Name);

/// <summary>What became of a picture: a result, or an error.</summary>
internal sealed record SegmentOutcome(SegmentTask Task)
{
    public string? Error { get; init; }

    public SegmentationResult? Result { get; init; }

    public Explanation? Explanation { get; init; }

    public SegmentTimes Times { get; init; }

    public byte[] Json { get; init; } = [];

    public IReadOnlyList<string> Files { get; init; } = [];
}

/// <summary>Where a picture's time went, in milliseconds. Its part of a batch, where it was encoded in one.</summary>
internal readonly record struct SegmentTimes(double Decode, double Prepare, double Encode, double Label, double Write, double Total);

/// <summary>
/// Segments pictures; results come in the order given. Each batch is decoded, encoded and written by one task; more are under way than the
/// session has workers, so that some decode and some write while others are in the network, where the session lets in as many as it has
/// workers. What is under way holds a bounded number of pixels, however large the pictures are.
/// </summary>
internal sealed class SegmentRun(Session session, LabelBank bank, SegmentSettings settings, OutputFolder? folder)
{
    // One that decodes and one that writes beside those in the network: what is held in memory is this many batches more.
    private const int Ahead = 2;

    // Of all pictures under way together; one with more is alone.
    private const long PixelsAtOnce = 32L << 20;

    private readonly PixelBudget budget = new(PixelsAtOnce);

    private readonly PictureOutputs? outputs = folder is null ? null : new PictureOutputs(folder, bank, SegmentSettings.ColorsOf(bank.Labels), settings.Outputs);

    public void Run(IEnumerable<SegmentTask> tasks, Action<SegmentOutcome> report, CancellationToken cancellation)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Queue<Task<SegmentOutcome[]>> running = [];
        try
        {
            using IEnumerator<SegmentTask[]> batches = tasks.Chunk(settings.Batch).GetEnumerator();
            // Asked for on a thread of its own: whoever sends pictures on a pipe may wait for an answer before the next.
            Task<bool>? next = Next();
            while (next is not null || running.Count > 0)
            {
                bool full = running.Count == settings.Workers + Ahead;
                if (next is null || full || (running.Count > 0 && Task.WaitAny([running.Peek(), next], stop.Token) == 0))
                {
                    Report(running.Dequeue());
                    continue;
                }
                next.Wait(stop.Token);
                if (!next.GetAwaiter().GetResult())
                {
                    next = null;
                    continue;
                }
                SegmentTask[] batch = batches.Current;
                running.Enqueue(Task.Run(() => Segment(batch, stop.Token), CancellationToken.None));
                next = Next();
            }

            Task<bool> Next() => Task.Factory.StartNew(batches.MoveNext, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
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
        long share = budget.Take(batch.Sum(task => PictureHeader.Pixels(task.Picture, settings.MaxPixels)), cancellation);
        try
        {
            return SegmentHeld(batch, cancellation);
        }
        finally
        {
            budget.Return(share);
        }
    }

    private SegmentOutcome[] SegmentHeld(SegmentTask[] batch, CancellationToken cancellation)
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
                ImageEncoding? encoding = encodings?[i] ?? (settings.Explain is null ? null : session.Encode(picture, settings.Rules, cancellation));
                SegmentationResult result = encoding is null
                    ? session.Segment(picture, bank, settings.Rules, cancellation)
                    : session.Label(encoding, bank, settings.Rules, cancellation);
                SegmentationTimings before = encoding is null ? result.Timings : encoding.Timings;
                SegmentOutcome outcome = new(batch[index])
                {
                    Result = result,
                    Explanation = settings.Explain is { } labels ? session.Explain(encoding!, bank, settings.Rules, labels.Count == 0 ? null : labels, cancellation) : null,
                };
                outcomes[index] = Write(outcome, picture, new SegmentTimes(decode, before.Prepare, before.Encode, result.Timings.Label, 0, 0), cancellation);
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                outcomes[index] = Failed(batch[index], exception);
            }
        }
        return outcomes!;
    }

    private SegmentOutcome Write(SegmentOutcome outcome, Picture picture, SegmentTimes times, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        SegmentTask task = outcome.Task;
        SegmentationResult result = outcome.Result!;
        SortedDictionary<int, LabelRuns>? runs = settings.JsonRle || (settings.Outputs & OutputKind.Rle) != 0 ? LabelRuns.Of(result.Mask.Span, result.Width, result.Height) : null;
        List<string> files = outputs?.Write(task.Name, task.Picture.Path, picture, result, runs, cancellation) ?? [];
        if (outcome.Explanation is { } explanation && folder is not null)
        {
            files.Add(folder.Write($"{task.Name}.explain.json", Output.JsonFile(writer => ExplainJson.Write(writer, task.Picture.Path, explanation, bank, session.Model)), cancellation));
        }
        double write = Milliseconds(start);
        times = times with { Write = write, Total = times.Decode + times.Prepare + times.Encode + times.Label + write };
        outcome = outcome with { Times = times };
        bool isFile = (settings.Outputs & OutputKind.Json) != 0;
        if (isFile || settings.JsonLines)
        {
            outcome = outcome with { Json = SegmentJson.Bytes(outcome, settings.JsonRle ? runs : null, session, bank, settings) };
        }
        if (isFile && folder is not null)
        {
            files.Add(folder.Write($"{task.Name}.json", outcome.Json, cancellation));
        }
        // Its mask is not asked for again, and may wait long for the pictures before it.
        return outcome with { Files = files, Result = result.WithoutMask() };
    }

    private static SegmentOutcome Failed(SegmentTask task, Exception exception) => new(task) { Error = ExitCodes.Describe(exception) };

    private static double Milliseconds(long since) => Stopwatch.GetElapsedTime(since).TotalMilliseconds;
}
