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
/// The product on tensor cores: activations and packed weights come to shared memory in stages, each warp multiplies 32 x 32
/// outputs, and bias, activation and residual are applied on the way out. Sums are float32.
/// </summary>
/// <remarks>
/// <para>Order of summation: K is cut into <see cref="ITensorFormat.Slices"/> equal parts; each is summed in steps of the matrix
/// instruction, k ascending, and the parts are added in ascending order. Both shapes of group do just that, one at the same time and one
/// after another, so which of them runs (it depends on M, batch and device) does not show in the bits.</para>
/// <para>A in 16 bits (<see cref="PairTile"/>) is what the operation before rounded; in float32 (<see cref="FloatTile"/>) it is rounded on its way to
/// registers, by every warp that reads it: the same bits. The former takes half the bytes on each way, and of a warp's 16 x 32 outputs a conversion less for each
/// of A's words, which multiprocessors of compute 8.x make at a sixteenth of the rate at which they multiply.</para>
/// <para>48 KiB of shared memory are what a group may have without asking. With A in float32 and weights of 16 bits: 12 KiB a stage in four stages (wide), or 6
/// KiB for each part of K in two (deep); with both in 16 bits 8 KiB in four, or 4 KiB in three. The epilogue needs 16 KiB at most and takes the same place.</para>
/// <para>Rows beyond M and columns beyond N are copies of the last, and are not stored.</para>
/// </remarks>
internal static class TensorMatMul
{
    public const int GroupSize = 128;

    /// <summary>Numbers of K a stage holds.</summary>
    public const int StepK = 32;

    private const int WarpRows = 32;

    /// <summary>True where the shapes suit: whole slices of K, weights that can be packed, rows that begin on 16 bytes.</summary>
    public static bool Fits(MatMul product, int slices)
        => product.K % (StepK * slices) == 0 && product.N % 4 == 0
        && product.TransposeB && product.B.Tensor.IsConstant && product.B.Offset == 0
        && product.B.Rows == product.B.Tensor.Rows && product.B.Columns == product.B.Tensor.Columns
        && AlignedQuads.Fits(product.A) && AlignedQuads.Fits(product.Y)
        && (product.Residual is not { } residual || AlignedQuads.Fits(residual));

    /// <summary>True where A can be read as 16-bit numbers: rows begin on 16 bytes of them too.</summary>
    public static bool ReadsNarrow(MatMul product) => ((product.A.Offset | product.A.BatchStride | product.A.RowStride) & 7) == 0;

    /// <summary>By a 16-bit format; A and Y are as their tensors say.</summary>
    public static GpuStep Pairs<TFormat, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, IPairFormat
        where TActivation : struct, IGpuActivation
        => product.Y.Tensor.IsNarrow
            ? Pairs<TFormat, NarrowQuads<TFormat>, TActivation>(product, binding)
            : Pairs<TFormat, AlignedQuads, TActivation>(product, binding);

    /// <summary>By TensorFloat32, whose factors are both float32 in memory.</summary>
    public static GpuStep Singles<TActivation>(MatMul product, GpuBinding binding)
        where TActivation : struct, IGpuActivation
        => Prepare<Float32Tensors, FloatTile, AsyncTileCopy, DeepSingles, WideSingles, AlignedQuads, TActivation>(product, binding);

    private static GpuStep Pairs<TFormat, TStore, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, IPairFormat
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
        => (product.A.Tensor.IsNarrow, binding.Device.Facts.HasAsyncCopy) switch
        {
            (true, true) => Prepare<TFormat, PairTile, AsyncTileCopy, DeepHalves, WidePairs, TStore, TActivation>(product, binding),
            (true, false) => Prepare<TFormat, PairTile, PlainTileCopy, DeepPairs, WidePairs, TStore, TActivation>(product, binding),
            (false, true) => Prepare<TFormat, FloatTile, AsyncTileCopy, DeepPairs, WidePairs, TStore, TActivation>(product, binding),
            (false, false) => Prepare<TFormat, FloatTile, PlainTileCopy, DeepPairs, WidePairs, TStore, TActivation>(product, binding),
        };

