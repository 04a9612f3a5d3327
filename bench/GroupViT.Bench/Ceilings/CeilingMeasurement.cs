using System.Diagnostics;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU.Runtime;

namespace GroupViT.Bench.Ceilings;

/// <summary>Measures a GPU device's ceilings with kernels that do nothing else, on that device.</summary>
/// <remarks>
/// One launch takes some milliseconds and is waited for: what the host adds to it, some ten microseconds, does not count. Of several launches
/// the fastest is taken, because other work only takes away.
/// </remarks>
internal sealed class CeilingMeasurement : IDisposable
{
    /// <summary>Of each of the three streams, where the device has memory enough: twenty times the largest cache of any card.</summary>
    public const long StreamBytes = 1L << 30;

    private const int Rounds = 7;

    private readonly MemoryAccount account = new();
    private readonly ConstantPool constants;
    private readonly GpuWorker worker;

    /// <summary>A launch is made at least so long, in milliseconds.</summary>
    private readonly double least;

    public CeilingMeasurement(GpuDevice device)
    {
        Device = device;
        constants = device.CreateConstants(account);
        worker = (GpuWorker)device.CreateWorker(account, constants, 1);
        Steps = new CeilingSteps(new GpuBinding(worker, new Dictionary<Tensor, long>()));
        // On the simulator a number is only to be there.
        least = device.Kind == DeviceKind.Simulator ? 1 : 5;
    }

    public GpuDevice Device { get; }

    public CeilingSteps Steps { get; }

    /// <summary>Everything; takes about a second on a fast device.</summary>
    public static DeviceCeilings Of(GpuDevice device)
    {
        using CeilingMeasurement measurement = new(device);
        double floats = measurement.MultiplyAdds();
        Dictionary<WeightFormat, double> matrices = [];
        foreach (WeightFormat format in device.Facts.Formats)
        {
            if (measurement.Matrices(format) is { } rate)
            {
                matrices[format] = rate;
            }
        }
        (double read, double copy, double triad) = measurement.Bandwidth(BytesFor(device));
        return new DeviceCeilings(floats, matrices, read, copy, triad);
    }

    /// <summary>
    /// Bytes of a stream: <see cref="StreamBytes"/>, or an eighth of a smaller device's memory. A processor's caches are smaller, and its memory
    /// is the machine's; what is not known is taken for small.
    /// </summary>
    public static long BytesFor(GpuDevice device)
        => device.MemoryBytes == 0 ? 1 << 16 : Math.Min(device.Facts.IsVectorProcessor ? StreamBytes / 4 : StreamBytes, device.MemoryBytes / 8);

    public double MultiplyAdds()
    {
        using GpuBlock starts = new(Device, FloatRegisters.StartCount * sizeof(float), account, "ceiling");
        using GpuBlock result = new(Device, Steps.Threads * sizeof(float), account, "ceiling");
        var first = starts.View<float>(0, FloatRegisters.StartCount);
        Upload(first, [.. Enumerable.Range(0, FloatRegisters.StartCount).Select(i => (float)(i % 61))]);
        var stored = result.View<float>(0, Steps.Threads);
        return Steps.Widths.Max(width => Rate(turns => Steps.MultiplyAdds(width, first, stored, turns)));
    }

    /// <summary>Null where the device's products in that format are made of multiply-adds.</summary>
    public double? Matrices(WeightFormat format)
    {
        int threads = Steps.MatrixGroups * Steps.MatrixGroupSize;
        using GpuBlock result = new(Device, threads * sizeof(float), account, "ceiling");
        var stored = result.View<float>(0, threads);
        return Steps.Matrices(format, stored, 1) is null ? null : Rate(turns => Steps.Matrices(format, stored, turns)!.Value);
    }

    /// <summary>Reading, copying and the triad over streams of so many bytes; GB/s of all that is read and written.</summary>
    public (double Read, double Copy, double Triad) Bandwidth(long bytes)
    {
        const int quadBytes = 4 * sizeof(float);
        int quads = Steps.StreamQuads(bytes / quadBytes);
        long size = (long)quads * quadBytes;
        using GpuBlock a = new(Device, size, account, "ceiling");
        using GpuBlock b = new(Device, size, account, "ceiling");
        using GpuBlock c = new(Device, size, account, "ceiling");
        using GpuBlock result = new(Device, Steps.StreamThreads * sizeof(float), account, "ceiling");
        var (target, first, second) = (a.View<float>(0, 4L * quads), b.View<float>(0, 4L * quads), c.View<float>(0, 4L * quads));
        foreach (var stream in new[] { target, first, second })
        {
            Steps.Fill(stream, quads).Run();
        }
        var sums = result.View<float>(0, Steps.StreamThreads);
        return (
            Rate(passes => (Steps.Read(sums, first, quads, passes), size)),
            Rate(passes => (Steps.Copy(target, first, quads, passes), 2 * size)),
            Rate(passes => (Steps.Triad(target, first, second, quads, passes), 3 * size)));
    }

    /// <summary>Microseconds that a kernel without work takes: one of many that are launched one after another, and one that is waited for.</summary>
    public (double Chained, double Waited) Launch()
    {
        const int Launches = 256;
        using GpuBlock starts = new(Device, FloatRegisters.StartCount * sizeof(float), account, "ceiling");
        using GpuBlock result = new(Device, Steps.Threads * sizeof(float), account, "ceiling");
        GpuStep step = Steps.MultiplyAdds(Steps.Widths[0], starts.View<float>(0, FloatRegisters.StartCount), result.View<float>(0, Steps.Threads), 0).Step;
        Time(step);
        (double chained, double waited) = (double.MaxValue, double.MaxValue);
        for (int round = 0; round < 4 * Rounds; round++)
        {
            waited = Math.Min(waited, Time(step));
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < Launches; i++)
            {
                step.Run();
            }
            worker.Synchronize();
            chained = Math.Min(chained, Stopwatch.GetElapsedTime(start).TotalMilliseconds / Launches);
        }
        return (1000 * chained, 1000 * waited);
    }

    /// <summary>Waits for everything that was launched here.</summary>
    public void Synchronize() => worker.Synchronize();

    public void Upload(ILGPU.ArrayView<float> target, float[] values)
    {
        target.CopyFromCPU(worker.Stream!, values);
        worker.Synchronize();
    }

    public float[] Download(ILGPU.ArrayView<float> source)
    {
        float[] values = new float[source.Length];
        source.CopyToCPU(worker.Stream!, values);
        worker.Synchronize();
        return values;
    }

    public void Dispose()
    {
        worker.Dispose();
        constants.Dispose();
    }

    /// <summary>10^9 a second of what a turn makes.</summary>
    private double Rate(Func<int, (GpuStep Step, double Work)> of)
    {
        int turns = 1;
        (GpuStep step, double work) = of(turns);
        Time(step);
        // The second time, since the first may have compiled; doubled until a launch is long enough.
        while (Time(step) < least && turns < 1 << 24)
        {
            turns *= 2;
            (step, work) = of(turns);
        }
        double best = double.MaxValue;
        for (int i = 0; i < Rounds; i++)
        {
            best = Math.Min(best, Time(step));
        }
        return turns * work / (best * 1e6);
    }

    private double Time(GpuStep step)
    {
        long start = Stopwatch.GetTimestamp();
        step.Run();
        worker.Synchronize();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
