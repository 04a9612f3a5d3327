using System.Collections.Concurrent;
using System.Diagnostics;
using GroupViT.Bench.Measuring;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Soaking;

/// <summary>What a phase of a soak saw.</summary>
/// <param name="Name">The phase.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Milliseconds">Of each call that was answered, waiting for a worker included; null where none was.</param>
/// <param name="Wrong">Answers that differ from the first.</param>
/// <param name="Cancelled">Calls that ended by cancellation.</param>
/// <param name="CancelMilliseconds">From cancelling to the call's end; null where nothing was cancelled.</param>
/// <param name="Rss">Resident bytes, sampled all the while.</param>
/// <param name="Errors">What callers saw besides.</param>
internal sealed record SoakPhase(
    string Name, double Seconds, Series? Milliseconds, long Wrong, long Cancelled, Series? CancelMilliseconds, IReadOnlyList<long> Rss, IReadOnlyList<string> Errors);

/// <summary>Callers that ask one session for pictures as fast as they get them, each answer compared with the first.</summary>
internal static class Soak
{
    private static readonly TimeSpan SampleEvery = TimeSpan.FromMilliseconds(100);

    /// <param name="name">The phase's.</param>
    /// <param name="jobs">What is asked for, in turn.</param>
    /// <param name="ways">How, in turn.</param>
    /// <param name="callers">Threads that ask.</param>
    /// <param name="time">How long.</param>
    /// <param name="cancelWithin">Cancel every call after a random part of this; null for none.</param>
    public static SoakPhase Run(string name, IReadOnlyList<SoakJob> jobs, IReadOnlyList<SoakWay> ways, int callers, TimeSpan time, TimeSpan? cancelWithin = null)
    {
        Tally tally = new();
        using CancellationTokenSource stop = new();
        long start = Stopwatch.GetTimestamp();
        Thread[] threads = [.. Enumerable.Range(0, callers).Select(caller => new Thread(() => Call(jobs, ways, caller, cancelWithin, tally, stop.Token)) { Name = $"caller {caller}" })];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }
        // Few numbers, put where they are counted only once: the list must not be the growth that it looks for.
        List<long> rss = new((int)(time / SampleEvery) + 16);
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            Thread.Sleep(SampleEvery);
            rss.Add(Rss.Now);
        }
        stop.Cancel();
        foreach (Thread thread in threads)
        {
            thread.Join();
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new SoakPhase(
            name, seconds, SeriesOf(tally.Milliseconds), tally.Wrong, tally.Cancelled, SeriesOf(tally.CancelMilliseconds), rss, [.. tally.Errors]);
    }

    private static Series? SeriesOf(ConcurrentBag<double> samples) => samples.IsEmpty ? null : new Series([.. samples]);

    private static void Call(IReadOnlyList<SoakJob> jobs, IReadOnlyList<SoakWay> ways, int caller, TimeSpan? cancelWithin, Tally tally, CancellationToken stop)
    {
        Random random = new(caller);
        ushort[][] masks = [.. jobs.Select(job => job.NewMask())];
        for (int call = caller; !stop.IsCancellationRequested; call++)
        {
            int job = call % jobs.Count;
            long cancelledAt = 0;
            using CancellationTokenSource? cancel = cancelWithin is null ? null : new CancellationTokenSource();
            using CancellationTokenRegistration? noted = cancel?.Token.Register(() => Interlocked.CompareExchange(ref cancelledAt, Stopwatch.GetTimestamp(), 0));
            long start = Stopwatch.GetTimestamp();
            cancel?.CancelAfter(cancelWithin!.Value * random.NextDouble());
            try
            {
                bool right = jobs[job].IsRight(ways[call / jobs.Count % ways.Count], masks[job], cancel?.Token ?? CancellationToken.None);
                tally.Milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                if (!right)
                {
                    Interlocked.Increment(ref tally.Wrong);
                }
            }
            catch (OperationCanceledException) when (cancel is { IsCancellationRequested: true })
            {
                Interlocked.Increment(ref tally.Cancelled);
                long at = Interlocked.Read(ref cancelledAt);
                if (at != 0)
                {
                    tally.CancelMilliseconds.Add(Stopwatch.GetElapsedTime(at).TotalMilliseconds);
                }
            }
            catch (Exception exception)
            {
                // Whatever it is, it is the result of the soak; the other callers go on.
                tally.Errors.Enqueue($"{exception.GetType().Name}: {exception.Message}");
            }
        }
    }

    private sealed class Tally
    {
        public readonly ConcurrentBag<double> Milliseconds = [];
        public readonly ConcurrentBag<double> CancelMilliseconds = [];
        public readonly ConcurrentQueue<string> Errors = [];
        public long Wrong;
        public long Cancelled;
    }
}
