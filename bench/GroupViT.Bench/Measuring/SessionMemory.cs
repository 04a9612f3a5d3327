using System.Diagnostics;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Measuring;

/// <summary>One session's memory and time for pictures of one size.</summary>
/// <param name="Foretold">The estimate, without the text side.</param>
/// <param name="Peak">The most that the session's account counted.</param>
/// <param name="Context">What the driver took for the device's context; null where it does not tell.</param>
/// <param name="Taken">What it took for the session in that context: memory, kernels, and what they need; null likewise.</param>
/// <param name="Streamed">Which weights did not stay on the device.</param>
/// <param name="Milliseconds">Of a picture, from pixels to its encoding.</param>
internal sealed record SessionMemory(long Foretold, long Peak, long? Context, long? Taken, StreamedWeights Streamed, Series Milliseconds)
{
    // The first call brings kernels and weights to the device, the second records the run where the device can.
    private const int WarmCalls = 2;
    private const int LeastCalls = 3;

    /// <summary>Opens a session and encodes batches of a picture for so long.</summary>
    /// <exception cref="OutOfDeviceMemoryException">It does not fit.</exception>
    public static SessionMemory Measure(GroupVitModel model, SessionOptions options, Picture picture, DriverMemory driver, double seconds, CancellationToken cancellation)
    {
        (int height, _) = options.MaxSize ?? throw new ArgumentException("the input's size is needed", nameof(options));
        long? before = driver.Free;
        Device device = DeviceCatalog.Open(options.Device, options.Precision);
        long? opened = driver.Free;
        long foretold = Estimate(model, options, device);
        using Session session = model.OpenSession(options, device);
        Picture[] pictures = [.. Enumerable.Repeat(picture, options.MaxBatch)];
        SegmentationOptions rules = new() { ShortSide = height };
        for (int i = 0; i < WarmCalls; i++)
        {
            session.Encode(pictures, rules, cancellation);
        }
        List<double> samples = [];
        long start = Stopwatch.GetTimestamp();
        while (samples.Count < LeastCalls || Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
        {
            long call = Stopwatch.GetTimestamp();
            session.Encode(pictures, rules, cancellation);
            samples.Add(Stopwatch.GetElapsedTime(call).TotalMilliseconds / pictures.Length);
        }
        return new SessionMemory(foretold, session.MemoryPeak, before - opened, opened - driver.Free, session.StreamedWeights, new Series(samples));
    }

    // The session disposes of the device only once it has it.
    private static long Estimate(GroupVitModel model, SessionOptions options, Device device)
    {
        try
        {
            return new SessionPlan(model, options, device).Estimate().WithoutText;
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }
}
