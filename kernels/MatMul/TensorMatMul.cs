using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>A warp's 32 x 32 outputs: two bands of 16 rows by four of 8 columns, a quad a lane each.</summary>
internal struct WarpTile
{
    public Quad C00;
    public Quad C01;
    public Quad C02;
    public Quad C03;
    public Quad C10;
    public Quad C11;
    public Quad C12;
    public Quad C13;

    /// <summary>c plus two bands of rows by two pairs of columns: eight matrix instructions (of compute 7.5, sixteen), none of which waits for another.</summary>
    public static WarpTile MultiplyAdd<TFormat>(LeftFragment upper, LeftFragment lower, RightFragment left, RightFragment right, WarpTile c)
        where TFormat : struct, ITensorFormat
        => new()
        {
            C00 = TFormat.MultiplyLeft(c.C00, upper, left),
            C01 = TFormat.MultiplyRight(c.C01, upper, left),
            C02 = TFormat.MultiplyLeft(c.C02, upper, right),
            C03 = TFormat.MultiplyRight(c.C03, upper, right),
            C10 = TFormat.MultiplyLeft(c.C10, lower, left),
            C11 = TFormat.MultiplyRight(c.C11, lower, left),
            C12 = TFormat.MultiplyLeft(c.C12, lower, right),
            C13 = TFormat.MultiplyRight(c.C13, lower, right),
        };
}

/// <summary>
/// The product on tensor cores: float32 activations and packed weights come to shared memory in stages, each warp multiplies 32 x 32
/// outputs, and bias, activation and residual are applied on the way out. Sums are float32.
/// </summary>
/// <remarks>
/// <para>Order of summation: K is cut into <see cref="ITensorFormat.Slices"/> equal parts; each is summed in steps of the matrix
/// instruction, k ascending, and the parts are added in ascending order. Both shapes of group do just that, one at the same time and one
/// after another, so which of them runs (it depends on M, batch and device) does not show in the bits.</para>
/// <para>Activations stay float32 in shared memory and are rounded on their way to registers: the residual stream and the norms keep
/// their accuracy, at twice the shared memory traffic for A.</para>
/// <para>48 KiB of shared memory are what a group may have without asking: for 16-bit weights 12 KiB a stage in four stages (wide), or 6
/// KiB for each part of K in two (deep); the epilogue needs 16 KiB at most and takes the same place.</para>
/// <para>A row of A is 8 chunks of 16 bytes, chunk c of row r at c ^ 2(r mod 4): the lanes of an access of 64 bits (four rows by four
/// columns for half a warp) then touch each bank once; so do the copies in. Rows beyond M and columns beyond N are copies of the last,
/// and are not stored.</para>
/// </remarks>
internal static class TensorMatMul
{
    public const int GroupSize = 128;

    /// <summary>Numbers of K a stage holds.</summary>
    public const int StepK = 32;

    private const int WarpRows = 32;
    private const int SharedChunks = (48 << 10) / 16;

    /// <summary>True where the shapes suit: whole slices of K, weights that can be packed, rows that begin on 16 bytes.</summary>
    public static bool Fits(MatMul product, int slices)
        => product.K % (StepK * slices) == 0 && product.N % 4 == 0
        && product.TransposeB && product.B.Tensor.IsConstant && product.B.Offset == 0
        && product.B.Rows == product.B.Tensor.Rows && product.B.Columns == product.B.Tensor.Columns
        && AlignedQuads.Fits(product.A) && AlignedQuads.Fits(product.Y)
        && (product.Residual is not { } residual || AlignedQuads.Fits(residual));

    public static GpuStep Prepare<TFormat, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, ITensorFormat
        where TActivation : struct, IGpuActivation
        => (TFormat.WeightBytes, binding.Device.Facts.HasAsyncCopy) switch
        {
            (2, true) => Prepare<TFormat, AsyncTileCopy, DeepPairs, WidePairs, TActivation>(product, binding),
            (2, false) => Prepare<TFormat, PlainTileCopy, DeepPairs, WidePairs, TActivation>(product, binding),
            _ => Prepare<TFormat, AsyncTileCopy, DeepSingles, WideSingles, TActivation>(product, binding),
        };

