using System.Threading.Channels;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Evaluation;

/// <summary>Counts the pictures of a part that are not counted yet; decoding goes on while the network runs.</summary>
internal sealed class EvaluationRun(Session session, LabelBank bank, EvaluationSet set, SegmentationOptions rules, int workers, int batch)
{
    private sealed record Decoded(int Index, EvaluationSample Sample, Picture? Picture, int[]? Truth, string? Error);

    /// <param name="state">What has been counted; grows.</param>
    /// <param name="save">Called now and then, and never while the state grows.</param>
    /// <param name="report">Called for each picture: its name, and its error if it has one.</param>
    /// <param name="cancellation">Looked at between pictures and steps.</param>
    public void Run(EvaluationState state, Action save, Action<string, string?> report, CancellationToken cancellation)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Channel<Decoded> queue = Channel.CreateBounded<Decoded>(Math.Max(2, 2 * workers * batch));
        Lock gate = new();
        Task reader = Task.Run(() => Decode(state, queue.Writer, gate, stop.Token), CancellationToken.None);
        Task[] counters = [.. Enumerable.Range(0, workers).Select(_ => Task.Run(() => Count(state, queue.Reader, gate, save, report, stop.Token), CancellationToken.None))];
        try
        {
            Task[] all = [reader, .. counters];
            // The first that fails stops the others, which would wait for it.
            while (all.Length > 0)
            {
                int ended = Task.WaitAny(all, CancellationToken.None);
                if (!all[ended].IsCompletedSuccessfully)
                {
                    stop.Cancel();
                    all[ended].GetAwaiter().GetResult();
                }
                all = [.. all.Where((_, i) => i != ended)];
            }
        }
        finally
        {
            stop.Cancel();
            foreach (Task task in (Task[])[reader, .. counters])
            {
                ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
            }
            save();
        }
    }

    private async Task Decode(EvaluationState state, ChannelWriter<Decoded> queue, Lock gate, CancellationToken cancellation)
    {
        try
        {
            for (int i = state.Shard; i < set.Samples.Count; i += state.Shards)
            {
                cancellation.ThrowIfCancellationRequested();
                lock (gate)
                {
                    if (state.Has(i))
                    {
                        continue;
                    }
                }
                await queue.WriteAsync(Decode(i, set.Samples[i]), cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            queue.Complete();
        }
    }

    private Decoded Decode(int index, EvaluationSample sample)
    {
        try
        {
            Picture picture = Picture.FromFile(sample.Picture);
            return new Decoded(index, sample, picture, sample.Truth is null ? null : ReadTruth(sample.Truth, picture), null);
        }
        catch (Exception exception) when (ExitCodes.IsOfInput(exception) || exception is DatasetException)
        {
            return new Decoded(index, sample, null, null, ExitCodes.Describe(exception));
        }
    }

    private int[] ReadTruth(string path, Picture picture)
    {
        (int width, int height, int[] values) = PngDecoder.DecodeLabels(ReadFile(path), path);
        if ((width, height) != (picture.Width, picture.Height))
        {
            throw new DatasetException($"{path}: the label map has {width} x {height} pixels, its picture {picture.Width} x {picture.Height}");
        }
        Dictionary<int, int> ids = [];
        for (int i = 0; i < values.Length; i++)
        {
            if (!ids.TryGetValue(values[i], out int id))
            {
                id = set.Id(values[i]) ?? throw new DatasetException(
                    $"{path}: the label map holds the value {values[i]} (first at column {i % width}, row {i / width}), but there are {set.Labels.Count} labels, 0 to {set.Labels.Count - 1}");
                ids.Add(values[i], id);
            }
            values[i] = id;
        }
        return values;
    }

    private static byte[] ReadFile(string path)
        => ImageDecoder.ReadFile(path, stream => ImageDecoder.ReadAll(stream, path, ImageDecodeOptions.Default));

    private async Task Count(EvaluationState state, ChannelReader<Decoded> queue, Lock gate, Action save, Action<string, string?> report, CancellationToken cancellation)
    {
        List<Decoded> waiting = [];
        bool more = true;
        while (more)
        {
            more = await queue.WaitToReadAsync(cancellation).ConfigureAwait(false);
            waiting.Clear();
            while (waiting.Count < batch && queue.TryRead(out Decoded? decoded))
            {
                waiting.Add(decoded);
            }
            IReadOnlyList<ImageEncoding?> encodings = EncodeTogether(waiting, cancellation);
            for (int i = 0; i < waiting.Count; i++)
            {
                Decoded item = waiting[i];
                string? error = item.Error;
                Dictionary<(int Truth, int Predicted), long> counts = [];
                bool topFive = false;
                if (error is null)
                {
                    try
                    {
                        topFive = Count(item, encodings[i], counts, cancellation);
                    }
                    catch (Exception exception) when (ExitCodes.IsOfInput(exception))
                    {
                        error = $"{item.Sample.Picture}: {ExitCodes.Describe(exception)}";
                    }
                }
                lock (gate)
                {
                    if (error is null)
                    {
                        state.Add(item.Index, counts, topFive);
                    }
                    else
                    {
                        state.Fail(item.Index, item.Sample.Name, error);
                    }
                    report(item.Sample.Name, error);
                    save();
                }
            }
        }
    }

    private IReadOnlyList<ImageEncoding?> EncodeTogether(List<Decoded> items, CancellationToken cancellation)
    {
        if (set.HasMaps && items.Count > 1 && items.TrueForAll(item => item.Picture is not null))
        {
            try
            {
                return session.Encode([.. items.Select(item => item.Picture!)], rules, cancellation);
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                // One of them is at fault; alone, each gets its own answer.
            }
        }
        return new ImageEncoding?[items.Count];
    }

    private bool Count(Decoded item, ImageEncoding? encoding, Dictionary<(int Truth, int Predicted), long> counts, CancellationToken cancellation)
    {
        if (item.Truth is null)
        {
            IReadOnlyList<ClassScore> scores = session.Classify(item.Picture!, bank, rules.Preset, cancellation);
            counts.Add((item.Sample.Label, scores[0].Id), 1);
            return scores.Take(5).Any(score => score.Id == item.Sample.Label);
        }
        SegmentationResult result = encoding is null ? session.Segment(item.Picture!, bank, rules, cancellation) : session.Label(encoding, bank, rules, cancellation);
        ReadOnlySpan<ushort> mask = result.Mask.Span;
        for (int first = 0, length; first < mask.Length; first += length)
        {
            (int truth, ushort predicted) = (item.Truth[first], mask[first]);
            for (length = 1; first + length < mask.Length && item.Truth[first + length] == truth && mask[first + length] == predicted; length++)
            {
            }
            if (truth != EvaluationSet.Ignored)
            {
                (int, int) cell = (truth, predicted == SegmentationResult.Unlabelled ? set.Labels.Count : predicted);
                counts[cell] = counts.GetValueOrDefault(cell) + length;
            }
        }
        return false;
    }
}
