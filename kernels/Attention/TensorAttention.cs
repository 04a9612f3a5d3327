using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>A lane's share of 16 rows by 32 columns: rows g and g + 8 (g = lane / 4), and of tile j the columns 4·2t + j and 4·(2t + 1) + j (t = lane % 4).</summary>
internal struct HeadBand
{
    public Quad C0;
    public Quad C1;
    public Quad C2;
    public Quad C3;
}

/// <summary>What part of the keys gives a lane: the softmax's state of its two rows and the weighted sum of the values. Heads of 32 leave High empty.</summary>
internal struct AttentionPart
{
    public float UpperMax;
    public float UpperSum;
    public float LowerMax;
    public float LowerSum;
    public HeadBand Low;
    public HeadBand High;
}

/// <summary>By how much two parts' sums are scaled to their common maximum, for the upper and the lower row.</summary>
internal struct MergeFactors
{
    public float UpperKeep;
    public float UpperAdd;
    public float LowerKeep;
    public float LowerAdd;
}

/// <summary>The columns of a head, as a type.</summary>
internal interface IHeadColumns
{
    static abstract int Size { get; }
}

internal readonly struct Head32Columns : IHeadColumns
{
    public static int Size => 32;
}

internal readonly struct Head64Columns : IHeadColumns
{
    public static int Size => 64;
}

/// <summary>How a group's four warps share a head.</summary>
internal interface IAttentionShape
{
    /// <summary>True: 16 queries a group, each warp walks a quarter of the keys. False: 16 queries a warp, the quarters one after another.</summary>
    static abstract bool SplitsKeys { get; }
}

internal readonly struct SplitKeys : IAttentionShape
{
    public static bool SplitsKeys => true;
}

internal readonly struct AllKeys : IAttentionShape
{
    public static bool SplitsKeys => false;
}

/// <summary>
/// Attention on tensor cores: a warp takes 16 queries and walks over blocks of 32 keys once, with both products as matrix instructions and
/// the softmax's maximum and sum kept as it goes. Scores live in registers only; sums are float32.
/// </summary>
/// <remarks>
/// <para>Nothing passes through shared memory on the way in, because a sum does not care which of its terms is called which. Of every 16
/// columns of a query and a key, lane t of four takes 4t to 4t + 3: one load of 128 bits, and the instruction's columns 2t, 2t + 1, 2t + 8
/// and 2t + 9 are given these numbers in both factors. Of a value, lane g of eight takes four neighbouring columns for four tiles of the
/// output, so that a key's 32 columns are one line, and the output leaves as quads again. The scores' accumulators are laid out as the
/// second product wants its left factor: weights are rounded where they lie.</para>
/// <para>Order: block j of 32 keys belongs to part j mod 4; a part is walked in ascending order, and the parts are merged in ascending
/// order, whichever shape of group runs. So neither shape, batch nor the number of keys beyond those that a query sees shows in its bits:
/// what is masked has the weight 0, and merging an empty part multiplies by 1 and adds 0.</para>
/// <para>Per block and head of 64: 32 instructions of 16 x 8 x 16, 16 KiB from the first-level cache or the second, 16 exponentials a lane.
/// One picture of 260 tokens: 102 groups with split keys, at most three blocks to a warp.</para>
/// </remarks>
internal static class TensorAttention
{
    public const int GroupSize = 128;

    private const int Parts = 4;
    private const int Rows = 16;
    private const int Block = 32;

    /// <summary>True where the shapes suit.</summary>
    public static bool Fits(Attention operation)
        => operation.HeadSize is 32 or 64
        && AlignedQuads.Fits(operation.Q) && AlignedQuads.Fits(operation.K) && AlignedQuads.Fits(operation.V) && AlignedQuads.Fits(operation.Y);

    /// <summary>By a 16-bit format; queries, keys and values, and Y, are as their tensors say.</summary>
    public static GpuStep Pairs<TFormat>(Attention operation, GpuBinding binding)
        where TFormat : struct, IPairFormat
        => operation.Y.Tensor.IsNarrow
            ? Pairs<TFormat, NarrowQuads<TFormat>>(operation, binding)
            : Pairs<TFormat, AlignedQuads>(operation, binding);