    private static GpuStep Prepare<TFormat, TCopy, TDeep, TWide, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, ITensorFormat
        where TCopy : struct, ITileCopy
        where TDeep : struct, ITensorShape
        where TWide : struct, ITensorShape
        where TActivation : struct, IGpuActivation
    {
        // The wide shape reads less, the deep one fills the device: wide from two groups a multiprocessor on.
        bool wide = Groups<TWide>(product, out int wideColumns) >= 2L * binding.Device.Facts.Multiprocessors;
        int columnTiles = wideColumns;
        int groups = wide ? Groups<TWide>(product, out columnTiles) : Groups<TDeep>(product, out columnTiles);
        GpuFloats b = new(Pack<TFormat>(product, binding), 0, 0, 0);
        GpuMatMulArguments arguments = new(product, binding, b, transposed: true, groups / columnTiles / product.Y.Batch, columnTiles);
        return wide
            ? binding.Step<GpuMatMulArguments>(Kernel<TFormat, TCopy, TWide, TActivation>, groups, GroupSize, arguments)
            : binding.Step<GpuMatMulArguments>(Kernel<TFormat, TCopy, TDeep, TActivation>, groups, GroupSize, arguments);
    }

    private static int Groups<TShape>(MatMul product, out int columnTiles)
        where TShape : struct, ITensorShape
    {
        int rowTiles = (product.M + WarpRows * TShape.WarpsDown - 1) / (WarpRows * TShape.WarpsDown);
        columnTiles = (product.N + WarpRows * TShape.WarpsAcross - 1) / (WarpRows * TShape.WarpsAcross);
        return checked(product.Y.Batch * rowTiles * columnTiles);
    }

    // [N][K], as the checkpoint has it.
    private static ArrayView<float> Pack<TFormat>(MatMul product, GpuBinding binding)
        where TFormat : struct, ITensorFormat
    {
        Tensor weight = product.B.Tensor;
        return TFormat.WeightBytes == 4
            ? binding.Pack(weight.Name, weight.Count, destination => weight.Reader!(destination))
            : binding.Pack($"{weight.Name}/{TFormat.Format}/rows", weight.Count / 2, destination => NarrowWeights.Pack(weight, TFormat.Format, 0, destination));
    }