    private static GpuStep Prepare<TFormat, TLeft, TCopy, TDeep, TWide, TStore, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
        where TCopy : struct, ITileCopy
        where TDeep : struct, ITensorShape
        where TWide : struct, ITensorShape
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        // The wide shape reads less, the deep one fills the device: wide from two groups a multiprocessor on.
        bool wide = Groups<TWide>(product, out int wideColumns) >= 2L * binding.Device.Facts.Multiprocessors;
        int columnTiles = wideColumns;
        int groups = wide ? Groups<TWide>(product, out columnTiles) : Groups<TDeep>(product, out columnTiles);
        GpuFloats b = new(Pack<TFormat>(product, binding), 0, 0, 0);
        GpuMatMulArguments arguments = new(product, binding, b, transposed: true, groups / columnTiles / product.Y.Batch, columnTiles);
        return wide
            ? binding.Step<GpuMatMulArguments>(Kernel<TFormat, TLeft, TCopy, TWide, TStore, TActivation>, groups, GroupSize, arguments)
            : binding.Step<GpuMatMulArguments>(Kernel<TFormat, TLeft, TCopy, TDeep, TStore, TActivation>, groups, GroupSize, arguments);
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

    private static void Kernel<TFormat, TLeft, TCopy, TShape, TStore, TActivation>(GpuMatMulArguments args)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
        where TCopy : struct, ITileCopy
        where TShape : struct, ITensorShape
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        ArrayView<Words> shared = SharedMemory.Allocate<Words>(
            TShape.WarpsDeep * TShape.Stages * WarpRows * (TShape.WarpsDown * TLeft.Chunks + TShape.WarpsAcross * TFormat.WeightBytes * 2));
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

        int leftChunks = TShape.WarpsDown * WarpRows * TLeft.Chunks;
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
                Fill<TFormat, TLeft, TCopy, TShape>(args, shared, begin + into * stageChunks, leftChunks, batch, row0, column0, place * 32 + lane, k0 + i * StepK);
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
                Fill<TFormat, TLeft, TCopy, TShape>(
                    args, shared, begin + into * stageChunks, leftChunks, batch, row0, column0, place * 32 + lane, k0 + (i + TShape.Stages - 1) * StepK);
            }
            TCopy.Commit();
            into = into + 1 == TShape.Stages ? 0 : into + 1;

            int at = begin + from * stageChunks;
            sum = Multiply<TFormat, TLeft>(shared, at, leftChunks, down, across, 0, sum);
            sum = Multiply<TFormat, TLeft>(shared, at, leftChunks, down, across, 1, sum);
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
                GpuMatMul.Store<Quad, AlignedQuads, TStore, TActivation>(args, batch, row0 + row, column0 + column * 4, value);
            }
        }
    }

    // One step of K, A and B, by the threads of one part.
    private static void Fill<TFormat, TLeft, TCopy, TShape>(
        in GpuMatMulArguments args, ArrayView<Words> shared, int at, int leftChunks, int batch, int row0, int column0, int thread, int k)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
        where TCopy : struct, ITileCopy
        where TShape : struct, ITensorShape
    {
        ArrayView<Words> left = args.A.Data.Cast<Words>();
        ArrayView<Words> right = args.B.Data.Cast<Words>();
        for (int i = 0; i < TLeft.Chunks / TShape.WarpsAcross; i++)
        {
            int index = i * (32 * TShape.WarpsDown * TShape.WarpsAcross) + thread;
            int row = TLeft.Chunks == 8 ? index >> 3 : index >> 2;
            int chunk = index & (TLeft.Chunks - 1);
            int source = TLeft.Chunk(args.A.Index(batch, IntrinsicMath.Min(row0 + row, args.M - 1), k));
            TCopy.Copy(ref shared[at + TLeft.Place(row, chunk)], ref left[source + chunk]);
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
    private static WarpTile Multiply<TFormat, TLeft>(ArrayView<Words> shared, int at, int leftChunks, int down, int across, int half, WarpTile c)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
    {
        LeftFragment upper = TLeft.Load<TFormat>(shared, at, down, half);
        LeftFragment lower = TLeft.Load<TFormat>(shared, at, down + 16, half);
        RightFragment left = TFormat.Right(shared, at + leftChunks, across, half);
        RightFragment right = TFormat.Right(shared, at + leftChunks, across + 16, half);
        return WarpTile.MultiplyAdd<TFormat>(upper, lower, left, right, c);
    }

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
