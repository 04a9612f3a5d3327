using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>Eight rows by four columns of a thread's outputs.</summary>
internal struct RowTile
{
    public Quad R0;
    public Quad R1;
    public Quad R2;
    public Quad R3;
    public Quad R4;
    public Quad R5;
    public Quad R6;
    public Quad R7;
}

/// <summary>
/// The float32 product on CUDA: a thread computes 8 x 4 outputs in registers from tiles in shared memory, 128 of them 64 x 64 outputs side by side, or
/// 32 x 32 with a quarter of K for each warp.
/// </summary>
/// <remarks>
/// <para>Order of summation: K is cut into four equal parts; each is summed k ascending in one accumulator, and the parts are added in ascending
/// order. In the wide shape a thread does so one part after another, in the deep one four warps do at once: which of them runs (it depends on M,
/// batch and device) does not show in the bits. Shapes that suit neither take <see cref="GpuMatMul"/>, whatever M and batch are.</para>
/// <para>Per four steps of k a thread loads eight quads of A and four of B for 128 multiply-adds. A number from global memory is used 64
/// times (wide) or 32 times (deep), where <see cref="GpuMatMul"/> uses it 4 or 16 times. Sum and total are 64 registers; the fragments of four steps of k
/// are 20 more.</para>
/// <para>Copies run two stages ahead; three stages of A and B are 48 KiB: 16 KiB each (wide), or 4 KiB for each part of K (deep). Before compute 8.0 the next stage comes to
/// registers while one is multiplied, 32 of them, and goes to shared memory then: two stages, and two groups to a multiprocessor of 64 KiB instead of one.</para>
/// <para>No bank is met twice. An access of 16 bytes is served for eight lanes at a time. Of B these are eight neighbouring quads, each bank once; of A one address
/// (and a warp's two addresses, or four, lie in different banks, for they are eight rows apart and chunk c of row r is at c ^ (r / 8), so nothing is
/// lost where more lanes are served at once). Copies in and the parts' sums are 128 bytes in a row for eight lanes, whatever their order.</para>
/// </remarks>
internal static class SharedMatMul
{
    public const int GroupSize = 128;

    /// <summary>Parts that K is cut into.</summary>
    public const int Parts = 4;

    /// <summary>True where the shape suits: whole steps of K in every part, weights that can be packed, rows that begin on 16 bytes. Neither M nor batch count.</summary>
    public static bool Fits(MatMul product)
        => product.K % (Parts * SharedTiles.StepK<WideShared>()) == 0 && product.N % 4 == 0
        && product.TransposeB && product.B.Tensor.IsConstant && product.B.Offset == 0
        && product.B.Rows == product.B.Tensor.Rows && product.B.Columns == product.B.Tensor.Columns
        && AlignedQuads.Fits(product.A) && AlignedQuads.Fits(product.Y)
        && (product.Residual is not { } residual || AlignedQuads.Fits(residual));

    public static GpuStep Prepare<TActivation>(MatMul product, GpuBinding binding)
        where TActivation : struct, IGpuActivation
        => binding.Device.Facts.HasAsyncCopy ? Prepare<AsyncTileCopy, TActivation>(product, binding) : Prepare<PlainTileCopy, TActivation>(product, binding);

    private static GpuStep Prepare<TCopy, TActivation>(MatMul product, GpuBinding binding)
        where TCopy : struct, ITileCopy
        where TActivation : struct, IGpuActivation
    {
        // The wide shape reads half as much, the deep one fills the device: wide from two groups a multiprocessor on.
        bool wide = Groups<WideShared>(product) >= 2L * binding.Device.Facts.Multiprocessors;
        GpuFloats b = new(GpuMatMul.PackTransposed(product.B.Tensor, binding), 0, 0, product.N);
        return wide
            ? binding.Step<GpuMatMulArguments>(Kernel<TCopy, WideShared, TActivation>, Groups<WideShared>(product), GroupSize, Arguments<WideShared>(product, binding, b))
            : binding.Step<GpuMatMulArguments>(Kernel<TCopy, DeepShared, TActivation>, Groups<DeepShared>(product), GroupSize, Arguments<DeepShared>(product, binding, b));
    }

    private static GpuMatMulArguments Arguments<TShape>(MatMul product, GpuBinding binding, GpuFloats b)
        where TShape : struct, ISharedShape
        => new(product, binding, b, transposed: false, GpuMatMul.TileRows(product), Tiles<TShape>(GpuMatMul.TileRows(product)), Tiles<TShape>(product.N));

