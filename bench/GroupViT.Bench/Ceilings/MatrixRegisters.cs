using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Bench.Ceilings;

/// <summary>What a kernel of matrix instructions on registers is given.</summary>
/// <param name="result">A number for every thread.</param>
/// <param name="turns">How often each warp's product is added.</param>
internal readonly struct MatrixRegisterArguments(ArrayView<float> result, int turns)
{
    public readonly ArrayView<float> Result = result;
    public readonly int Turns = turns;
}

/// <summary>
/// Matrix instructions that read and write nothing but registers: a warp adds the same 32 x 16 by 16 x 32 product again and again to 32 x 32
/// sums, eight independent instructions' worth, and each lane stores the sum of its 32.
/// </summary>
/// <remarks>
/// <para>The factors are the small integers of <see cref="Left"/> and <see cref="Right"/>: exact in every format, different in every place, and
/// sums of theirs are exact in float32 for some ten thousand turns. The instruction's latency is some 20 to 35 cycles; eight of a warp and
/// four warps for each tensor core cover it.</para>
/// <para>These are the instructions of the kernels, so it is their ceiling. What else a card has (wgmma on compute 9.0, sums in float16) is
/// beyond it.</para>
/// </remarks>
internal static class MatrixRegisters
{
    /// <summary>Threads of a group on hardware: four warps.</summary>
    public const int GroupSize = 128;

    /// <summary>Rows and columns of a warp's sums.</summary>
    public const int Side = 32;

    /// <summary>Numbers of K in a turn.</summary>
    public const int Depth = 16;

    /// <summary>Of a warp's turn.</summary>
    public const double Flops = 2.0 * Side * Side * Depth;

    public static int Left(int row, int k) => ((row * 5 + k * 3) & 7) - 3;

    public static int Right(int k, int column) => ((k * 5 + column * 3 + 1) & 7) - 3;

    /// <summary>Rounding of A's floats is part of <typeparamref name="TFormat"/>; the factors are made before the first turn.</summary>
    public static void Kernel<TFormat>(MatrixRegisterArguments args)
        where TFormat : struct, ITensorFormat
    {
        int lane = Group.IdxX & 31;
        int place = lane >> 2;
        int k = (lane & 3) * 2;
        LeftFragment upper = LeftOf<TFormat>(place, k);
        LeftFragment lower = LeftOf<TFormat>(place + 16, k);
        RightFragment left = TFormat.Right(Column(place, k), Column(place + 8, k));
        RightFragment right = TFormat.Right(Column(place + 16, k), Column(place + 24, k));
        WarpTile c = default;
        for (int i = 0; i < args.Turns; i++)
        {
            c = WarpTile.MultiplyAdd<TFormat>(upper, lower, left, right, c);
        }
        Quad first = Quad.Add(Quad.Add(c.C00, c.C01), Quad.Add(c.C02, c.C03));
        Quad second = Quad.Add(Quad.Add(c.C10, c.C11), Quad.Add(c.C12, c.C13));
        args.Result[Grid.IdxX * Group.DimX + Group.IdxX] = Quad.Add(first, second).Sum();
    }

    private static LeftFragment LeftOf<TFormat>(int row, int k)
        where TFormat : struct, ITensorFormat
        => TFormat.Left(
            new FloatPair { X = Left(row, k), Y = Left(row, k + 1) }, new FloatPair { X = Left(row + 8, k), Y = Left(row + 8, k + 1) },
            new FloatPair { X = Left(row, k + 8), Y = Left(row, k + 9) }, new FloatPair { X = Left(row + 8, k + 8), Y = Left(row + 8, k + 9) });

    private static Quad Column(int column, int k) => new() { X = Right(k, column), Y = Right(k + 1, column), Z = Right(k + 8, column), W = Right(k + 9, column) };
}