    private static void Kernel<TFormat, TCopy, TShape, TActivation>(GpuMatMulArguments args)
        where TFormat : struct, ITensorFormat
        where TCopy : struct, ITileCopy
        where TShape : struct, ITensorShape
        where TActivation : struct, IGpuActivation
    {
        ArrayView<Words> shared = SharedMemory.Allocate<Words>(SharedChunks);
        int columnTile = Grid.IdxX % args.ColumnTiles;
        int rest = Grid.IdxX / args.ColumnTiles;
        int row0 = rest % args.RowTiles * (WarpRows * TShape.WarpsDown);
        int batch = rest / args.RowTiles;
        int column0 = columnTile * (WarpRows * TShape.WarpsAcross);

        int warp = Group.IdxX >> 5;
        int lane = Group.IdxX & 31;
        int part = warp / (TShape.WarpsDown * TShape.WarpsAcross);
        int place = warp - part * (TShape.WarpsDown * TShape.WarpsAcross);
        int down = place / TShape.WarpsAcross * WarpRows;
        int across = (place - place / TShape.WarpsAcross * TShape.WarpsAcross) * WarpRows;

        int leftChunks = TShape.WarpsDown * WarpRows * 8;
        int rightChunks = TShape.WarpsAcross * WarpRows * (TFormat.WeightBytes * 2);
        int stageChunks = leftChunks + rightChunks;
        int begin = part * TShape.Stages * stageChunks;
        int k0 = args.K / TShape.WarpsDeep * part;
        int steps = args.K / (StepK * TShape.WarpsDeep);
        int sliceSteps = args.K / (StepK * TFormat.Slices);

        int into = 0;
        for (int i = 0; i < TShape.Stages - 1; i++)
        {
            if (i < steps)
            {
                Fill<TFormat, TCopy, TShape>(args, shared, begin + into * stageChunks, leftChunks, batch, row0, column0, place * 32 + lane, k0 + i * StepK);
            }
            TCopy.Commit();
            into++;
        }

        WarpTile total = default;
        WarpTile sum = default;
        int from = 0;
        int inSlice = 0;
        for (int i = 0; i < steps; i++)
        {
            if (TShape.Stages == 2)
            {
                TCopy.Wait();
            }
            else if (TShape.Stages == 3)
            {
                TCopy.WaitForAllButOne();
            }
            else
            {
                TCopy.WaitForAllButTwo();
            }
            // This step's numbers are here, from every thread; and all have done with the stage that is filled next.
            GpuIntrinsics.Synchronize();
            if (i + TShape.Stages - 1 < steps)
            {
                Fill<TFormat, TCopy, TShape>(
                    args, shared, begin + into * stageChunks, leftChunks, batch, row0, column0, place * 32 + lane, k0 + (i + TShape.Stages - 1) * StepK);
            }
            TCopy.Commit();
            into = into + 1 == TShape.Stages ? 0 : into + 1;

            int at = begin + from * stageChunks;
            sum = Multiply<TFormat>(shared, at, leftChunks, down, across, 0, sum);
            sum = Multiply<TFormat>(shared, at, leftChunks, down, across, 1, sum);
            from = from + 1 == TShape.Stages ? 0 : from + 1;
            inSlice++;
            if (inSlice == sliceSteps)
            {
                total = Add(total, sum);
                sum = default;
                inSlice = 0;
            }
        }

        // The sums go through shared memory, so that whole quads of a row are written, and K's parts meet.
        TCopy.Wait();
        GpuIntrinsics.Synchronize();
        int width = TShape.WarpsAcross * WarpRows;
        int tile = TShape.WarpsDown * WarpRows * width;
        Spill(shared, part * tile, width, down, across, total);
        GpuIntrinsics.Synchronize();
        for (int quad = Group.IdxX; quad < tile / 4; quad += GroupSize)
        {
            int row = quad / (width / 4);
            int column = quad - row * (width / 4);
            int chunk = row * (width / 4) + (column ^ ((row & 3) << 1));
            Quad value = shared.Cast<Quad>()[chunk];
            for (int p = 1; p < TShape.WarpsDeep; p++)
            {
                value = Quad.Add(value, shared.Cast<Quad>()[p * (tile / 4) + chunk]);
            }
            if (column0 + column * 4 < args.N)
            {
                GpuMatMul.Store<Quad, AlignedQuads, TActivation>(args, batch, row0 + row, column0 + column * 4, value);
            }
        }
    }

    // One step of K, A and B, by the threads of one part.
    private static void Fill<TFormat, TCopy, TShape>(
        in GpuMatMulArguments args, ArrayView<Words> shared, int at, int leftChunks, int batch, int row0, int column0, int thread, int k)
        where TFormat : struct, ITensorFormat
        where TCopy : struct, ITileCopy
        where TShape : struct, ITensorShape
    {
        ArrayView<Words> left = args.A.Data.Cast<Words>();
        ArrayView<Words> right = args.B.Data.Cast<Words>();
        for (int i = 0; i < 8 / TShape.WarpsAcross; i++)
        {
            int index = i * (32 * TShape.WarpsDown * TShape.WarpsAcross) + thread;
            int row = index >> 3;
            int chunk = index & 7;
            int source = args.A.Index(batch, IntrinsicMath.Min(row0 + row, args.M - 1), k) >> 2;
            TCopy.Copy(ref shared[at + row * 8 + (chunk ^ ((row & 3) << 1))], ref left[source + chunk]);
        }
        for (int i = 0; i < TFormat.WeightBytes * 2 / TShape.WarpsDown; i++)
        {
            int index = i * (32 * TShape.WarpsDown * TShape.WarpsAcross) + thread;
            int row = TFormat.WeightBytes == 4 ? index >> 3 : index >> 2;
            int chunk = index & (TFormat.WeightBytes * 2 - 1);
            int first = IntrinsicMath.Min(column0 + row, args.N - 1) * args.K + k;
            int source = TFormat.WeightBytes == 4 ? first >> 2 : first >> 3;
            TCopy.Copy(ref shared[at + leftChunks + TFormat.WeightChunk(row, chunk)], ref right[source + chunk]);
        }
    }

