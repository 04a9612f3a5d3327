using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

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
/// <remarks>
/// <para>One picture of 224, first stage: 64 x 196 logits of 384 numbers are 9.6 Mflop; 98,304 bytes of queries and 301,056 of keys are read, 101,136
/// written. 25 groups of threads, 98 at 448 (784 tokens), 8 in the second stage (8 groups, 64 tokens). A key is read once, 512 bytes of it at a time, a
/// query once a tile.</para>
/// <para>Why eight tokens: a tile of T asks a multiprocessor of 128 lanes for 192·T cycles of multiply-adds, and for 1,536 to read its queries at 64
/// bytes a cycle. A smaller tile would end no sooner, and 64 pictures would read their queries more often; one of 16 would read half of that, and take a
/// single picture twice as long on 13 multiprocessors.</para>
/// <para>Float32 in every precision: the arg-max moves a whole token from one group to another, and a logit rounded to 8 or 11 bits can change which. It
/// costs 0.13 % of the encoder's 7.97 GFLOP, which even at a fifteenth of the matrix instructions' rate (H100: 67 against 989 TFLOPS in its data sheet)
/// are 2 % of the products' least time.</para>
/// <para>Order of summation: chunk c of K (four numbers) belongs to slice c mod 16; a slice is one chain of multiply-adds, k ascending, and the slices
/// are added in ascending order. So it is for 8 groups and for 64; the simulator has 1 and 4 slices. Of the softmax's sum, thread p of n adds the groups
/// p, p + n, ...; then the threads' sums in ascending order.</para>
/// <para>A step is two chunks a slice, 128 numbers of K in 36 KiB; the next step's quads, nine a thread, are under way in registers meanwhile. Per chunk
/// a thread loads eight queries and four keys for 128 multiply-adds; slices instead of smaller parts of the tile keep that ratio and 256 threads at work.
/// Nothing here needs a warp: barriers alone. A multiprocessor must have room for two groups, that one may multiply while the other copies: 128 registers
/// a thread, none in memory.</para>
/// <para>Banks: chunk c of query g lies at c ^ (g mod 8), and a half warp reads eight queries, g mod 8 = 0 ... 7, at one c; chunk c of token t at c ^ (t
/// and 4), and a warp reads two tokens four apart, at two neighbouring c. Copies write whole rows. The slices' sums of a half warp are 16 neighbouring
/// quads. The softmax's threads read 32 neighbouring numbers.</para>
/// <para>Tried: with the assembler's own choice of registers sm_90 takes 133, sm_60 142, one group a multiprocessor; with both chunks of a step as
/// branches instead of a loop, or each row's address by itself, 162 to 168. Not taken: the product as a <see cref="MatMul"/> with a choosing thread a token (one
/// picture: 784 threads, each key read 16 times, four bytes at a time); K split over groups of threads, which would need a launch to add them; a thread a
/// token for the softmax, three walks down 64 groups while 248 threads wait.</para>
/// </remarks>
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
            Kernel<TShape>, checked(operation.Q.Batch * Tiles(operation.Tokens)), 2 << (TShape.OctetBits + TShape.SliceBits), new GpuAssignArguments(operation, binding),
            atOnce: 2);

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

        // What the thread copies: one chunk of rows that are `octets` apart.
        int chunk = Group.IdxX & (chunks - 1);
        int row = Group.IdxX >> (TShape.SliceBits + 1);
        ArrayView<Quad> queryData = args.Queries.Data.Cast<Quad>();
        ArrayView<Quad> keyData = args.Keys.Data.Cast<Quad>();
        int queryAt = (args.Queries.Index(batch, row, 0) >> 2) + chunk;
        int keyAt = (args.Keys.Index(batch, token0 + row, 0) >> 2) + chunk;
        int queryStep = (args.Queries.RowStride >> 2) << TShape.OctetBits;
        int keyStep = (args.Keys.RowStride >> 2) << TShape.OctetBits;
        int queryRows = (args.Groups - row + octets - 1) >> TShape.OctetBits;
        int keyRows = (args.Tokens - token0 - row + octets - 1) >> TShape.OctetBits;
        int left = args.Depth >> 2;

        // What it multiplies.
        int half = Group.IdxX & 1;
        int octet = (Group.IdxX >> 1) & (octets - 1);
        int slice = Group.IdxX >> (TShape.OctetBits + 1);

        int queryPlace = octet * chunks + (slice ^ (octet & (slices - 1)));
        int keyPlace = Tile * octets * chunks + half * 4 * chunks + (slice ^ (half * 4 & (slices - 1)));

        RowTile queries = LoadEight(queryData, queryAt, queryStep, chunk < left ? queryRows : 0);
        RowTile keys = LoadKeys<TShape>(keyData, keyAt, keyStep, chunk < left ? keyRows : 0);
        RowTile sum = default;
        for (; left > 0; left -= chunks)
        {
            StoreEight(shared, row * chunks + (chunk ^ (row & (slices - 1))), octets * chunks, queries);
            StoreKeys<TShape>(shared, Tile * octets * chunks, row, chunk, keys);
            GpuIntrinsics.Synchronize();
            // The next step's numbers are under way while this one's are multiplied.
            queryAt += chunks;
            keyAt += chunks;
            queries = LoadEight(queryData, queryAt, queryStep, chunk + chunks < left ? queryRows : 0);
            keys = LoadKeys<TShape>(keyData, keyAt, keyStep, chunk + chunks < left ? keyRows : 0);
            int end = IntrinsicMath.Min(chunks, left);
            for (int c = 0; slice + c < end; c += slices)
            {
                sum = MultiplyAdd(shared, queryPlace + c, octets * chunks, keyPlace + c, chunks, sum);
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

    // A quad of each of eight rows, `step` quads apart. Those from `rows` on are zeros: nobody reads the logits of rows that are not there, and chunks
    // beyond the depth are not multiplied.
    private static RowTile LoadEight(ArrayView<Quad> data, int at, int step, int rows) => new()
    {
        R0 = Load(data, at, rows > 0),
        R1 = Load(data, at + step, rows > 1),
        R2 = Load(data, at + 2 * step, rows > 2),
        R3 = Load(data, at + 3 * step, rows > 3),
        R4 = Load(data, at + 4 * step, rows > 4),
        R5 = Load(data, at + 5 * step, rows > 5),
        R6 = Load(data, at + 6 * step, rows > 6),
        R7 = Load(data, at + 7 * step, rows > 7),
    };

    // With eight threads to a chunk each has one of its eight keys, with one thread it has all.
    private static RowTile LoadKeys<TShape>(ArrayView<Quad> data, int at, int step, int rows)
        where TShape : struct, IAssignShape
        => TShape.OctetBits == 0 ? LoadEight(data, at, step, rows) : new RowTile { R0 = Load(data, at, rows > 0) };

    private static Quad Load(ArrayView<Quad> data, int at, bool there) => there ? data[at] : default;

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
        int four = 4 & ((1 << TShape.SliceBits) - 1);
        if (TShape.OctetBits != 0)
        {
            shared[at + row * chunks + (chunk ^ (row & four))] = keys.R0;
            return;
        }
        int mixed = chunk ^ four;
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
