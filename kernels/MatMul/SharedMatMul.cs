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
/// The float32 product on CUDA where there is work for every multiprocessor: 128 threads compute 64 x 64 outputs, 8 x 4 each in registers, from
/// tiles in shared memory.
/// </summary>
/// <remarks>
/// <para>Per four steps of k a thread loads eight quads of A, which its neighbours share, and four of B for 128 multiply-adds; each number of
/// global memory is used 64 times, where <see cref="GpuMatMul"/> uses it 4 or 16 times. It takes the same weights and adds in the same order, so both give the same bits:
/// which of them runs depends on M, batch and device.</para>
/// <para>Copies run two stages of 32 steps of k ahead; three stages of A and B are 48 KiB. A row of A is 8 chunks of 16 bytes, chunk c of row r at c ^ (r / 8 mod 8): the
/// two rows that a warp reads at once, 8 apart, then lie in different banks.</para>
/// </remarks>
internal static class SharedMatMul
{
    public const int GroupSize = 128;

    private const int Tile = 64;
    private const int StepK = 32;
    private const int Stages = 3;
    private const int LeftChunks = Tile * StepK / 4;
    private const int StageChunks = 2 * LeftChunks;

    /// <summary>True where the shape suits and there is a tile for every multiprocessor.</summary>
    public static bool Fits(MatMul product, DeviceFacts facts)
        => product.K % StepK == 0 && product.N % 4 == 0
        && product.TransposeB && product.B.Tensor.IsConstant && product.B.Offset == 0
        && product.B.Rows == product.B.Tensor.Rows && product.B.Columns == product.B.Tensor.Columns
        && AlignedQuads.Fits(product.A) && AlignedQuads.Fits(product.Y)
        && (product.Residual is not { } residual || AlignedQuads.Fits(residual))
        && Groups(product) >= facts.Multiprocessors;

    public static GpuStep Prepare<TActivation>(MatMul product, GpuBinding binding)
        where TActivation : struct, IGpuActivation
    {
        GpuFloats b = new(GpuMatMul.PackTransposed(product.B.Tensor, binding), 0, 0, product.N);
        GpuMatMulArguments arguments = new(product, binding, b, transposed: false, Tiles(product.M), Tiles(product.N));
        return binding.Device.Facts.HasAsyncCopy
            ? binding.Step<GpuMatMulArguments>(Kernel<AsyncTileCopy, TActivation>, Groups(product), GroupSize, arguments)
            : binding.Step<GpuMatMulArguments>(Kernel<PlainTileCopy, TActivation>, Groups(product), GroupSize, arguments);
    }

    private static int Groups(MatMul product) => checked(product.Y.Batch * Tiles(product.M) * Tiles(product.N));

    private static int Tiles(int size) => (size + Tile - 1) / Tile;