    private static GpuStep Pairs<TFormat, TStore>(Attention operation, GpuBinding binding)
        where TFormat : struct, IPairFormat
        where TStore : struct, IQuadStore
        => (operation.Q.Tensor.IsNarrow, operation.K.Tensor.IsNarrow, operation.V.Tensor.IsNarrow) switch
        {
            (true, true, true) => Prepare<TFormat, PairRows, TStore>(operation, binding),
            (false, true, true) => Prepare<TFormat, PairKeys<TFormat>, TStore>(operation, binding),
            (false, false, false) => Prepare<TFormat, FloatRows<TFormat>, TStore>(operation, binding),
            _ => throw new ArgumentException($"{operation.K} and {operation.V} are not of one width, or wider than {operation.Q}"),
        };

    /// <summary>By TensorFloat32, whose factors are float32 in memory.</summary>
    public static GpuStep Singles(Attention operation, GpuBinding binding) => Prepare<Float32Tensors, FloatRows<Float32Tensors>, AlignedQuads>(operation, binding);

    private static GpuStep Prepare<TFormat, TRows, TStore>(Attention operation, GpuBinding binding)
        where TFormat : struct, ITensorFormat
        where TRows : struct, IHeadRows
        where TStore : struct, IQuadStore
        => operation.HeadSize == 32 ? Prepare<Head32Columns, TFormat, TRows, TStore>(operation, binding) : Prepare<Head64Columns, TFormat, TRows, TStore>(operation, binding);

    private static GpuStep Prepare<THead, TFormat, TRows, TStore>(Attention operation, GpuBinding binding)
        where THead : struct, IHeadColumns
        where TFormat : struct, ITensorFormat
        where TRows : struct, IHeadRows
        where TStore : struct, IQuadStore
    {
        // Whole heads read keys a quarter as often; split ones fill the device. Both give the same bits.
        int heads = checked(operation.Y.Batch * operation.Heads);
        int wideTiles = (operation.Queries + 4 * Rows - 1) / (4 * Rows);
        int splitTiles = (operation.Queries + Rows - 1) / Rows;
        return (long)heads * wideTiles >= 2L * binding.Device.Facts.Multiprocessors
            ? binding.Step<GpuAttentionArguments>(Kernel<THead, TFormat, AllKeys, TRows, TStore>, checked(heads * wideTiles), GroupSize, new(operation, binding, wideTiles))
            : binding.Step<GpuAttentionArguments>(Kernel<THead, TFormat, SplitKeys, TRows, TStore>, checked(heads * splitTiles), GroupSize, new(operation, binding, splitTiles));
    }

    private static void Kernel<THead, TFormat, TShape, TRows, TStore>(GpuAttentionArguments args)
        where THead : struct, IHeadColumns
        where TFormat : struct, ITensorFormat
        where TShape : struct, IAttentionShape
        where TRows : struct, IHeadRows
        where TStore : struct, IQuadStore
    {
        int rest = Grid.IdxX / args.QueryTiles;
        int tile = Grid.IdxX - rest * args.QueryTiles;
        int batch = rest / args.Heads;
        int head = rest - batch * args.Heads;
        int warp = Group.IdxX >> 5;
        int row0 = TShape.SplitsKeys ? tile * Rows : (tile * 4 + warp) * Rows;

        if (TShape.SplitsKeys)
        {
            ArrayView<Quad> shared = SharedMemory.Allocate<Quad>(Parts * (THead.Size / 8 + 1) * 32);
            Spill<THead>(shared, warp, Walk<THead, TFormat, TRows>(args, batch, head, row0, warp));
            GpuIntrinsics.Synchronize();
            StoreMerged<THead, TStore>(args, shared, batch, head, row0, warp);
        }
        else if (row0 < args.Queries)
        {
            AttentionPart total = Nothing();
            for (int part = 0; part < Parts; part++)
            {
                total = Merge<THead>(total, Walk<THead, TFormat, TRows>(args, batch, head, row0, part));
            }
            StoreOwn<THead, TStore>(args, batch, head, row0, total);
        }
    }

