using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>Chunks of 16 bytes in a thread's registers, on their way from global to shared memory: as many of A and of B as the shape of group has for a thread.</summary>
internal struct HeldChunks
{
    public Words Left0, Left1, Left2, Left3, Left4, Left5, Left6, Left7;
    public Words Right0, Right1, Right2, Right3;
}

/// <summary>Where a group's stage of K comes from: the place of its first row and column, and of a part's threads.</summary>
internal struct StageSource
{
    public int Batch;
    public int Row0;
    public int Column0;
    public int Thread;
}

/// <summary>How one step of K of both factors comes to a stage in shared memory, by the threads of one part.</summary>
/// <remarks>
/// Without asynchronous copies a thread would wait for global memory at every step: there numbers of the next step come to registers before this step is multiplied, and go to
/// shared memory afterwards. That takes two stages, however many the shape has for asynchronous copies.
/// </remarks>
internal static class TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>
    where TFormat : struct, ITensorFormat
    where TLeft : struct, ILeftTile
    where TCopy : struct, ITileCopy
    where TShape : struct, ITensorShape
    where TTile : struct, IWarpTile<TTile>
{
    public static int Stages => TCopy.ThroughRegisters ? 2 : TShape.Stages;

    public static int LeftChunks => TShape.WarpsDown * TTile.Rows * TLeft.Chunks;

    public static int StageChunks => LeftChunks + TShape.WarpsAcross * TensorMatMul.WarpColumns * TFormat.WeightBytes * 2;

    private static int Threads => 32 * TShape.WarpsDown * TShape.WarpsAcross;

    // Of a thread.
    private static int LeftCopies => TTile.Rows / 32 * TLeft.Chunks / TShape.WarpsAcross;

    private static int RightCopies => TFormat.WeightBytes * 2 / TShape.WarpsDown;

    /// <summary>By copies that run on, or at once.</summary>
    public static void Fill(in GpuMatMulArguments args, ArrayView<Words> shared, int at, StageSource source, int k)
    {
        for (int i = 0; i < LeftCopies; i++)
        {
            TCopy.Copy(ref shared[at + LeftPlace(source, i)], ref args.A.Data.Cast<Words>()[LeftChunk(args, source, i, k)]);
        }
        for (int i = 0; i < RightCopies; i++)
        {
            TCopy.Copy(ref shared[at + RightPlace(source, i)], ref args.B.Data.Cast<Words>()[RightChunk(args, source, i, k)]);
        }
    }

    /// <summary>To registers.</summary>
    public static HeldChunks Load(in GpuMatMulArguments args, StageSource source, int k)
    {
        ArrayView<Words> left = args.A.Data.Cast<Words>();
        ArrayView<Words> right = args.B.Data.Cast<Words>();
        HeldChunks held = default;
        held.Left0 = left[LeftChunk(args, source, 0, k)];
        held.Left1 = left[LeftChunk(args, source, 1, k)];
        if (LeftCopies > 2)
        {
            held.Left2 = left[LeftChunk(args, source, 2, k)];
            held.Left3 = left[LeftChunk(args, source, 3, k)];
        }
        if (LeftCopies > 4)
        {
            held.Left4 = left[LeftChunk(args, source, 4, k)];
            held.Left5 = left[LeftChunk(args, source, 5, k)];
            held.Left6 = left[LeftChunk(args, source, 6, k)];
            held.Left7 = left[LeftChunk(args, source, 7, k)];
        }
        held.Right0 = right[RightChunk(args, source, 0, k)];
        held.Right1 = right[RightChunk(args, source, 1, k)];
        if (RightCopies > 2)
        {
            held.Right2 = right[RightChunk(args, source, 2, k)];
            held.Right3 = right[RightChunk(args, source, 3, k)];
        }
        return held;
    }

    /// <summary>From registers.</summary>
    public static void Store(HeldChunks held, ArrayView<Words> shared, int at, StageSource source)
    {
        shared[at + LeftPlace(source, 0)] = held.Left0;
        shared[at + LeftPlace(source, 1)] = held.Left1;
        if (LeftCopies > 2)
        {
            shared[at + LeftPlace(source, 2)] = held.Left2;
            shared[at + LeftPlace(source, 3)] = held.Left3;
        }
        if (LeftCopies > 4)
        {
            shared[at + LeftPlace(source, 4)] = held.Left4;
            shared[at + LeftPlace(source, 5)] = held.Left5;
            shared[at + LeftPlace(source, 6)] = held.Left6;
            shared[at + LeftPlace(source, 7)] = held.Left7;
        }
        shared[at + RightPlace(source, 0)] = held.Right0;
        shared[at + RightPlace(source, 1)] = held.Right1;
        if (RightCopies > 2)
        {
            shared[at + RightPlace(source, 2)] = held.Right2;
            shared[at + RightPlace(source, 3)] = held.Right3;
        }
    }

    private static int LeftPlace(StageSource source, int i) => TLeft.Place(LeftRow(source, i), (i * Threads + source.Thread) & (TLeft.Chunks - 1));

    private static int LeftChunk(in GpuMatMulArguments args, StageSource source, int i, int k)
        => TLeft.Chunk(args.A.Index(source.Batch, IntrinsicMath.Min(source.Row0 + LeftRow(source, i), args.Rows - 1), k)) + ((i * Threads + source.Thread) & (TLeft.Chunks - 1));

    private static int LeftRow(StageSource source, int i) => TLeft.Chunks == 8 ? (i * Threads + source.Thread) >> 3 : (i * Threads + source.Thread) >> 2;

    private static int RightPlace(StageSource source, int i)
        => LeftChunks + TFormat.WeightChunk(RightRow(source, i), (i * Threads + source.Thread) & (TFormat.WeightBytes * 2 - 1));

    private static int RightChunk(in GpuMatMulArguments args, StageSource source, int i, int k)
    {
        int first = IntrinsicMath.Min(source.Column0 + RightRow(source, i), args.N - 1) * args.K + k;
        return (TFormat.WeightBytes == 4 ? first >> 2 : first >> 3) + ((i * Threads + source.Thread) & (TFormat.WeightBytes * 2 - 1));
    }

    private static int RightRow(StageSource source, int i) => TFormat.WeightBytes == 4 ? (i * Threads + source.Thread) >> 3 : (i * Threads + source.Thread) >> 2;
}
