using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>A thread's share of a query: the softmax's state over its part of the keys, and the weighted sum of their values.</summary>
internal struct SplitSum<THead>
    where THead : struct, IRegisterVector<THead>
{
    public float Max;
    public float Total;
    public THead Values;
}

/// <summary>The queries of a group, as a type: log2 of their number.</summary>
internal interface IQueryTile
{
    static abstract int Bits { get; }
}

/// <summary>For hardware: a warp of 32 queries to each part of the keys.</summary>
internal readonly struct WideQueries : IQueryTile
{
    public static int Bits => 5;
}

/// <summary>For the simulator, whose groups have 16 threads at most. No query knows how many stand beside it: the bits are the same.</summary>
internal readonly struct NarrowQueries : IQueryTile
{
    public static int Bits => 1;
}

/// <summary>
/// Attention in float32 with four threads to a query: each holds the query and walks over a quarter of the keys, with the softmax's maximum and sum kept
/// as it goes; then the quarters are merged through shared memory. No scores are ever in memory, and there is one barrier.
/// </summary>
/// <remarks>
/// <para>Order: block j of 32 keys belongs to part j mod 4. A part is walked in ascending order, two keys at a time from its blocks' beginnings;
/// the parts are merged in ascending order, scaled to the largest of their maxima. There is one shape, whatever the batch; and keys that a query does not
/// see are in no sum, so neither shows in the bits: an empty part adds 0.</para>
/// <para>Threads of a warp are 32 neighbouring queries of one head at one part, so a key and its value are read at one address by all of them: per key
/// d/4 + d/4 broadcast loads of 128 bits against 2·d multiply-adds, four for each load, the ratio at which neither waits for the other. A dot product runs
/// in four sums. With one picture a multiprocessor has one group, a warp to each scheduler, and nobody fills in where a warp waits: two keys at a
/// time are eight chains of additions and two exponentials side by side instead of four and one. When a key raises the maximum, what was summed is scaled
/// down to it; that is rare after the first keys, so it is a branch.</para>
/// <para>Query and sum are 2·d registers. Heads of 64 take the 255 that a thread may have, and nothing goes to memory; two groups are a multiprocessor's
/// 65,536 registers, and would be with the 206 that one key at a time takes. Heads of 128 would not fit.</para>
/// <para>A thread leaves d/4 quads and one of its maximum and total, side by side: d/4 + 1 is odd, so that eight neighbouring queries write to different banks, and
/// eight neighbouring quads of a query are read from different banks. Heads of 64 need 4 x 32 x 17 quads, 34 KiB. Every thread merges a quarter of the
/// group's quads, neighbours along a row, so that whole lines are written.</para>
/// <para>One picture of 260 tokens: 54 groups, 216 warps of at most 68 keys, where a thread per query made 49 warps of 260.</para>
/// </remarks>
internal static class SplitAttention
{
    public const int GroupSize = Parts * 32;
    public const int MaxHeadSize = 64;

    /// <summary>Shared memory of a group with the widest heads.</summary>
    public const int SharedBytes = GroupSize * (MaxHeadSize / 4 + 1) * 16;

    private const int Parts = 4;
    private const int Block = 32;

    public static GpuStep Prepare<THead>(Attention operation, GpuBinding binding)
        where THead : struct, IRegisterVector<THead>
        => binding.Device.Facts.MaxGroupSize >= GroupSize ? Prepare<THead, WideQueries>(operation, binding) : Prepare<THead, NarrowQueries>(operation, binding);

    private static GpuStep Prepare<THead, TQueries>(Attention operation, GpuBinding binding)
        where THead : struct, IRegisterVector<THead>
        where TQueries : struct, IQueryTile
    {
        int tiles = (operation.Queries + (1 << TQueries.Bits) - 1) >> TQueries.Bits;
        int groups = checked(operation.Y.Batch * operation.Heads * tiles);
        GpuAttentionArguments arguments = new(operation, binding, tiles);
        return GpuAttention.IsAligned<THead>(operation)
            ? binding.Step<GpuAttentionArguments>(Kernel<THead, AlignedQuads, TQueries>, groups, Parts << TQueries.Bits, arguments)
            : binding.Step<GpuAttentionArguments>(Kernel<THead, BoundedQuads, TQueries>, groups, Parts << TQueries.Bits, arguments);
    }

    private static void Kernel<THead, TAccess, TQueries>(GpuAttentionArguments args)
        where THead : struct, IRegisterVector<THead>
        where TAccess : struct, IQuadAccess
        where TQueries : struct, IQueryTile
    {
        ArrayView<Quad> shared = SharedMemory.Allocate<Quad>((Parts << TQueries.Bits) * (THead.Size / 4 + 1));
        int rest = Grid.IdxX / args.QueryTiles;
        int row0 = (Grid.IdxX - rest * args.QueryTiles) << TQueries.Bits;
        int batch = rest / args.Heads;
        int head = rest - batch * args.Heads;

        // Beyond the last query the last is taken again, and not stored.
        int query = IntrinsicMath.Min(row0 + (Group.IdxX & ((1 << TQueries.Bits) - 1)), args.Queries - 1);
        SplitSum<THead> sum = Walk<THead, TAccess>(args, batch, head, query, Group.IdxX >> TQueries.Bits);
        int at = Group.IdxX * (THead.Size / 4 + 1);
        THead.Store<AlignedQuads>(sum.Values, shared.Cast<float>(), at * 4, THead.Size);
        shared[at + THead.Size / 4] = new Quad { X = sum.Max, Y = sum.Total };
        GpuIntrinsics.Synchronize();
        StoreMerged<THead, TAccess, TQueries>(args, shared, batch, head, row0);
    }