    // One part of the keys, for 16 queries.
    private static AttentionPart Walk<THead, TFormat, TRows>(in GpuAttentionArguments args, int batch, int head, int row0, int part)
        where THead : struct, IHeadColumns
        where TFormat : struct, ITensorFormat
        where TRows : struct, IHeadRows
    {
        int lane = Group.IdxX & 31;
        int upper = row0 + (lane >> 2);
        int lower = upper + 8;
        int column = head * args.HeadColumns;
        int queryAt = (lane & 3) * 4 + column;
        int upperAt = args.Q.Index(batch, head * args.HeadQueries + IntrinsicMath.Min(upper, args.Queries - 1), queryAt) >> 2;
        int lowerAt = args.Q.Index(batch, head * args.HeadQueries + IntrinsicMath.Min(lower, args.Queries - 1), queryAt) >> 2;
        LeftFragment q0 = TRows.Queries(args.Q.Data, upperAt, lowerAt);
        LeftFragment q1 = TRows.Queries(args.Q.Data, upperAt + 4, lowerAt + 4);
        LeftFragment q2 = default;
        LeftFragment q3 = default;
        if (THead.Size == 64)
        {
            q2 = TRows.Queries(args.Q.Data, upperAt + 8, lowerAt + 8);
            q3 = TRows.Queries(args.Q.Data, upperAt + 12, lowerAt + 12);
        }

        int length = AttentionRows.Length(args, batch);
        int limit = AttentionRows.Seen(args, row0 + Rows - 1, length);
        int upperSeen = AttentionRows.Seen(args, upper, length);
        int lowerSeen = AttentionRows.Seen(args, lower, length);
        int firstKey = args.K.Index(batch, head * args.HeadKeys, column + (lane & 3) * 4) >> 2;
        int firstValue = args.V.Index(batch, head * args.HeadKeys, column + (lane >> 2) * 4) >> 2;
        int keyStride = args.K.RowStride >> 2;
        int valueStride = args.V.RowStride >> 2;

        AttentionPart sum = Nothing();
        for (int first = part * Block; first < limit; first += Parts * Block)
        {
            // Beyond the last key the last is read again, and masked.
            int last = limit - 1;
            int key = first + (lane >> 2);
            Quad s0 = default;
            Quad s1 = default;
            Quad s2 = default;
            Quad s3 = default;
            Scores<THead, TFormat, TRows>(
                args.K.Data, firstKey + IntrinsicMath.Min(key, last) * keyStride, firstKey + IntrinsicMath.Min(key + 8, last) * keyStride, q0, q1, q2, q3, ref s0, ref s1);
            Scores<THead, TFormat, TRows>(
                args.K.Data, firstKey + IntrinsicMath.Min(key + 16, last) * keyStride, firstKey + IntrinsicMath.Min(key + 24, last) * keyStride, q0, q1, q2, q3, ref s2, ref s3);
            key = first + (lane & 3) * 2;
            s0 = Mask(s0, args.Scale, key, upperSeen, lowerSeen);
            s1 = Mask(s1, args.Scale, key + 8, upperSeen, lowerSeen);
            s2 = Mask(s2, args.Scale, key + 16, upperSeen, lowerSeen);
            s3 = Mask(s3, args.Scale, key + 24, upperSeen, lowerSeen);

            float upperMax = OverLanes(Above(s3.Y, Above(s3.X, Above(s2.Y, Above(s2.X, Above(s1.Y, Above(s1.X, Above(s0.Y, Above(s0.X, sum.UpperMax)))))))));
            float lowerMax = OverLanes(Above(s3.W, Above(s3.Z, Above(s2.W, Above(s2.Z, Above(s1.W, Above(s1.Z, Above(s0.W, Above(s0.Z, sum.LowerMax)))))))));
            float upperShrink = GpuMath.Exp(sum.UpperMax - upperMax);
            float lowerShrink = GpuMath.Exp(sum.LowerMax - lowerMax);
            s0 = Weights(s0, upperMax, lowerMax);
            s1 = Weights(s1, upperMax, lowerMax);
            s2 = Weights(s2, upperMax, lowerMax);
            s3 = Weights(s3, upperMax, lowerMax);
            sum.UpperMax = upperMax;
            sum.LowerMax = lowerMax;
            sum.UpperSum = GpuIntrinsics.MultiplyAdd(sum.UpperSum, upperShrink, s0.X + s0.Y + (s1.X + s1.Y) + (s2.X + s2.Y + (s3.X + s3.Y)));
            sum.LowerSum = GpuIntrinsics.MultiplyAdd(sum.LowerSum, lowerShrink, s0.Z + s0.W + (s1.Z + s1.W) + (s2.Z + s2.W + (s3.Z + s3.W)));
            sum.Low = Scale(sum.Low, upperShrink, lowerShrink);
            if (THead.Size == 64)
            {
                sum.High = Scale(sum.High, upperShrink, lowerShrink);
            }
            Values<THead, TFormat, TRows>(args.V.Data, firstValue, valueStride, key, last, WeightFragment<TFormat>(s0, s1), ref sum);
            Values<THead, TFormat, TRows>(args.V.Data, firstValue, valueStride, key + 16, last, WeightFragment<TFormat>(s2, s3), ref sum);
        }
        sum.UpperSum += Warp.ShuffleXor(sum.UpperSum, 1);
        sum.UpperSum += Warp.ShuffleXor(sum.UpperSum, 2);
        sum.LowerSum += Warp.ShuffleXor(sum.LowerSum, 1);
        sum.LowerSum += Warp.ShuffleXor(sum.LowerSum, 2);
        return sum;
    }

