using System.Diagnostics;
using GroupViT.Kernels.Devices;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Workloads;

/// <summary>One operation many times in a row on a device, waited for once: what a launch takes on the device, without the host's part of it.</summary>
/// <remarks>
/// A launch of some microseconds that is waited for is mostly the host's. Where the device has graphs the launches are one graph, as in a
/// session's run, since the host alone may take longer for a launch than the device for the kernel.
/// </remarks>
internal sealed class LaunchChain : IDisposable
{
    /// <summary>So long must a chain take, in milliseconds, or be as long as <see cref="Most"/>.</summary>
    public const double Least = 1;

    /// <summary>Launches of the longest chain.</summary>
    public const int Most = 512;

    private readonly Worker worker;
    private readonly Step step;
    private readonly Recording? recording;

    public LaunchChain(Worker worker, Step step)
    {
        (this.worker, this.step) = (worker, step);
        // The first brings the kernel to the device.
        Launch(1);
        Length = LengthFor(Math.Min(Launch(1), Launch(1)), Launch);
        recording = worker.Record([.. Enumerable.Repeat(step, Length)]);
        if (recording is not null)
        {
            Run();
        }
    }

    /// <summary>Launches of a chain.</summary>
    public int Length { get; }

    public bool IsGraph => recording is not null;

    /// <summary>Milliseconds for one of the launches.</summary>
    public double Run()
    {
        if (recording is null)
        {
            return Launch(Length) / Length;
        }
        long start = Stopwatch.GetTimestamp();
        recording.Launch();
        worker.Synchronize();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds / Length;
    }

    /// <summary>Chains for so long, after half as long that does not count.</summary>
    public Series Sample(double seconds, CancellationToken cancellation)
    {
        const int Fewest = 5;
        List<double> samples = [];
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds / 2)
        {
            cancellation.ThrowIfCancellationRequested();
            Run();
        }
        start = Stopwatch.GetTimestamp();
        while (samples.Count < Fewest || Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
        {
            cancellation.ThrowIfCancellationRequested();
            samples.Add(Run());
        }
        return new Series(samples);
    }

    public void Dispose() => recording?.Dispose();

    /// <summary>The least power of two of launches that takes long enough, if there is one up to <see cref="Most"/>.</summary>
    /// <param name="single">Milliseconds of one.</param>
    /// <param name="time">Milliseconds of so many.</param>
    internal static int LengthFor(double single, Func<int, double> time)
    {
        int length = 1;
        double taken = single;
        while (taken < Least && length < Most)
        {
            length *= 2;
            taken = time(length);
        }
        return length;
    }

    private double Launch(int launches)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < launches; i++)
        {
            step.Run();
        }
        worker.Synchronize();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
