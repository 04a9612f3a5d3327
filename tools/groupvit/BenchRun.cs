using System.Diagnostics;
using GroupViT.Native;
using GroupViT.Native.Measuring;
using GroupViT.Native.Weights;

namespace GroupViT.Tool;

/// <summary>What the cpu can do at most.</summary>
/// <param name="Gflops">Multiply-adds on registers, by as many threads as were benched; the median over the measurement.</param>
/// <param name="GflopsOneThread">By one thread.</param>
/// <param name="ReadBandwidth">Memory read, 10^9 bytes/s.</param>
/// <param name="TriadBandwidth">Memory read and written, 10^9 bytes/s.</param>
internal sealed record MachineCeiling(double Gflops, double GflopsOneThread, double ReadBandwidth, double TriadBandwidth);

/// <summary>What the command bench measured.</summary>
internal sealed record BenchRun
{
    /// <summary>A median of fewer runs is an anecdote.</summary>
    public const int LeastRuns = 10;

    private const int WarmupRuns = 3;
    private static readonly TimeSpan Warmup = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan CeilingAge = TimeSpan.FromSeconds(0.5);

    public required string Device { get; init; }

    public required string Hardware { get; init; }

    /// <summary>Of the cpu device; null on others.</summary>
    public required int? Threads { get; init; }

    /// <summary>Milliseconds of whole runs with the whole batch.</summary>
    public required Series Milliseconds { get; init; }

    public required double Flops { get; init; }

    /// <summary>Null on devices other than cpu.</summary>
    public required MachineCeiling? Ceiling { get; init; }

    /// <summary>Of the network, in its order; timed in runs of their own.</summary>
    public required IReadOnlyList<PartTime> Parts { get; init; }

    public required long WeightBytes { get; init; }

    public required long ArenaBytes { get; init; }

    public required long ScratchBytes { get; init; }

    /// <summary>The process's largest resident size when the runs were done.</summary>
    public required long PeakBytes { get; init; }

    /// <summary>Warms up, then runs the image encoder whole and step by step in turn.</summary>
    /// <param name="model">Whose weights.</param>
    /// <param name="device">As <see cref="SessionOptions.Device"/>.</param>
    /// <param name="precision">Of the weights.</param>
    /// <param name="size">Pixels, whole patches.</param>
    /// <param name="batch">Pictures at once.</param>
    /// <param name="threads">Of the cpu device; 0 for all of the machine's.</param>
    /// <param name="runs">Whole runs, and as many in steps.</param>
    /// <param name="warmedUp">Called once before the first, with the milliseconds that a run takes.</param>
    /// <param name="cancellation">Looked at between runs.</param>
    public static BenchRun Measure(
        GroupVitModel model, string device, Precision precision, (int Height, int Width) size, int batch, int threads, int runs, Action<double> warmedUp, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(runs, LeastRuns);
        float[] pixels = Pixels(model, size, batch);
        using PreparedImageEncoder encoder = new(model, device, batch, size.Height, size.Width, threads, precision);
        PreparedNetwork network = encoder.Network;
        double[] steps = new double[network.Operations.Count];
        long start = Stopwatch.GetTimestamp();
        double last = 0;
        for (int i = 0; i < WarmupRuns || Stopwatch.GetElapsedTime(start) < Warmup; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            encoder.RunTimed(pixels, steps);
            last = Run(encoder, pixels);
        }
        warmedUp(last);
        StageProfile profile = new(network.Operations);
        List<double> milliseconds = [];
        List<double> ceilings = [];
        long measured = 0;
        for (int i = 0; i < runs; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (network.IsCpu && (measured == 0 || Stopwatch.GetElapsedTime(measured) > CeilingAge))
            {
                ceilings.Add(Native.Measuring.Ceiling.FloatRate(network.Threads, rounds: 3));
                measured = Stopwatch.GetTimestamp();
            }
            milliseconds.Add(Run(encoder, pixels));
            encoder.RunTimed(pixels, steps);
            profile.Add(steps);
        }
        // Before the bandwidth is measured, whose buffers are larger than the network.
        long peak = ProcessMemory.Peak;
        return new BenchRun
        {
            Device = network.DeviceName,
            Hardware = network.DeviceDescription,
            Threads = network.IsCpu ? network.Threads : null,
            Milliseconds = new Series(milliseconds),
            Flops = network.Flops,
            Ceiling = network.IsCpu ? CeilingOf(network.Threads, new Series(ceilings).Median) : null,
            Parts = profile.By(NetworkPart.Of),
            WeightBytes = network.WeightBytes,
            ArenaBytes = network.ArenaBytes,
            ScratchBytes = network.ScratchBytes,
            PeakBytes = peak,
        };
    }

    private static double Run(PreparedImageEncoder encoder, float[] pixels)
    {
        long start = Stopwatch.GetTimestamp();
        encoder.Run(pixels);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static MachineCeiling CeilingOf(int threads, double rate)
    {
        (double read, double triad) = Native.Measuring.Ceiling.Bandwidth(threads);
        return new MachineCeiling(rate, threads == 1 ? rate : Native.Measuring.Ceiling.FloatRate(1), read, triad);
    }

    private static float[] Pixels(GroupVitModel model, (int Height, int Width) size, int batch)
    {
        int count = model.Config.Vision.NumChannels * size.Height * size.Width;
        float[] pixels = new float[checked(batch * count)];
        FormulaWeights.Image(size.Height, size.Width, pixels.AsSpan(0, count));
        for (int b = 1; b < batch; b++)
        {
            pixels.AsSpan(0, count).CopyTo(pixels.AsSpan(b * count));
        }
        return pixels;
    }
}
