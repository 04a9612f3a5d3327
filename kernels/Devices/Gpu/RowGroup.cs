using ILGPU;

namespace GroupViT.Kernels.Devices;

/// <summary>The number of threads that share a row, as a type: shared memory needs a constant.</summary>
internal interface IGroup
{
    static abstract int Threads { get; }
}

/// <summary>For the simulator, whose barrier costs an OS switch per thread (some 10 µs each).</summary>
internal readonly struct NarrowGroup : IGroup
{
    public static int Threads => 8;
}

/// <summary>For hardware, where a thread takes four columns at a time: 384 to 768 columns are 3 to 6 quads for each.</summary>
internal readonly struct WarpGroup : IGroup
{
    public static int Threads => 32;
}

/// <summary>For hardware: 384 to 768 columns are 6 to 12 per thread, and 260 rows are 520 warps, four for each of 132 multiprocessors.</summary>
internal readonly struct WideGroup : IGroup
{
    public static int Threads => 64;
}

/// <summary>
/// Reductions over a row by one group: thread t takes the columns t, t + T, t + 2T, ... in that order, so loads are coalesced; then every
/// thread adds the T partial results in ascending order. The order depends on nothing but the row's length.
/// </summary>
/// <remarks>
/// <para>A thread per row would need no barrier, but a picture has only some 260 rows: eight warps for a whole GPU, each lane a cache
/// line away from the next.</para>
/// <para>Why not a tree: it takes log2(T) + 1 barriers, some 7 · (barrier + load) for 64 threads. Here is one barrier, then T reads at
/// one address for all lanes, which shared memory broadcasts, independent of each other; and no second barrier as long as every
/// reduction of a kernel has shared memory of its own. Every thread gets the same bits.</para>
/// </remarks>
internal static class RowGroup
{
    public static float Sum<TGroup>(ArrayView<float> partials, float mine)
        where TGroup : struct, IGroup
    {
        partials[Group.IdxX] = mine;
        GpuIntrinsics.Synchronize();
        float sum = 0f;
        for (int i = 0; i < TGroup.Threads; i++)
        {
            sum += partials[i];
        }
        return sum;
    }

    /// <summary>The largest; not-a-number loses to every number.</summary>
    public static float Max<TGroup>(ArrayView<float> partials, float mine)
        where TGroup : struct, IGroup
    {
        partials[Group.IdxX] = mine;
        GpuIntrinsics.Synchronize();
        float max = float.NegativeInfinity;
        for (int i = 0; i < TGroup.Threads; i++)
        {
            float value = partials[i];
            max = value > max ? value : max;
        }
        return max;
    }
}
