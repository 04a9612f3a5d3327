using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Native.Measuring;

/// <summary>
/// What this machine's processor can do at most: multiply-adds on registers alone, and streams through memory. Measured with the same
/// vectors as the kernels use; each number is the best of several short rounds, because other work only takes away.
/// </summary>
internal static unsafe class Ceiling
{
    private const int Rounds = 7;
    private const double RoundMilliseconds = 8;

    private static readonly CeilingLoops Loops = CpuDevice.Level switch
    {
        SimdLevel.Vector512 => new CeilingLoops<V512>(),
        SimdLevel.Vector256 => new CeilingLoops<V256>(),
        SimdLevel.Vector128 => new CeilingLoops<V128>(),
        _ => new CeilingLoops<V1>(),
    };

    /// <summary>
    /// Multiply-adds in GFLOP/s (a multiply-add is two), by so many threads at once. Takes about 60 ms; what the fastest round made.
    /// </summary>
    public static double FloatRate(int threads, int rounds = Rounds)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        // Doubled until a round is long enough for the clock and for threads to overlap; the first calls also warm up.
        long turns = 1 << 12;
        while (Round(threads, turns) < RoundMilliseconds / 2)
        {
            turns *= 2;
        }
        double best = double.MaxValue;
        for (int i = 0; i < rounds; i++)
        {
            best = Math.Min(best, Round(threads, turns));
        }
        return threads * turns * Loops.FlopsPerTurn / (best * 1e6);

