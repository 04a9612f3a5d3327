using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>How a group's threads share a tile of eight tokens: a thread takes eight groups, four of the tokens and one slice of K.</summary>
internal interface IAssignShape
{
    /// <summary>Two to this power are the eights of groups: 0 for up to 8 groups, 3 for up to 64.</summary>
    static abstract int OctetBits { get; }

    /// <summary>Two to this power are the slices of K that are summed side by side.</summary>
    static abstract int SliceBits { get; }
}

/// <summary>The first stage, 64 groups: 256 threads.</summary>
internal readonly struct ManyGroups : IAssignShape
{
    public static int OctetBits => 3;

    public static int SliceBits => 4;
}

/// <summary>The second stage, 8 groups: 32 threads.</summary>
internal readonly struct FewGroups : IAssignShape
{
    public static int OctetBits => 0;

    public static int SliceBits => 4;
}

/// <summary><see cref="ManyGroups"/> for the simulator: 16 threads.</summary>
internal readonly struct NarrowManyGroups : IAssignShape
{
    public static int OctetBits => 3;

    public static int SliceBits => 0;
}

/// <summary><see cref="FewGroups"/> for the simulator: 8 threads.</summary>
internal readonly struct NarrowFewGroups : IAssignShape
{
    public static int OctetBits => 0;

    public static int SliceBits => 2;
}

internal readonly struct GpuAssignArguments(GroupAssign operation, GpuBinding binding)
{
    public readonly GpuFloats Queries = binding.Floats(operation.Q);
    public readonly GpuFloats Keys = binding.Floats(operation.K);
    public readonly GpuFloats Logits = binding.Floats(operation.Logits);
    public readonly GpuFloats Soft = binding.Floats(operation.Soft);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly GpuInts Forced = binding.IntsOrNone(operation.Forced is { } forced ? forced.View() : null);
    public readonly int HasForced = operation.Forced is null ? 0 : 1;
    public readonly int Groups = operation.Groups;
    public readonly int Tokens = operation.Tokens;
    public readonly int Depth = operation.Q.Columns;
    public readonly int Tiles = SharedGroupAssign.Tiles(operation.Tokens);
    public readonly float Scale = operation.Scale;
}

/// <summary>
/// The first launch of a grouping: a group of threads makes the logits of eight tokens and of all groups, and while they are in shared
/// memory the softmax over the groups and the arg-max. Logits, soft map and index are written once and never read.
/// </summary>
internal static class SharedGroupAssign
{
    /// <summary>Tokens of a tile.</summary>
    private const int Tile = 8;

    private const int MostGroups = 64;
    private const int FewestGroups = 8;

    /// <summary>Threads of a token in the softmax, at most.</summary>
    private const int MostParts = 8;

    private const int SharedBytes = (MostGroups + Tile) * 32 * 16 + 3 * MostParts * Tile * 4;

    /// <summary>True where the device is no processor and the shape suits; neither batch nor the number of tokens matters.</summary>
    public static bool Fits(GroupAssign operation, DeviceFacts facts)
        => !facts.IsVectorProcessor && facts.SharedMemory >= SharedBytes && Suits(operation);

    /// <summary>All groups in one tile, and rows of whole quads.</summary>
    public static bool Suits(GroupAssign operation)
        => operation.Groups <= MostGroups && operation.Q.Columns % 4 == 0 && AlignedQuads.Fits(operation.Q) && AlignedQuads.Fits(operation.K);

    public static GpuStep Prepare(GroupAssign operation, GpuBinding binding, bool narrow) => (operation.Groups <= FewestGroups, narrow) switch
    {
        (true, false) => Prepare<FewGroups>(operation, binding),
        (true, true) => Prepare<NarrowFewGroups>(operation, binding),
        (false, false) => Prepare<ManyGroups>(operation, binding),
        (false, true) => Prepare<NarrowManyGroups>(operation, binding),
    };

    internal static int Tiles(int tokens) => (tokens + Tile - 1) / Tile;

