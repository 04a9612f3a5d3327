using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>How one step of K of both factors of the float32 product comes to a stage in shared memory: every thread of a team copies four chunks of A and four of B.</summary>
/// <remarks>Rows beyond the last and columns beyond N are copies of the last, and are not stored.</remarks>
internal static class SharedTiles
{
    /// <summary>Rows and columns of a group's outputs.</summary>
    public static int Tile<TShape>()
        where TShape : struct, ISharedShape => 4 << TShape.QuadBits;

    /// <summary>Numbers of K in a stage.</summary>
    public static int StepK<TShape>()
        where TShape : struct, ISharedShape => 4 << TShape.StepBits;

    /// <summary>Copies that run on take three; through registers the next step's numbers come while this one's are multiplied, and two do.</summary>
    public static int Stages<TCopy>()
        where TCopy : struct, ITileCopy => TCopy.ThroughRegisters ? 2 : 3;

    /// <summary>Chunks of a stage's share of A; B's are as many.</summary>
    public static int LeftChunks<TShape>()
        where TShape : struct, ISharedShape => Tile<TShape>() << TShape.StepBits;

    /// <summary>By copies that run on, or at once.</summary>
    public static void Fill<TCopy, TShape>(in GpuMatMulArguments args, ArrayView<Words> shared, int at, int thread, int batch, int row0, int column0, int k)
        where TCopy : struct, ITileCopy
        where TShape : struct, ISharedShape
    {
        for (int i = 0; i < 4; i++)
        {
            int index = (i << TShape.TeamBits) + thread;
            TCopy.Copy(ref shared[at + LeftPlace<TShape>(index)], ref args.A.Data.Cast<Words>()[LeftChunk<TShape>(args, index, batch, row0, k)]);
        }
        for (int i = 0; i < 4; i++)
        {
            int index = (i << TShape.TeamBits) + thread;
            TCopy.Copy(ref shared[at + LeftChunks<TShape>() + index], ref args.B.Data.Cast<Words>()[RightChunk<TShape>(args, index, column0, k)]);
        }
    }

    /// <summary>To registers.</summary>
    public static HeldChunks Load<TShape>(in GpuMatMulArguments args, int thread, int batch, int row0, int column0, int k)
        where TShape : struct, ISharedShape
    {
        ArrayView<Words> left = args.A.Data.Cast<Words>();
        ArrayView<Words> right = args.B.Data.Cast<Words>();
        return new HeldChunks
        {
            Left0 = left[LeftChunk<TShape>(args, thread, batch, row0, k)],
            Left1 = left[LeftChunk<TShape>(args, (1 << TShape.TeamBits) + thread, batch, row0, k)],
            Left2 = left[LeftChunk<TShape>(args, (2 << TShape.TeamBits) + thread, batch, row0, k)],
            Left3 = left[LeftChunk<TShape>(args, (3 << TShape.TeamBits) + thread, batch, row0, k)],
            Right0 = right[RightChunk<TShape>(args, thread, column0, k)],
            Right1 = right[RightChunk<TShape>(args, (1 << TShape.TeamBits) + thread, column0, k)],
            Right2 = right[RightChunk<TShape>(args, (2 << TShape.TeamBits) + thread, column0, k)],
            Right3 = right[RightChunk<TShape>(args, (3 << TShape.TeamBits) + thread, column0, k)],
        };
    }

    /// <summary>From registers.</summary>
    public static void Store<TShape>(HeldChunks held, ArrayView<Words> shared, int at, int thread)
        where TShape : struct, ISharedShape
    {
        shared[at + LeftPlace<TShape>(thread)] = held.Left0;
        shared[at + LeftPlace<TShape>((1 << TShape.TeamBits) + thread)] = held.Left1;
        shared[at + LeftPlace<TShape>((2 << TShape.TeamBits) + thread)] = held.Left2;
        shared[at + LeftPlace<TShape>((3 << TShape.TeamBits) + thread)] = held.Left3;
        int right = at + LeftChunks<TShape>() + thread;
        shared[right] = held.Right0;
        shared[right + (1 << TShape.TeamBits)] = held.Right1;
        shared[right + (2 << TShape.TeamBits)] = held.Right2;
        shared[right + (3 << TShape.TeamBits)] = held.Right3;
    }

    private static int LeftPlace<TShape>(int index)
        where TShape : struct, ISharedShape
    {
        int row = index >> TShape.StepBits;
        return (row << TShape.StepBits) + ((index & ((1 << TShape.StepBits) - 1)) ^ (row >> 3));
    }

    private static int LeftChunk<TShape>(in GpuMatMulArguments args, int index, int batch, int row0, int k)
        where TShape : struct, ISharedShape
        => (args.A.Index(batch, IntrinsicMath.Min(row0 + (index >> TShape.StepBits), args.Rows - 1), k) >> 2) + (index & ((1 << TShape.StepBits) - 1));

    private static int RightChunk<TShape>(in GpuMatMulArguments args, int index, int column0, int k)
        where TShape : struct, ISharedShape
    {
        int column = IntrinsicMath.Min(column0 + (index & ((1 << TShape.QuadBits) - 1)) * 4, args.N - 4);
        return ((k + (index >> TShape.QuadBits)) * args.N + column) >> 2;
    }
}
