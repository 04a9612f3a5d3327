using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>
/// The product on tensor cores: activations and packed weights come to shared memory in stages, each warp multiplies 32 x 32 or 64 x 32
/// outputs, and bias, activation and residual are applied on the way out. Sums are float32.
/// </summary>
/// <remarks>
/// <para>Order of summation: K is cut into <see cref="ITensorFormat.Slices"/> equal parts; each is summed in steps of the matrix
/// instruction, k ascending, and the parts are added in ascending order. All shapes of group do just that, some at the same time and some one
/// after another, so which of them runs (it depends on M, batch and device) does not show in the bits.</para>
/// <para>A in 16 bits (<see cref="PairTile"/>) is what the operation before rounded; in float32 (<see cref="FloatTile"/>) it is rounded on its way to
/// registers, by every warp that reads it: the same bits. The former takes half the bytes on each way, and of a warp's 16 x 32 outputs a conversion less for each
/// of A's words, which multiprocessors of compute 8.x make at a sixteenth of the rate at which they multiply.</para>
/// <para>48 KiB of shared memory are what a group may have without asking. With A in float32 and weights of 16 bits: 12 KiB a stage in four stages (wide), or 6
/// KiB for each part of K in two (deep); with both in 16 bits 8 KiB in four, or 4 KiB in three; through registers always in two. Tall tiles take 12 KiB in four. The epilogue needs 16 KiB, of tall tiles 32, and takes the same place.</para>
/// <para>Tiles run over all pictures' rows as one (<see cref="GpuMatMul.TileRows"/>). Rows beyond the last and columns beyond N are copies of the last, and are not stored.</para>
/// </remarks>
internal static class TensorMatMul
{
    public const int GroupSize = 128;

    /// <summary>Numbers of K a stage holds.</summary>
    public const int StepK = 32;

    /// <summary>Of a warp's outputs.</summary>
    public const int WarpColumns = 32;

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
        => Fills<WideSingles, WarpTile>(product, binding)
            ? Launch<Float32Tensors, FloatTile, AsyncTileCopy, WideSingles, WarpTile, AlignedQuads, TActivation>(product, binding)
            : Launch<Float32Tensors, FloatTile, AsyncTileCopy, DeepSingles, WarpTile, AlignedQuads, TActivation>(product, binding);