    private static int Groups<TShape>(MatMul product)
        where TShape : struct, ISharedShape
        => checked(product.Y.Batch * product.M / GpuMatMul.TileRows(product) * Tiles<TShape>(GpuMatMul.TileRows(product)) * Tiles<TShape>(product.N));

    private static int Tiles<TShape>(int size)
        where TShape : struct, ISharedShape
        => (size + SharedTiles.Tile<TShape>() - 1) / SharedTiles.Tile<TShape>();

    private static void Kernel<TCopy, TShape, TActivation>(GpuMatMulArguments args)
        where TCopy : struct, ITileCopy
        where TShape : struct, ISharedShape
        where TActivation : struct, IGpuActivation
    {
        ArrayView<Words> shared = SharedMemory.Allocate<Words>(TShape.Teams * SharedTiles.Stages<TCopy>() * 2 * SharedTiles.LeftChunks<TShape>());
        int columnTile = Grid.IdxX % args.ColumnTiles;
        int rest = Grid.IdxX / args.ColumnTiles;
        int row0 = rest % args.RowTiles * SharedTiles.Tile<TShape>();
        int batch = rest / args.RowTiles;
        int column0 = columnTile * SharedTiles.Tile<TShape>();

        int team = Group.IdxX >> TShape.TeamBits;
        int thread = Group.IdxX & ((1 << TShape.TeamBits) - 1);
        int rows = thread >> TShape.QuadBits;
        int quad = thread & ((1 << TShape.QuadBits) - 1);
        int stageChunks = 2 * SharedTiles.LeftChunks<TShape>();
        int stages = SharedTiles.Stages<TCopy>();
        int begin = team * (stages * stageChunks);
        int k0 = args.K / TShape.Teams * team;
        int steps = args.K / (SharedTiles.StepK<TShape>() * TShape.Teams);
        int partSteps = args.K / (SharedTiles.StepK<TShape>() * Parts);

        for (int i = 0; i < stages - 1; i++)
        {
            if (i < steps)
            {
                SharedTiles.Fill<TCopy, TShape>(args, shared, begin + i * stageChunks, thread, batch, row0, column0, k0 + i * SharedTiles.StepK<TShape>());
            }
            TCopy.Commit();
        }
        RowTile total = default;
        RowTile sum = default;
        int from = 0;
        int into = stages - 1;
        int inPart = 0;
        for (int i = 0; i < steps; i++)
        {
            TCopy.WaitForAllButOne();
            // This step's numbers are here, from every thread; and all have done with the stage that is filled next.
            GpuIntrinsics.Synchronize();
            bool more = i + stages - 1 < steps;
            int next = k0 + (i + stages - 1) * SharedTiles.StepK<TShape>();
            HeldChunks held = default;
            if (more && TCopy.ThroughRegisters)
            {
                held = SharedTiles.Load<TShape>(args, thread, batch, row0, column0, next);
            }
            else if (more)
            {
                SharedTiles.Fill<TCopy, TShape>(args, shared, begin + into * stageChunks, thread, batch, row0, column0, next);
            }
            TCopy.Commit();
            int left = begin + from * stageChunks;
            int right = left + SharedTiles.LeftChunks<TShape>();
            for (int chunk = 0; chunk < 1 << TShape.StepBits; chunk++)
            {
                sum = Multiply<TShape>(
                    shared.Cast<Quad>(), left + (rows << (3 + TShape.StepBits)) + (chunk ^ rows), right + (chunk << (2 + TShape.QuadBits)) + quad, sum);
            }
            if (more && TCopy.ThroughRegisters)
            {
                SharedTiles.Store<TShape>(held, shared, begin + into * stageChunks, thread);
            }
            from = from + 1 == stages ? 0 : from + 1;
            into = into + 1 == stages ? 0 : into + 1;
            inPart++;
            if (inPart == partSteps)
            {
                total = Add(total, sum);
                sum = default;
                inPart = 0;
            }
        }

        if (TShape.Teams == 1)
        {
            Store<TActivation>(args, batch, row0 + rows * 8, column0 + quad * 4, total);
        }
        else
        {
            // Every warp has read its last stage; the parts take the same place.
            GpuIntrinsics.Synchronize();
            Spill<TShape>(shared.Cast<Quad>(), (team << (2 * TShape.QuadBits + 2)) + (rows << (3 + TShape.QuadBits)) + quad, total);
            GpuIntrinsics.Synchronize();
            StoreMerged<TShape, TActivation>(args, shared.Cast<Quad>(), batch, row0, column0);
        }
    }