    // One part of the keys, for one query.
    private static SplitSum<THead> Walk<THead, TAccess>(in GpuAttentionArguments args, int batch, int head, int query, int part)
        where THead : struct, IRegisterVector<THead>
        where TAccess : struct, IQuadAccess
    {
        int column = head * args.HeadColumns;
        int seen = AttentionRows.Seen(args, query, AttentionRows.Length(args, batch));
        int firstKey = args.K.Index(batch, head * args.HeadKeys, column);
        int firstValue = args.V.Index(batch, head * args.HeadKeys, column);
        THead q = THead.Load<TAccess>(args.Q.Data, args.Q.Index(batch, head * args.HeadQueries + query, column), 1, args.HeadSize);
        SplitSum<THead> sum = new() { Max = AttentionRows.Lowest };
        for (int first = part * Block; first < seen; first += Parts * Block)
        {
            int end = IntrinsicMath.Min(first + Block, seen);
            int keyAt = firstKey + first * args.K.RowStride;
            int valueAt = firstValue + first * args.V.RowStride;
            int pairs = (end - first) >> 1;
            for (int i = 0; i < pairs; i++)
            {
                float score = Score<THead, TAccess>(args, q, keyAt);
                float next = Score<THead, TAccess>(args, q, keyAt + args.K.RowStride);
                sum = Raise(sum, Above(next, Above(score, sum.Max)));
                float weight = AttentionRows.Weight(score, sum.Max);
                float nextWeight = AttentionRows.Weight(next, sum.Max);
                sum.Total += weight + nextWeight;
                sum.Values = THead.MultiplyAdd(THead.Load<TAccess>(args.V.Data, valueAt, 1, args.HeadSize), weight, sum.Values);
                sum.Values = THead.MultiplyAdd(THead.Load<TAccess>(args.V.Data, valueAt + args.V.RowStride, 1, args.HeadSize), nextWeight, sum.Values);
                keyAt += 2 * args.K.RowStride;
                valueAt += 2 * args.V.RowStride;
            }
            if (((end - first) & 1) != 0)
            {
                float score = Score<THead, TAccess>(args, q, keyAt);
                sum = Raise(sum, Above(score, sum.Max));
                float weight = AttentionRows.Weight(score, sum.Max);
                sum.Total += weight;
                sum.Values = THead.MultiplyAdd(THead.Load<TAccess>(args.V.Data, valueAt, 1, args.HeadSize), weight, sum.Values);
            }
        }
        return sum;
    }

    private static float Score<THead, TAccess>(in GpuAttentionArguments args, THead query, int keyAt)
        where THead : struct, IRegisterVector<THead>
        where TAccess : struct, IQuadAccess
        => args.Scale * THead.Dot(query, THead.Load<TAccess>(args.K.Data, keyAt, 1, args.HeadSize), default).Sum();

    // Not-a-number is above nothing; its weight is not a number.
    private static float Above(float score, float max) => score > max ? score : max;

    private static SplitSum<THead> Raise<THead>(SplitSum<THead> sum, float max)
        where THead : struct, IRegisterVector<THead>
    {
        if (max > sum.Max)
        {
            float shrink = GpuMath.Exp(sum.Max - max);
            sum.Max = max;
            sum.Total *= shrink;
            sum.Values = THead.Scale(sum.Values, shrink);
        }
        return sum;
    }

    private static void StoreMerged<THead, TAccess, TQueries>(in GpuAttentionArguments args, ArrayView<Quad> shared, int batch, int head, int row0)
        where THead : struct, IRegisterVector<THead>
        where TAccess : struct, IQuadAccess
        where TQueries : struct, IQueryTile
    {
        int quads = THead.Size / 4;
        int step = (quads + 1) << TQueries.Bits;
        for (int index = Group.IdxX; index < quads << TQueries.Bits; index += Parts << TQueries.Bits)
        {
            int query = index / quads;
            int quad = index - query * quads;
            int at = query * (quads + 1);
            float max = AttentionRows.Lowest;
            for (int part = 0; part < Parts; part++)
            {
                max = Above(shared[at + part * step + quads].X, max);
            }
            float total = 0f;
            Quad values = default;
            for (int part = 0; part < Parts; part++)
            {
                Quad state = shared[at + part * step + quads];
                float factor = GpuMath.Exp(state.X - max);
                total = GpuIntrinsics.MultiplyAdd(state.Y, factor, total);
                values = Quad.MultiplyAdd(shared[at + part * step + quad], factor, values);
            }
            if (row0 + query < args.Queries)
            {
                int column = quad * 4;
                TAccess.Store(
                    Quad.Scale(values, 1f / total), args.Y.Data, args.Y.Index(batch, row0 + query, head * args.HeadSize + column), args.HeadSize - column);
            }
        }
    }
}