    // 16 of the step's 32 numbers of K.
    private static WarpTile Multiply<TFormat>(ArrayView<Words> shared, int at, int leftChunks, int down, int across, int half, WarpTile c)
        where TFormat : struct, ITensorFormat
    {
        LeftFragment upper = Left<TFormat>(shared, at, down, half);
        LeftFragment lower = Left<TFormat>(shared, at, down + 16, half);
        RightFragment left = TFormat.Right(shared, at + leftChunks, across, half);
        RightFragment right = TFormat.Right(shared, at + leftChunks, across + 16, half);
        return WarpTile.MultiplyAdd<TFormat>(upper, lower, left, right, c);
    }

    private static LeftFragment Left<TFormat>(ArrayView<Words> shared, int at, int row0, int half)
        where TFormat : struct, ITensorFormat
    {
        int lane = Group.IdxX & 31;
        int row = row0 + (lane >> 2);
        int chunk = half * 4 + ((lane & 3) >> 1);
        return TFormat.Left(
            Pair(shared, at, row, chunk, lane), Pair(shared, at, row + 8, chunk, lane),
            Pair(shared, at, row, chunk + 2, lane), Pair(shared, at, row + 8, chunk + 2, lane));
    }

    private static FloatPair Pair(ArrayView<Words> shared, int at, int row, int chunk, int lane)
        => shared.Cast<FloatPair>()[(at + row * 8 + (chunk ^ ((row & 3) << 1))) * 2 + (lane & 1)];

    private static WarpTile Add(WarpTile a, WarpTile b) => new()
    {
        C00 = Quad.Add(a.C00, b.C00),
        C01 = Quad.Add(a.C01, b.C01),
        C02 = Quad.Add(a.C02, b.C02),
        C03 = Quad.Add(a.C03, b.C03),
        C10 = Quad.Add(a.C10, b.C10),
        C11 = Quad.Add(a.C11, b.C11),
        C12 = Quad.Add(a.C12, b.C12),
        C13 = Quad.Add(a.C13, b.C13),
    };

    private static void Spill(ArrayView<Words> shared, int at, int width, int down, int across, WarpTile tile)
    {
        Spill(shared, at, width, down, across, tile.C00);
        Spill(shared, at, width, down, across + 8, tile.C01);
        Spill(shared, at, width, down, across + 16, tile.C02);
        Spill(shared, at, width, down, across + 24, tile.C03);
        Spill(shared, at, width, down + 16, across, tile.C10);
        Spill(shared, at, width, down + 16, across + 8, tile.C11);
        Spill(shared, at, width, down + 16, across + 16, tile.C12);
        Spill(shared, at, width, down + 16, across + 24, tile.C13);
    }

    private static void Spill(ArrayView<Words> shared, int at, int width, int row0, int column0, Quad c)
    {
        int lane = Group.IdxX & 31;
        int row = row0 + (lane >> 2);
        int chunk = column0 / 4 + ((lane & 3) >> 1);
        int first = at / 4 + row * (width / 4);
        ArrayView<FloatPair> pairs = shared.Cast<FloatPair>();
        pairs[(first + (chunk ^ ((row & 3) << 1))) * 2 + (lane & 1)] = new FloatPair { X = c.X, Y = c.Y };
        pairs[(first + 8 * (width / 4) + (chunk ^ ((row & 3) << 1))) * 2 + (lane & 1)] = new FloatPair { X = c.Z, Y = c.W };
    }
}