    private static GpuStep Prepare<TShape>(GroupAssign operation, GpuBinding binding)
        where TShape : struct, IAssignShape
        => binding.Step<GpuAssignArguments>(
            Kernel<TShape>, checked(operation.Q.Batch * Tiles(operation.Tokens)), 2 << (TShape.OctetBits + TShape.SliceBits), new GpuAssignArguments(operation, binding));

    private static void Kernel<TShape>(GpuAssignArguments args)
        where TShape : struct, IAssignShape
    {
        ArrayView<Quad> shared = SharedMemory.Allocate<Quad>(((Tile << TShape.OctetBits) + Tile) * (2 << TShape.SliceBits));
        ArrayView<float> maxima = SharedMemory.Allocate<float>(MostParts * Tile);
        ArrayView<int> winners = SharedMemory.Allocate<int>(MostParts * Tile);
        ArrayView<float> sums = SharedMemory.Allocate<float>(MostParts * Tile);
        int batch = Grid.IdxX / args.Tiles;
        int token0 = (Grid.IdxX - batch * args.Tiles) * Tile;

        Multiply<TShape>(args, shared, batch, token0);
        GpuIntrinsics.Synchronize();
        Finish<TShape>(args, shared.Cast<float>(), batch, token0);
        GpuIntrinsics.Synchronize();
        Soften<TShape>(args, shared.Cast<float>(), maxima, winners, sums, batch, token0);
    }

    // Leaves in shared memory the sums of each slice, [slice][group][token].
    private static void Multiply<TShape>(in GpuAssignArguments args, ArrayView<Quad> shared, int batch, int token0)
        where TShape : struct, IAssignShape
    {
        int octets = 1 << TShape.OctetBits;
        int slices = 1 << TShape.SliceBits;
        int chunks = 2 * slices;
        int keysAt = Tile * octets * chunks;

        // What the thread copies: one chunk of rows that are `octets` apart.
        int chunk = Group.IdxX & (chunks - 1);
        int row = Group.IdxX >> (TShape.SliceBits + 1);
        int lastToken = args.Tokens - 1 - token0;
        int firstKey = args.Keys.Index(batch, token0, 0);
        int firstQuery = args.Queries.Index(batch, 0, 0);

        // What it multiplies.
        int half = Group.IdxX & 1;
        int octet = (Group.IdxX >> 1) & (octets - 1);
        int slice = Group.IdxX >> (TShape.OctetBits + 1);

        RowTile queries = LoadEight(args.Queries, firstQuery, row, octets, args.Groups - 1, 4 * chunk, args.Depth);
        RowTile keys = LoadKeys<TShape>(args.Keys, firstKey, row, lastToken, 4 * chunk, args.Depth);
        RowTile sum = default;
        for (int k = 0; k < args.Depth; k += 4 * chunks)
        {
            StoreEight(shared, row * chunks + (chunk ^ (row & (chunks - 1))), octets * chunks, queries);
            StoreKeys<TShape>(shared, keysAt, row, chunk, keys);
            GpuIntrinsics.Synchronize();
            // The next step's numbers are under way while this one's are multiplied.
            int next = k + 4 * (chunks + chunk);
            queries = LoadEight(args.Queries, firstQuery, row, octets, args.Groups - 1, next, args.Depth);
            keys = LoadKeys<TShape>(args.Keys, firstKey, row, lastToken, next, args.Depth);
            for (int i = 0; i < 2; i++)
            {
                int c = i * slices + slice;
                sum = MultiplyAdd(
                    shared, octet * chunks + (c ^ (octet & (chunks - 1))), octets * chunks, keysAt + half * 4 * chunks + (c ^ (half * 4 & (chunks - 1))), chunks, sum);
            }
            GpuIntrinsics.Synchronize();
        }
        StoreEight(shared, (slice * octets * Tile + octet) * 2 + half, octets * 2, sum);
    }

