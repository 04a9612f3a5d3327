using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Bench.Ceilings;

/// <summary>What a kernel of multiply-adds on registers is given.</summary>
/// <param name="starts">Where chains begin.</param>
/// <param name="result">A number for every thread.</param>
/// <param name="turns">By how many times <see cref="FloatRegisters.Unrolled"/> steps each chain goes on.</param>
/// <param name="factor">Of a step.</param>
/// <param name="addend">Of a step.</param>
internal readonly struct FloatRegisterArguments(ArrayView<float> starts, ArrayView<float> result, int turns, float factor, float addend)
{
    public readonly ArrayView<float> Starts = starts;
    public readonly ArrayView<float> Result = result;
    public readonly int Turns = turns;
    public readonly float Factor = factor;
    public readonly float Addend = addend;
}

/// <summary>
/// Multiply-adds that read and write nothing but registers: a thread has eight independent chains x ← f·x + d of a vector each, and stores the
/// sum of all of them at the end.
/// </summary>
/// <remarks>
/// <para>Where chains begin, and f and d, are read or passed, so that no compiler can leave a chain out or make one of two. Measuring takes
/// f = -1: numbers stay as they are in size and change in every step, as a product's do.</para>
/// <para>GPUs take four floats a vector: 32 chains in some 45 registers. A warp needs four for the latency of a multiply-add, and a
/// multiprocessor has 32 warps. A processor behind OpenCL takes 8 or 16, whole vectors: eight chains, as latency four on two units asks for.</para>
/// </remarks>
internal static class FloatRegisters
{
    /// <summary>Floats that <see cref="FloatRegisterArguments.Starts"/> holds: the eight chains of 16 lanes, and 15 threads' shift by a quad.</summary>
    public const int StartCount = Chains * 16 + 15 * 4;

    /// <summary>Steps of a chain in a turn: with 128 multiply-adds a turn, the loop's own three instructions are 2 % on a GPU.</summary>
    public const int Unrolled = 4;

    private const int Chains = 8;

    /// <summary>Of a thread's turn.</summary>
    public static double Flops<TVector>()
        where TVector : struct, IRegisterVector<TVector>
        => 2.0 * Unrolled * Chains * TVector.Size;

    /// <summary>The first start that a thread reads; it takes <see cref="Floats"/> from there on.</summary>
    public static int FirstStart(int thread) => (thread & 15) * 4;

    /// <summary>Chains of single floats.</summary>
    public static int Floats<TVector>()
        where TVector : struct, IRegisterVector<TVector>
        => Chains * TVector.Size;

    public static void Kernel<TVector>(Index1D index, FloatRegisterArguments args)
        where TVector : struct, IRegisterVector<TVector>
    {
        float f = args.Factor;
        TVector d = TVector.Broadcast(args.Addend);
        int first = FirstStart(index);
        TVector x0 = TVector.Load<AlignedQuads>(args.Starts, first, 1, TVector.Size);
        TVector x1 = TVector.Load<AlignedQuads>(args.Starts, first + TVector.Size, 1, TVector.Size);
        TVector x2 = TVector.Load<AlignedQuads>(args.Starts, first + 2 * TVector.Size, 1, TVector.Size);
        TVector x3 = TVector.Load<AlignedQuads>(args.Starts, first + 3 * TVector.Size, 1, TVector.Size);
        TVector x4 = TVector.Load<AlignedQuads>(args.Starts, first + 4 * TVector.Size, 1, TVector.Size);
        TVector x5 = TVector.Load<AlignedQuads>(args.Starts, first + 5 * TVector.Size, 1, TVector.Size);
        TVector x6 = TVector.Load<AlignedQuads>(args.Starts, first + 6 * TVector.Size, 1, TVector.Size);
        TVector x7 = TVector.Load<AlignedQuads>(args.Starts, first + 7 * TVector.Size, 1, TVector.Size);
        for (int i = 0; i < args.Turns; i++)
        {
            x0 = Turn(x0, f, d);
            x1 = Turn(x1, f, d);
            x2 = Turn(x2, f, d);
            x3 = Turn(x3, f, d);
            x4 = Turn(x4, f, d);
            x5 = Turn(x5, f, d);
            x6 = Turn(x6, f, d);
            x7 = Turn(x7, f, d);
        }
        TVector sum = TVector.Add(TVector.Add(TVector.Add(x0, x1), TVector.Add(x2, x3)), TVector.Add(TVector.Add(x4, x5), TVector.Add(x6, x7)));
        args.Result[index] = TVector.Dot(sum, TVector.Broadcast(1f), default).Sum();
    }
    private static TVector Turn<TVector>(TVector x, float f, TVector d)
        where TVector : struct, IRegisterVector<TVector>
        => TVector.MultiplyAdd(TVector.MultiplyAdd(TVector.MultiplyAdd(TVector.MultiplyAdd(x, f, d), f, d), f, d), f, d);
}