    private static void Kernel<TCopy, TActivation>(GpuMatMulArguments args)
        where TCopy : struct, ITileCopy
        where TActivation : struct, IGpuActivation
    {
        ArrayView<Words> shared = SharedMemory.Allocate<Words>(Stages * StageChunks);
        int columnTile = Grid.IdxX % args.ColumnTiles;
        int rest = Grid.IdxX / args.ColumnTiles;
        int row0 = rest % args.RowTiles * Tile;
        int batch = rest / args.RowTiles;
        int column0 = columnTile * Tile;
        int rows = Group.IdxX >> 4;
        int quad = Group.IdxX & 15;
        int steps = args.K / StepK;

        for (int i = 0; i < Stages - 1; i++)
        {
            if (i < steps)
            {
                Fill<TCopy>(args, shared, i * StageChunks, batch, row0, column0, i * StepK);
            }
            TCopy.Commit();
        }
        RowTile sum = default;
        int from = 0;
        int into = Stages - 1;
        for (int i = 0; i < steps; i++)
        {
            TCopy.WaitForAllButOne();
            // This step's numbers are here, from every thread; and all have done with the stage that is filled next.
            GpuIntrinsics.Synchronize();
            if (i + Stages - 1 < steps)
            {
                Fill<TCopy>(args, shared, into * StageChunks, batch, row0, column0, (i + Stages - 1) * StepK);
            }
            TCopy.Commit();
            int left = from * StageChunks;
            int right = left + LeftChunks;
            for (int chunk = 0; chunk < StepK / 4; chunk++)
            {
                sum = Multiply(shared.Cast<Quad>(), left + rows * 64 + (chunk ^ rows), right + chunk * 64 + quad, sum);
            }
            from = from + 1 == Stages ? 0 : from + 1;
            into = into + 1 == Stages ? 0 : into + 1;
        }

        int row = row0 + rows * 8;
        int column = column0 + quad * 4;
        if (column < args.N)
        {
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row, column, sum.R0);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 1, column, sum.R1);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 2, column, sum.R2);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 3, column, sum.R3);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 4, column, sum.R4);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 5, column, sum.R5);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 6, column, sum.R6);
            GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row + 7, column, sum.R7);
        }
    }

    // Rows beyond M and columns beyond N are copies of the last, and are not stored.
    private static void Fill<TCopy>(in GpuMatMulArguments args, ArrayView<Words> shared, int at, int batch, int row0, int column0, int k)
        where TCopy : struct, ITileCopy
    {
        ArrayView<Words> left = args.A.Data.Cast<Words>();
        ArrayView<Words> right = args.B.Data.Cast<Words>();
        for (int i = 0; i < LeftChunks / GroupSize; i++)
        {
            int index = i * GroupSize + Group.IdxX;
            int row = index >> 3;
            int chunk = index & 7;
            int source = args.A.Index(batch, IntrinsicMath.Min(row0 + row, args.M - 1), k) >> 2;
            TCopy.Copy(ref shared[at + row * 8 + (chunk ^ (row >> 3))], ref left[source + chunk]);
        }
        for (int i = 0; i < LeftChunks / GroupSize; i++)
        {
            int index = i * GroupSize + Group.IdxX;
            int row = index >> 4;
            int column = IntrinsicMath.Min(column0 + (index & 15) * 4, args.N - 4);
            TCopy.Copy(ref shared[at + LeftChunks + index], ref right[((k + row) * args.N + column) >> 2]);
        }
    }

    // Four steps of k: eight rows of A, 8 chunks apart, by four rows of B, 16 chunks apart.
    private static RowTile Multiply(ArrayView<Quad> shared, int left, int right, RowTile sum)
    {
        Quad b0 = shared[right];
        Quad b1 = shared[right + 16];
        Quad b2 = shared[right + 32];
        Quad b3 = shared[right + 48];
        return new RowTile
        {
            R0 = Multiply(shared[left], b0, b1, b2, b3, sum.R0),
            R1 = Multiply(shared[left + 8], b0, b1, b2, b3, sum.R1),
            R2 = Multiply(shared[left + 16], b0, b1, b2, b3, sum.R2),
            R3 = Multiply(shared[left + 24], b0, b1, b2, b3, sum.R3),
            R4 = Multiply(shared[left + 32], b0, b1, b2, b3, sum.R4),
            R5 = Multiply(shared[left + 40], b0, b1, b2, b3, sum.R5),
            R6 = Multiply(shared[left + 48], b0, b1, b2, b3, sum.R6),
            R7 = Multiply(shared[left + 56], b0, b1, b2, b3, sum.R7),
        };
    }

    private static Quad Multiply(Quad a, Quad b0, Quad b1, Quad b2, Quad b3, Quad sum)
        => Quad.MultiplyAdd(b3, a.W, Quad.MultiplyAdd(b2, a.Z, Quad.MultiplyAdd(b1, a.Y, Quad.MultiplyAdd(b0, a.X, sum))));
}