    // Adds the slices' sums in ascending order: the logits of the tile, left where the first slice's were.
    private static void Finish<TShape>(in GpuAssignArguments args, ArrayView<float> logits, int batch, int token0)
        where TShape : struct, IAssignShape
    {
        int outputs = (Tile * Tile) << TShape.OctetBits;
        for (int i = Group.IdxX; i < outputs; i += 2 << (TShape.OctetBits + TShape.SliceBits))
        {
            float sum = logits[i];
            for (int slice = 1; slice < 1 << TShape.SliceBits; slice++)
            {
                sum += logits[slice * outputs + i];
            }
            sum *= args.Scale;
            logits[i] = sum;
            int group = i >> 3;
            int token = token0 + (i & (Tile - 1));
            if (group < args.Groups && token < args.Tokens)
            {
                args.Logits.Set(batch, group, token, sum);
            }
        }
    }

    // Part p of a token takes the groups p, p + parts, ...: neighbouring threads then have neighbouring banks.
    private static void Soften<TShape>(
        in GpuAssignArguments args, ArrayView<float> logits, ArrayView<float> maxima, ArrayView<int> winners, ArrayView<float> sums, int batch, int token0)
        where TShape : struct, IAssignShape
    {
        int parts = IntrinsicMath.Min((2 << (TShape.OctetBits + TShape.SliceBits)) / Tile, MostParts);
        int column = Group.IdxX & (Tile - 1);
        int part = Group.IdxX >> 3;
        int best = 0;
        float most = float.NaN;
        if (part < parts)
        {
            for (int g = part; g < args.Groups; g += parts)
            {
                float value = logits[g * Tile + column];
                if (GpuMath.IsAbove(value, most))
                {
                    best = g;
                    most = value;
                }
            }
            maxima[Group.IdxX] = most;
            winners[Group.IdxX] = best;
        }
        GpuIntrinsics.Synchronize();
        if (part < parts)
        {
            best = winners[column];
            most = maxima[column];
            for (int p = 1; p < parts; p++)
            {
                float value = maxima[p * Tile + column];
                int winner = winners[p * Tile + column];
                if (GpuMath.IsAbove(value, most) || (value == most && winner < best))
                {
                    best = winner;
                    most = value;
                }
            }
            float sum = 0f;
            for (int g = part; g < args.Groups; g += parts)
            {
                float e = GpuMath.Exp(logits[g * Tile + column] - most);
                logits[g * Tile + column] = e;
                sum += e;
            }
            sums[Group.IdxX] = sum;
        }
        GpuIntrinsics.Synchronize();
        int token = token0 + column;
        if (part < parts && token < args.Tokens)
        {
            float sum = sums[column];
            for (int p = 1; p < parts; p++)
            {
                sum += sums[p * Tile + column];
            }
            float inverse = 1f / sum;
            for (int g = part; g < args.Groups; g += parts)
            {
                args.Soft.Set(batch, g, token, logits[g * Tile + column] * inverse);
            }
            if (part == 0)
            {
                args.Index.Set(batch, 0, token, args.HasForced == 0 ? best : IntrinsicMath.Clamp(args.Forced.Get(batch, 0, token), 0, args.Groups - 1));
            }
        }
    }

    // A quad of eight rows. Rows beyond the last are copies of it, and nobody reads their logits; beyond the depth are zeros, which change no sum.
    private static RowTile LoadEight(in GpuFloats view, int first, int row, int step, int last, int k, int depth) => new()
    {
        R0 = Load(view, first, row, last, k, depth),
        R1 = Load(view, first, row + step, last, k, depth),
        R2 = Load(view, first, row + 2 * step, last, k, depth),
        R3 = Load(view, first, row + 3 * step, last, k, depth),
        R4 = Load(view, first, row + 4 * step, last, k, depth),
        R5 = Load(view, first, row + 5 * step, last, k, depth),
        R6 = Load(view, first, row + 6 * step, last, k, depth),
        R7 = Load(view, first, row + 7 * step, last, k, depth),
    };