    // Four steps of k: eight rows of A by four rows of B.
    private static RowTile Multiply<TShape>(ArrayView<Quad> shared, int left, int right, RowTile sum)
        where TShape : struct, ISharedShape
    {
        int row = 1 << TShape.StepBits;
        Quad b0 = shared[right];
        Quad b1 = shared[right + (1 << TShape.QuadBits)];
        Quad b2 = shared[right + (2 << TShape.QuadBits)];
        Quad b3 = shared[right + (3 << TShape.QuadBits)];
        return new RowTile
        {
            R0 = Multiply(shared[left], b0, b1, b2, b3, sum.R0),
            R1 = Multiply(shared[left + row], b0, b1, b2, b3, sum.R1),
            R2 = Multiply(shared[left + 2 * row], b0, b1, b2, b3, sum.R2),
            R3 = Multiply(shared[left + 3 * row], b0, b1, b2, b3, sum.R3),
            R4 = Multiply(shared[left + 4 * row], b0, b1, b2, b3, sum.R4),
            R5 = Multiply(shared[left + 5 * row], b0, b1, b2, b3, sum.R5),
            R6 = Multiply(shared[left + 6 * row], b0, b1, b2, b3, sum.R6),
            R7 = Multiply(shared[left + 7 * row], b0, b1, b2, b3, sum.R7),
        };
    }

    private static Quad Multiply(Quad a, Quad b0, Quad b1, Quad b2, Quad b3, Quad sum)
        => Quad.MultiplyAdd(b3, a.W, Quad.MultiplyAdd(b2, a.Z, Quad.MultiplyAdd(b1, a.Y, Quad.MultiplyAdd(b0, a.X, sum))));

    private static RowTile Add(RowTile a, RowTile b) => new()
    {
        R0 = Quad.Add(a.R0, b.R0),
        R1 = Quad.Add(a.R1, b.R1),
        R2 = Quad.Add(a.R2, b.R2),
        R3 = Quad.Add(a.R3, b.R3),
        R4 = Quad.Add(a.R4, b.R4),
        R5 = Quad.Add(a.R5, b.R5),
        R6 = Quad.Add(a.R6, b.R6),
        R7 = Quad.Add(a.R7, b.R7),
    };

    private static void Store<TActivation>(in GpuMatMulArguments args, int batch, int row, int column, RowTile tile)
        where TActivation : struct, IGpuActivation
    {
        if (column < args.N)
        {
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row, column, tile.R0);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 1, column, tile.R1);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 2, column, tile.R2);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 3, column, tile.R3);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 4, column, tile.R4);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 5, column, tile.R5);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 6, column, tile.R6);
            GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row + 7, column, tile.R7);
        }
    }

    private static void Spill<TShape>(ArrayView<Quad> shared, int at, RowTile tile)
        where TShape : struct, ISharedShape
    {
        int row = 1 << TShape.QuadBits;
        shared[at] = tile.R0;
        shared[at + row] = tile.R1;
        shared[at + 2 * row] = tile.R2;
        shared[at + 3 * row] = tile.R3;
        shared[at + 4 * row] = tile.R4;
        shared[at + 5 * row] = tile.R5;
        shared[at + 6 * row] = tile.R6;
        shared[at + 7 * row] = tile.R7;
    }

    // From nothing on, as the wide shape adds: a part's -0 becomes 0.
    private static void StoreMerged<TShape, TActivation>(in GpuMatMulArguments args, ArrayView<Quad> shared, int batch, int row0, int column0)
        where TShape : struct, ISharedShape
        where TActivation : struct, IGpuActivation
    {
        int tile = 1 << (2 * TShape.QuadBits + 2);
        for (int index = Group.IdxX; index < tile; index += GroupSize)
        {
            Quad value = default;
            for (int part = 0; part < Parts; part++)
            {
                value = Quad.Add(value, shared[part * tile + index]);
            }
            int column = column0 + (index & ((1 << TShape.QuadBits) - 1)) * 4;
            if (column < args.N)
            {
                GpuMatMul.StoreTiled<AlignedQuads, TActivation>(args, batch, row0 + (index >> TShape.QuadBits), column, value);
            }
        }
    }
}