    private static GpuStep Pairs<TFormat, TStore, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, IPairFormat
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        bool narrow = product.A.Tensor.IsNarrow;
        bool fillsWide = Fills<WidePairs, WarpTile>(product, binding);
        if (!binding.Device.Facts.HasAsyncCopy)
        {
            return (narrow, fillsWide) switch
            {
                (true, true) => Launch<TFormat, PairTile, PlainTileCopy, WidePairs, WarpTile, TStore, TActivation>(product, binding),
                (true, false) => Launch<TFormat, PairTile, PlainTileCopy, DeepPairs, WarpTile, TStore, TActivation>(product, binding),
                (false, true) => Launch<TFormat, FloatTile, PlainTileCopy, WidePairs, WarpTile, TStore, TActivation>(product, binding),
                (false, false) => Launch<TFormat, FloatTile, PlainTileCopy, DeepPairs, WarpTile, TStore, TActivation>(product, binding),
            };
        }
        return (narrow, fillsWide) switch
        {
            (true, true) => Fills<WidePairs, TallTile>(product, binding)
                ? Launch<TFormat, PairTile, AsyncTileCopy, WidePairs, TallTile, TStore, TActivation>(product, binding)
                : Launch<TFormat, PairTile, AsyncTileCopy, WidePairs, WarpTile, TStore, TActivation>(product, binding),
            (true, false) => Launch<TFormat, PairTile, AsyncTileCopy, DeepHalves, WarpTile, TStore, TActivation>(product, binding),
            (false, true) => Launch<TFormat, FloatTile, AsyncTileCopy, WidePairs, WarpTile, TStore, TActivation>(product, binding),
            (false, false) => Launch<TFormat, FloatTile, AsyncTileCopy, DeepPairs, WarpTile, TStore, TActivation>(product, binding),
        };
    }

    // Larger tiles read less, smaller ones fill the device: those that make two groups a multiprocessor.
    private static bool Fills<TShape, TTile>(MatMul product, GpuBinding binding)
        where TShape : struct, ITensorShape
        where TTile : struct, IWarpTile<TTile>
        => Groups<TShape, TTile>(product) >= 2L * binding.Device.Facts.Multiprocessors;

    private static GpuStep Launch<TFormat, TLeft, TCopy, TShape, TTile, TStore, TActivation>(MatMul product, GpuBinding binding)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
        where TCopy : struct, ITileCopy
        where TShape : struct, ITensorShape
        where TTile : struct, IWarpTile<TTile>
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        GpuFloats b = new(Pack<TFormat>(product, binding), 0, 0, 0);
        GpuMatMulArguments arguments = new(product, binding, b, transposed: true, GpuMatMul.TileRows(product), RowTiles<TShape, TTile>(product), ColumnTiles<TShape>(product));
        return binding.Step<GpuMatMulArguments>(Kernel<TFormat, TLeft, TCopy, TShape, TTile, TStore, TActivation>, Groups<TShape, TTile>(product), GroupSize, arguments);
    }

    private static int RowTiles<TShape, TTile>(MatMul product)
        where TShape : struct, ITensorShape
        where TTile : struct, IWarpTile<TTile>
        => (GpuMatMul.TileRows(product) + TTile.Rows * TShape.WarpsDown - 1) / (TTile.Rows * TShape.WarpsDown);

    private static int ColumnTiles<TShape>(MatMul product)
        where TShape : struct, ITensorShape
        => (product.N + WarpColumns * TShape.WarpsAcross - 1) / (WarpColumns * TShape.WarpsAcross);

    private static int Groups<TShape, TTile>(MatMul product)
        where TShape : struct, ITensorShape
        where TTile : struct, IWarpTile<TTile>
        => checked(product.Y.Batch * product.M / GpuMatMul.TileRows(product) * RowTiles<TShape, TTile>(product) * ColumnTiles<TShape>(product));

    // [N][K], as the checkpoint has it.
    private static ArrayView<float> Pack<TFormat>(MatMul product, GpuBinding binding)
        where TFormat : struct, ITensorFormat
    {
        Tensor weight = product.B.Tensor;
        return TFormat.WeightBytes == 4
            ? binding.Pack($"{weight.Name}/{TFormat.Format}", weight.Count, destination => NarrowWeights.PackTensorFloat32(weight, destination))
            : binding.Pack($"{weight.Name}/{TFormat.Format}/rows", weight.Count / 2, destination => NarrowWeights.Pack(weight, TFormat.Format, 0, destination));
    }

    private static void Kernel<TFormat, TLeft, TCopy, TShape, TTile, TStore, TActivation>(GpuMatMulArguments args)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
        where TCopy : struct, ITileCopy
        where TShape : struct, ITensorShape
        where TTile : struct, IWarpTile<TTile>
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        ArrayView<Words> shared = SharedMemory.Allocate<Words>(
            TShape.WarpsDeep * TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.Stages * TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.StageChunks);
        int columnTile = Grid.IdxX % args.ColumnTiles;
        int rest = Grid.IdxX / args.ColumnTiles;
        int row0 = rest % args.RowTiles * (TTile.Rows * TShape.WarpsDown);
        int batch = rest / args.RowTiles;
        int column0 = columnTile * (WarpColumns * TShape.WarpsAcross);

        int warp = Group.IdxX >> 5;
        int lane = Group.IdxX & 31;
        int part = warp / (TShape.WarpsDown * TShape.WarpsAcross);
        int place = warp - part * (TShape.WarpsDown * TShape.WarpsAcross);
        int down = place / TShape.WarpsAcross * TTile.Rows;
        int across = (place - place / TShape.WarpsAcross * TShape.WarpsAcross) * WarpColumns;

        int leftChunks = TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.LeftChunks;
        int stageChunks = TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.StageChunks;
        int stages = TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.Stages;
        int begin = part * stages * stageChunks;
        int k0 = args.K / TShape.WarpsDeep * part;
        int steps = args.K / (StepK * TShape.WarpsDeep);
        int sliceSteps = args.K / (StepK * TFormat.Slices);
        StageSource source = new() { Batch = batch, Row0 = row0, Column0 = column0, Thread = place * 32 + lane };

        int into = 0;
        for (int i = 0; i < stages - 1; i++)
        {
            if (i < steps)
            {
                TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.Fill(args, shared, begin + into * stageChunks, source, k0 + i * StepK);
            }
            TCopy.Commit();
            into++;
        }

        TTile total = default;
        TTile sum = default;
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
            bool more = i + stages - 1 < steps;
            int next = k0 + (i + stages - 1) * StepK;
            HeldChunks held = default;
            if (more && TCopy.ThroughRegisters)
            {
                held = TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.Load(args, source, next);
            }
            else if (more)
            {
                TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.Fill(args, shared, begin + into * stageChunks, source, next);
            }
            TCopy.Commit();

            int at = begin + from * stageChunks;
            sum = TTile.MultiplyAdd<TFormat, TLeft>(shared, at, at + leftChunks, down, across, 0, sum);
            sum = TTile.MultiplyAdd<TFormat, TLeft>(shared, at, at + leftChunks, down, across, 1, sum);
            if (more && TCopy.ThroughRegisters)
            {
                TensorTiles<TFormat, TLeft, TCopy, TShape, TTile>.Store(held, shared, begin + into * stageChunks, source);
            }
            into = into + 1 == stages ? 0 : into + 1;
            from = from + 1 == stages ? 0 : from + 1;
            inSlice++;
            if (inSlice == sliceSteps)
            {
                total = TTile.Add(total, sum);
                sum = default;
                inSlice = 0;
            }
        }

        // The sums go through shared memory, so that whole quads of a row are written, and K's parts meet.
        TCopy.Wait();
        GpuIntrinsics.Synchronize();
        int width = TShape.WarpsAcross * WarpColumns;
        int tile = TShape.WarpsDown * TTile.Rows * width;
        TTile.Spill(shared, part * tile, width, down, across, total);
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
                GpuMatMul.StoreTiled<TStore, TActivation>(args, batch, row0 + row, column0 + column * 4, value);
            }
        }
    }
}