    // With eight threads to a chunk each has one of its eight keys, with one thread it has all.
    private static RowTile LoadKeys<TShape>(in GpuFloats view, int first, int row, int last, int k, int depth)
        where TShape : struct, IAssignShape
        => TShape.OctetBits == 0 ? LoadEight(view, first, row, 1, last, k, depth) : new RowTile { R0 = Load(view, first, row, last, k, depth) };

    private static Quad Load(in GpuFloats view, int first, int row, int last, int k, int depth)
        => k < depth ? view.Data.Cast<Quad>()[(first + IntrinsicMath.Min(row, last) * view.RowStride + k) >> 2] : default;

    private static void StoreEight(ArrayView<Quad> shared, int at, int step, RowTile rows)
    {
        shared[at] = rows.R0;
        shared[at + step] = rows.R1;
        shared[at + 2 * step] = rows.R2;
        shared[at + 3 * step] = rows.R3;
        shared[at + 4 * step] = rows.R4;
        shared[at + 5 * step] = rows.R5;
        shared[at + 6 * step] = rows.R6;
        shared[at + 7 * step] = rows.R7;
    }

    private static void StoreKeys<TShape>(ArrayView<Quad> shared, int at, int row, int chunk, RowTile keys)
        where TShape : struct, IAssignShape
    {
        int chunks = 2 << TShape.SliceBits;
        if (TShape.OctetBits != 0)
        {
            shared[at + row * chunks + (chunk ^ (row & 4 & (chunks - 1)))] = keys.R0;
            return;
        }
        int mixed = chunk ^ (4 & (chunks - 1));
        shared[at + chunk] = keys.R0;
        shared[at + chunks + chunk] = keys.R1;
        shared[at + 2 * chunks + chunk] = keys.R2;
        shared[at + 3 * chunks + chunk] = keys.R3;
        shared[at + 4 * chunks + mixed] = keys.R4;
        shared[at + 5 * chunks + mixed] = keys.R5;
        shared[at + 6 * chunks + mixed] = keys.R6;
        shared[at + 7 * chunks + mixed] = keys.R7;
    }

    // Four numbers of K: eight queries by four keys.
    private static RowTile MultiplyAdd(ArrayView<Quad> shared, int query, int queryStep, int key, int keyStep, RowTile sum)
    {
        Quad k0 = shared[key];
        Quad k1 = shared[key + keyStep];
        Quad k2 = shared[key + 2 * keyStep];
        Quad k3 = shared[key + 3 * keyStep];
        return new RowTile
        {
            R0 = MultiplyAdd(shared[query], k0, k1, k2, k3, sum.R0),
            R1 = MultiplyAdd(shared[query + queryStep], k0, k1, k2, k3, sum.R1),
            R2 = MultiplyAdd(shared[query + 2 * queryStep], k0, k1, k2, k3, sum.R2),
            R3 = MultiplyAdd(shared[query + 3 * queryStep], k0, k1, k2, k3, sum.R3),
            R4 = MultiplyAdd(shared[query + 4 * queryStep], k0, k1, k2, k3, sum.R4),
            R5 = MultiplyAdd(shared[query + 5 * queryStep], k0, k1, k2, k3, sum.R5),
            R6 = MultiplyAdd(shared[query + 6 * queryStep], k0, k1, k2, k3, sum.R6),
            R7 = MultiplyAdd(shared[query + 7 * queryStep], k0, k1, k2, k3, sum.R7),
        };
    }

    private static Quad MultiplyAdd(Quad query, Quad k0, Quad k1, Quad k2, Quad k3, Quad sum) => new()
    {
        X = Dot(query, k0, sum.X),
        Y = Dot(query, k1, sum.Y),
        Z = Dot(query, k2, sum.Z),
        W = Dot(query, k3, sum.W),
    };

    private static float Dot(Quad a, Quad b, float sum) => GpuIntrinsics.MultiplyAdd(
        a.W, b.W, GpuIntrinsics.MultiplyAdd(a.Z, b.Z, GpuIntrinsics.MultiplyAdd(a.Y, b.Y, GpuIntrinsics.MultiplyAdd(a.X, b.X, sum))));
}