    private static AttentionPart Nothing() => new() { UpperMax = AttentionRows.Lowest, LowerMax = AttentionRows.Lowest };

    // 16 queries by twice 8 keys.
    private static void Scores<THead, TFormat, TRows>(
        ArrayView<float> data, int leftAt, int rightAt, LeftFragment q0, LeftFragment q1, LeftFragment q2, LeftFragment q3, ref Quad left, ref Quad right)
        where THead : struct, IHeadColumns
        where TFormat : struct, ITensorFormat
        where TRows : struct, IHeadRows
    {
        Score<TFormat>(q0, TRows.Keys(data, leftAt, rightAt), ref left, ref right);
        Score<TFormat>(q1, TRows.Keys(data, leftAt + 4, rightAt + 4), ref left, ref right);
        if (THead.Size == 64)
        {
            Score<TFormat>(q2, TRows.Keys(data, leftAt + 8, rightAt + 8), ref left, ref right);
            Score<TFormat>(q3, TRows.Keys(data, leftAt + 12, rightAt + 12), ref left, ref right);
        }
    }

    private static void Score<TFormat>(LeftFragment q, RightFragment k, ref Quad left, ref Quad right)
        where TFormat : struct, ITensorFormat
    {
        left = TFormat.MultiplyLeft(left, q, k);
        right = TFormat.MultiplyRight(right, q, k);
    }

    // The weighted values of 16 keys; this lane reads those of rows 2t, 2t + 1, 2t + 8 and 2t + 9.
    private static void Values<THead, TFormat, TRows>(ArrayView<float> data, int at, int stride, int key, int last, LeftFragment weights, ref AttentionPart sum)
        where THead : struct, IHeadColumns
        where TFormat : struct, ITensorFormat
        where TRows : struct, IHeadRows
    {
        int at0 = at + IntrinsicMath.Min(key, last) * stride;
        int at1 = at + IntrinsicMath.Min(key + 1, last) * stride;
        int at2 = at + IntrinsicMath.Min(key + 8, last) * stride;
        int at3 = at + IntrinsicMath.Min(key + 9, last) * stride;
        sum.Low = Weigh<TFormat>(TRows.Values(data, at0, at1, at2, at3), weights, sum.Low);
        if (THead.Size == 64)
        {
            sum.High = Weigh<TFormat>(TRows.Values(data, at0 + 8, at1 + 8, at2 + 8, at3 + 8), weights, sum.High);
        }
    }

    private static HeadBand Weigh<TFormat>(ValueFragments values, LeftFragment weights, HeadBand c)
        where TFormat : struct, ITensorFormat
        => new()
        {
            C0 = TFormat.MultiplyLeft(c.C0, weights, values.Left),
            C1 = TFormat.MultiplyRight(c.C1, weights, values.Left),
            C2 = TFormat.MultiplyLeft(c.C2, weights, values.Right),
            C3 = TFormat.MultiplyRight(c.C3, weights, values.Right),
        };

    private static LeftFragment WeightFragment<TFormat>(Quad left, Quad right)
        where TFormat : struct, ITensorFormat
        => TFormat.Left(First(left), Second(left), First(right), Second(right));

