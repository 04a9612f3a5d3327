using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace GroupViT.Bench.Measuring;

/// <summary>
/// What products of small integers reach on this processor through this runtime, on one thread and on registers alone: more than a
/// quantised kernel would, which loads and converts as well.
/// </summary>
internal static class IntegerRate
{
    private const int Chains = 8;
    private const int Rounds = 7;
    private const double RoundMilliseconds = 8;

    private static long sink;

    /// <summary>The instructions that there are, with what they make: 10^9 operations a second, a multiply-add being two.</summary>
    public static IEnumerable<(string Instruction, string Operands, double Rate)> All()
    {
        if (Avx2.IsSupported)
        {
            yield return ("vpmaddwd + vpaddd, 256 bits", "16-bit, summed in 32", Rate(2 * 16, Words256));
        }
        if (Avx512BW.IsSupported)
        {
            yield return ("vpmaddwd + vpaddd, 512 bits", "16-bit, summed in 32", Rate(2 * 32, Words512));
        }
        if (AvxVnni.IsSupported)
        {
            yield return ("vpdpbusd (AVX-VNNI), 256 bits", "8-bit, summed in 32", Rate(2 * 32, Bytes256));
        }
    }

    /// <summary>Instructions that would be faster, and whether this runtime lets a program use them here.</summary>
    public static IEnumerable<(string Feature, bool Offered)> Features()
    {
        yield return ("AVX-VNNI (vpdpbusd in VEX form)", AvxVnni.IsSupported);
        yield return ("AVX10.2 (wider integer products)", Avx10v2.IsSupported);
    }

    private static double Rate(int operationsPerStep, Action<long> loop)
    {
        long turns = 1 << 12;
        while (Time(loop, turns) < RoundMilliseconds / 2)
        {
            turns *= 2;
        }
        double best = double.MaxValue;
        for (int i = 0; i < Rounds; i++)
        {
            best = Math.Min(best, Time(loop, turns));
        }
        return (double)turns * Chains * operationsPerStep / (best * 1e6);
    }

    private static double Time(Action<long> loop, long turns)
    {
        long start = Stopwatch.GetTimestamp();
        loop(turns);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    // The factors change with every turn: nothing can be taken out of the loop.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Words256(long turns)
    {
        Vector256<short> f = Vector256.Create((short)3), one = Vector256.Create((short)1);
        Vector256<short> w0 = Vector256.Create((short)1), w1 = Vector256.Create((short)2), w2 = Vector256.Create((short)3), w3 = Vector256.Create((short)4);
        Vector256<int> a = default, b = default, c = default, d = default, e = default, g = default, h = default, k = default;
        for (long i = 0; i < turns; i++)
        {
            a += Avx2.MultiplyAddAdjacent(f, w0);
            b += Avx2.MultiplyAddAdjacent(f, w1);
            c += Avx2.MultiplyAddAdjacent(f, w2);
            d += Avx2.MultiplyAddAdjacent(f, w3);
            f += one;
            e += Avx2.MultiplyAddAdjacent(f, w0);
            g += Avx2.MultiplyAddAdjacent(f, w1);
            h += Avx2.MultiplyAddAdjacent(f, w2);
            k += Avx2.MultiplyAddAdjacent(f, w3);
        }
        sink += Vector256.Sum((a + b) + (c + d) + (e + g) + (h + k));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Words512(long turns)
    {
        Vector512<short> f = Vector512.Create((short)3), one = Vector512.Create((short)1);
        Vector512<short> w0 = Vector512.Create((short)1), w1 = Vector512.Create((short)2), w2 = Vector512.Create((short)3), w3 = Vector512.Create((short)4);
        Vector512<int> a = default, b = default, c = default, d = default, e = default, g = default, h = default, k = default;
        for (long i = 0; i < turns; i++)
        {
            a += Avx512BW.MultiplyAddAdjacent(f, w0);
            b += Avx512BW.MultiplyAddAdjacent(f, w1);
            c += Avx512BW.MultiplyAddAdjacent(f, w2);
            d += Avx512BW.MultiplyAddAdjacent(f, w3);
            f += one;
            e += Avx512BW.MultiplyAddAdjacent(f, w0);
            g += Avx512BW.MultiplyAddAdjacent(f, w1);
            h += Avx512BW.MultiplyAddAdjacent(f, w2);
            k += Avx512BW.MultiplyAddAdjacent(f, w3);
        }
        sink += Vector512.Sum((a + b) + (c + d) + (e + g) + (h + k));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Bytes256(long turns)
    {
        Vector256<byte> f = Vector256.Create((byte)3), one = Vector256.Create((byte)1);
        Vector256<sbyte> w = Vector256.Create((sbyte)5);
        Vector256<int> a = default, b = default, c = default, d = default, e = default, g = default, h = default, k = default;
        for (long i = 0; i < turns; i++)
        {
            a = AvxVnni.MultiplyWideningAndAdd(a, f, w);
            b = AvxVnni.MultiplyWideningAndAdd(b, f, w);
            c = AvxVnni.MultiplyWideningAndAdd(c, f, w);
            d = AvxVnni.MultiplyWideningAndAdd(d, f, w);
            f += one;
            e = AvxVnni.MultiplyWideningAndAdd(e, f, w);
            g = AvxVnni.MultiplyWideningAndAdd(g, f, w);
            h = AvxVnni.MultiplyWideningAndAdd(h, f, w);
            k = AvxVnni.MultiplyWideningAndAdd(k, f, w);
        }
        sink += Vector256.Sum((a + b) + (c + d) + (e + g) + (h + k));
    }
}