        static double Round(int threads, long turns) => Together(threads, _ => Loops.MultiplyAdd(turns));
    }

    /// <summary>
    /// Memory bandwidth in GB/s (10^9 bytes): reading alone, and the triad a = b + s·c, counted as three streams (what the cache reads
    /// before it writes is not counted, as usual). The buffer is four times the last cache, at least 192 MiB.
    /// </summary>
    public static (double Read, double Triad) Bandwidth(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        const long part = 3 << 12;
        long wanted = Math.Max(192L << 20, 4 * LastCacheBytes());
        long bytes = Math.Min(wanted, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);
        bytes = Math.Max(bytes / (part * threads), 1) * part * threads;
        float* buffer = (float*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        try
        {
            nint count = (nint)(bytes / sizeof(float));
            nint share = count / threads;
            // First written by who will read it, so that pages are near and really there.
            Together(threads, thread => NativeMemory.Clear(buffer + thread * share, (nuint)share * sizeof(float)));
            (double read, double triad) = (double.MaxValue, double.MaxValue);
            for (int i = 0; i < Rounds; i++)
            {
                read = Math.Min(read, Together(threads, thread => Loops.Read(buffer + thread * share, share)));
                triad = Math.Min(triad, Together(threads, thread => Loops.Triad(buffer + thread * share, share / 3)));
            }
            return (bytes / (read * 1e6), bytes / (triad * 1e6));
        }
        finally
        {
            NativeMemory.AlignedFree(buffer);
        }
    }

    /// <summary>Bytes of the largest cache that Linux tells of, or 32 MiB where nobody tells.</summary>
    private static long LastCacheBytes()
    {
        const string caches = "/sys/devices/system/cpu/cpu0/cache";
        long largest = 0;
        for (int i = 0; i < 5; i++)
        {
            try
            {
                string size = File.ReadAllText($"{caches}/index{i}/size").Trim();
                int shift = size[^1] switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
                largest = Math.Max(largest, long.Parse(shift == 0 ? size : size[..^1], CultureInfo.InvariantCulture) << shift);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
            {
                // Not Linux, or a machine that hides its caches.
            }
        }
        return largest == 0 ? 32 << 20 : largest;
    }

    /// <summary>Runs work on so many threads from one moment on; milliseconds until the last is done.</summary>
    private static double Together(int threads, Action<int> work)
    {
        if (threads == 1)
        {
            long alone = Stopwatch.GetTimestamp();
            work(0);
            return Stopwatch.GetElapsedTime(alone).TotalMilliseconds;
        }
        int ready = 0;
        bool go = false;
        Thread[] helpers = new Thread[threads - 1];
        for (int i = 0; i < helpers.Length; i++)
        {
            int number = i + 1;
            helpers[i] = new Thread(() =>
            {
                Interlocked.Increment(ref ready);
                while (!Volatile.Read(ref go))
                {
                    Thread.SpinWait(10);
                }
                work(number);
            })
            { IsBackground = true };
            helpers[i].Start();
        }
        SpinWait wait = default;
        while (Volatile.Read(ref ready) < helpers.Length)
        {
            wait.SpinOnce(sleep1Threshold: -1);
        }
        long start = Stopwatch.GetTimestamp();
        Volatile.Write(ref go, true);
        work(0);
        foreach (Thread helper in helpers)
        {
            helper.Join();
        }
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}

/// <summary>The loops behind <see cref="Ceiling"/>, one implementation per vector width.</summary>
internal abstract unsafe class CeilingLoops
{
    /// <summary>Floating-point operations of one turn of <see cref="MultiplyAdd"/>.</summary>
    public abstract double FlopsPerTurn { get; }

    public abstract void MultiplyAdd(long turns);

    public abstract void Read(float* source, nint count);

    /// <summary>a = b + s·c over three arrays of <paramref name="count"/> floats that follow one another.</summary>
    public abstract void Triad(float* a, nint count);
}

/// <remarks>Compiled at full optimisation at once: a loop that starts in the first tier would be measured half there.</remarks>
internal sealed unsafe class CeilingLoops<V> : CeilingLoops
    where V : struct, ISimd<V>
{
    // Where there are 32 registers (AVX-512, Arm64), 24 chains: four units of latency four need 16. With 16 registers 12: two of four need 8.
    private static bool Many => V.Width == 16 || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported;

    private float sink;

    public override double FlopsPerTurn => 2.0 * V.Width * (Many ? 24 : 12);

    public override void MultiplyAdd(long turns)
    {
        if (Many)
        {
            Chains24(turns);
        }
        else
        {
            Chains12(turns);
        }
    }

    // x ← f·x + d tends to d / (1 − f): it never overflows and never becomes a denormal number.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private void Chains24(long turns)
    {
        V f = V.Broadcast(0.5f), d = V.Broadcast(1);
        V a0 = d, a1 = d, a2 = d, a3 = d, a4 = d, a5 = d, a6 = d, a7 = d, a8 = d, a9 = d, a10 = d, a11 = d;
        V b0 = d, b1 = d, b2 = d, b3 = d, b4 = d, b5 = d, b6 = d, b7 = d, b8 = d, b9 = d, b10 = d, b11 = d;
        for (long i = 0; i < turns; i++)
        {
            a0 = V.MultiplyAdd(f, a0, d);
            a1 = V.MultiplyAdd(f, a1, d);
            a2 = V.MultiplyAdd(f, a2, d);
            a3 = V.MultiplyAdd(f, a3, d);
            a4 = V.MultiplyAdd(f, a4, d);
            a5 = V.MultiplyAdd(f, a5, d);
            a6 = V.MultiplyAdd(f, a6, d);
            a7 = V.MultiplyAdd(f, a7, d);
            a8 = V.MultiplyAdd(f, a8, d);
            a9 = V.MultiplyAdd(f, a9, d);
            a10 = V.MultiplyAdd(f, a10, d);
            a11 = V.MultiplyAdd(f, a11, d);
            b0 = V.MultiplyAdd(f, b0, d);
            b1 = V.MultiplyAdd(f, b1, d);
            b2 = V.MultiplyAdd(f, b2, d);
            b3 = V.MultiplyAdd(f, b3, d);
            b4 = V.MultiplyAdd(f, b4, d);
            b5 = V.MultiplyAdd(f, b5, d);
            b6 = V.MultiplyAdd(f, b6, d);
            b7 = V.MultiplyAdd(f, b7, d);
            b8 = V.MultiplyAdd(f, b8, d);
            b9 = V.MultiplyAdd(f, b9, d);
            b10 = V.MultiplyAdd(f, b10, d);
            b11 = V.MultiplyAdd(f, b11, d);
        }
        V sum = (a0 + a1 + a2 + a3) + (a4 + a5 + a6 + a7) + (a8 + a9 + a10 + a11) + (b0 + b1 + b2 + b3) + (b4 + b5 + b6 + b7) + (b8 + b9 + b10 + b11);
        sink = V.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private void Chains12(long turns)
    {
        V f = V.Broadcast(0.5f), d = V.Broadcast(1);
        V a0 = d, a1 = d, a2 = d, a3 = d, a4 = d, a5 = d, a6 = d, a7 = d, a8 = d, a9 = d, a10 = d, a11 = d;
        for (long i = 0; i < turns; i++)
        {
            a0 = V.MultiplyAdd(f, a0, d);
            a1 = V.MultiplyAdd(f, a1, d);
            a2 = V.MultiplyAdd(f, a2, d);
            a3 = V.MultiplyAdd(f, a3, d);
            a4 = V.MultiplyAdd(f, a4, d);
            a5 = V.MultiplyAdd(f, a5, d);
            a6 = V.MultiplyAdd(f, a6, d);
            a7 = V.MultiplyAdd(f, a7, d);
            a8 = V.MultiplyAdd(f, a8, d);
            a9 = V.MultiplyAdd(f, a9, d);
            a10 = V.MultiplyAdd(f, a10, d);
            a11 = V.MultiplyAdd(f, a11, d);
        }
        sink = V.Sum((a0 + a1 + a2 + a3) + (a4 + a5 + a6 + a7) + (a8 + a9 + a10 + a11));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public override void Read(float* source, nint count)
    {
        V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero;
        nint i = 0;
        for (; i <= count - 4 * V.Width; i += 4 * V.Width)
        {
            s0 += V.Load(source + i);
            s1 += V.Load(source + i + V.Width);
            s2 += V.Load(source + i + 2 * V.Width);
            s3 += V.Load(source + i + 3 * V.Width);
        }
        sink = V.Sum((s0 + s1) + (s2 + s3));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public override void Triad(float* a, nint count)
    {
        float* b = a + count;
        float* c = b + count;
        V s = V.Broadcast(0.5f);
        for (nint i = 0; i <= count - V.Width; i += V.Width)
        {
            V.Store(V.MultiplyAdd(s, V.Load(c + i), V.Load(b + i)), a + i);
        }
    }
}