    private static Quad Mask(Quad s, float scale, int key, int upperSeen, int lowerSeen) => new()
    {
        X = key < upperSeen ? s.X * scale : float.NegativeInfinity,
        Y = key + 1 < upperSeen ? s.Y * scale : float.NegativeInfinity,
        Z = key < lowerSeen ? s.Z * scale : float.NegativeInfinity,
        W = key + 1 < lowerSeen ? s.W * scale : float.NegativeInfinity,
    };

    private static Quad Weights(Quad s, float upperMax, float lowerMax) => Of(
        AttentionRows.Weight(s.X, upperMax), AttentionRows.Weight(s.Y, upperMax), AttentionRows.Weight(s.Z, lowerMax), AttentionRows.Weight(s.W, lowerMax));

    private static float Above(float score, float max) => score > max ? score : max;

    // A row lies with four lanes.
    private static float OverLanes(float max)
    {
        max = Above(Warp.ShuffleXor(max, 1), max);
        return Above(Warp.ShuffleXor(max, 2), max);
    }

    private static HeadBand Scale(HeadBand c, float upper, float lower) => new()
    {
        C0 = Scale(c.C0, upper, lower),
        C1 = Scale(c.C1, upper, lower),
        C2 = Scale(c.C2, upper, lower),
        C3 = Scale(c.C3, upper, lower),
    };

    private static Quad Scale(Quad c, float upper, float lower) => Of(c.X * upper, c.Y * upper, c.Z * lower, c.W * lower);

    private static AttentionPart Merge<THead>(AttentionPart total, AttentionPart part)
        where THead : struct, IHeadColumns
    {
        MergeFactors factors = MergeRows(ref total, part);
        total.Low = Merge(total.Low, part.Low, factors);
        if (THead.Size == 64)
        {
            total.High = Merge(total.High, part.High, factors);
        }
        return total;
    }

    private static MergeFactors MergeRows(ref AttentionPart total, in AttentionPart part)
    {
        float upperMax = Above(part.UpperMax, total.UpperMax);
        float lowerMax = Above(part.LowerMax, total.LowerMax);
        MergeFactors factors = new()
        {
            UpperKeep = GpuMath.Exp(total.UpperMax - upperMax),
            UpperAdd = GpuMath.Exp(part.UpperMax - upperMax),
            LowerKeep = GpuMath.Exp(total.LowerMax - lowerMax),
            LowerAdd = GpuMath.Exp(part.LowerMax - lowerMax),
        };
        total.UpperMax = upperMax;
        total.LowerMax = lowerMax;
        total.UpperSum = GpuIntrinsics.MultiplyAdd(part.UpperSum, factors.UpperAdd, total.UpperSum * factors.UpperKeep);
        total.LowerSum = GpuIntrinsics.MultiplyAdd(part.LowerSum, factors.LowerAdd, total.LowerSum * factors.LowerKeep);
        return factors;
    }

    private static HeadBand Merge(HeadBand total, HeadBand part, MergeFactors f) => new()
    {
        C0 = Merge(total.C0, part.C0, f),
        C1 = Merge(total.C1, part.C1, f),
        C2 = Merge(total.C2, part.C2, f),
        C3 = Merge(total.C3, part.C3, f),
    };

    private static Quad Merge(Quad total, Quad part, MergeFactors f) => Of(
        GpuIntrinsics.MultiplyAdd(part.X, f.UpperAdd, total.X * f.UpperKeep),
        GpuIntrinsics.MultiplyAdd(part.Y, f.UpperAdd, total.Y * f.UpperKeep),
        GpuIntrinsics.MultiplyAdd(part.Z, f.LowerAdd, total.Z * f.LowerKeep),
        GpuIntrinsics.MultiplyAdd(part.W, f.LowerAdd, total.W * f.LowerKeep));

    // Each lane's numbers at places of its own kind: 32 lanes side by side meet in no bank, and another warp's same lane reads them.
    private static void Spill<THead>(ArrayView<Quad> shared, int part, AttentionPart sum)
        where THead : struct, IHeadColumns
    {
        int at = part * (THead.Size / 8 + 1) * 32 + (Group.IdxX & 31);
        shared[at] = Of(sum.UpperMax, sum.UpperSum, sum.LowerMax, sum.LowerSum);
        Spill(shared, at + 32, sum.Low);
        if (THead.Size == 64)
        {
            Spill(shared, at + 160, sum.High);
        }
    }

    private static void Spill(ArrayView<Quad> shared, int at, HeadBand c)
    {
        shared[at] = c.C0;
        shared[at + 32] = c.C1;
        shared[at + 64] = c.C2;
        shared[at + 96] = c.C3;
    }

    // Every warp merges the parts for a quarter of the columns (heads of 32: the first two for a half, of which each stores one row).
    private static void StoreMerged<THead, TStore>(in GpuAttentionArguments args, ArrayView<Quad> shared, int batch, int head, int row0, int warp)
        where THead : struct, IHeadColumns
        where TStore : struct, IQuadStore
    {
        int lane = Group.IdxX & 31;
        int half = THead.Size == 64 ? warp >> 1 : 0;
        if (THead.Size == 32 && warp > 1)
        {
            return;
        }
        AttentionPart total = Nothing();
        for (int part = 0; part < Parts; part++)
        {
            AttentionPart next = Fill<THead>(shared, part, half, lane);
            MergeFactors factors = MergeRows(ref total, next);
            total.Low = Merge(total.Low, next.Low, factors);
        }
        int upper = row0 + (lane >> 2);
        if ((warp & 1) == 0)
        {
            StoreRow<TStore>(args, batch, head, upper, half, First(total.Low), Second(total.Low), total.UpperSum);
        }
        else
        {
            StoreRow<TStore>(args, batch, head, upper + 8, half, Third(total.Low), Fourth(total.Low), total.LowerSum);
        }
    }

    private static AttentionPart Fill<THead>(ArrayView<Quad> shared, int part, int half, int lane)
        where THead : struct, IHeadColumns
    {
        int at = part * (THead.Size / 8 + 1) * 32 + lane;
        Quad rows = shared[at];
        at += 32 + half * 128;
        return new AttentionPart
        {
            UpperMax = rows.X,
            UpperSum = rows.Y,
            LowerMax = rows.Z,
            LowerSum = rows.W,
            Low = new HeadBand { C0 = shared[at], C1 = shared[at + 32], C2 = shared[at + 64], C3 = shared[at + 96] },
        };
    }

    private static void StoreOwn<THead, TStore>(in GpuAttentionArguments args, int batch, int head, int row0, AttentionPart total)
        where THead : struct, IHeadColumns
        where TStore : struct, IQuadStore
    {
        int upper = row0 + ((Group.IdxX & 31) >> 2);
        StoreRow<TStore>(args, batch, head, upper, 0, First(total.Low), Second(total.Low), total.UpperSum);
        StoreRow<TStore>(args, batch, head, upper + 8, 0, Third(total.Low), Fourth(total.Low), total.LowerSum);
        if (THead.Size == 64)
        {
            StoreRow<TStore>(args, batch, head, upper, 1, First(total.High), Second(total.High), total.UpperSum);
            StoreRow<TStore>(args, batch, head, upper + 8, 1, Third(total.High), Fourth(total.High), total.LowerSum);
        }
    }

    // Eight neighbouring columns of a row.
    private static void StoreRow<TStore>(in GpuAttentionArguments args, int batch, int head, int row, int half, Quad first, Quad second, float sum)
        where TStore : struct, IQuadStore
    {
        if (row < args.Queries)
        {
            int at = args.Y.Index(batch, row, head * args.HeadSize + half * 32 + (Group.IdxX & 3) * 8);
            float inverse = 1f / sum;
            TStore.Store(Quad.Scale(first, inverse), args.Y.Data, at, 4);
            TStore.Store(Quad.Scale(second, inverse), args.Y.Data, at + 4, 4);
        }
    }

    private static Quad First(HeadBand c) => Of(c.C0.X, c.C1.X, c.C2.X, c.C3.X);

    private static Quad Second(HeadBand c) => Of(c.C0.Y, c.C1.Y, c.C2.Y, c.C3.Y);

    private static Quad Third(HeadBand c) => Of(c.C0.Z, c.C1.Z, c.C2.Z, c.C3.Z);

    private static Quad Fourth(HeadBand c) => Of(c.C0.W, c.C1.W, c.C2.W, c.C3.W);

    private static FloatPair First(Quad quad) => new() { X = quad.X, Y = quad.Y };

    private static FloatPair Second(Quad quad) => new() { X = quad.Z, Y = quad.W };

    private static Quad Of(float x, float y, float z, float w) => new() { X = x, Y = y, Z = z, W = w };
}
