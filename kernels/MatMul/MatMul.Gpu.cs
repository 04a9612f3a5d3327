using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;
using Columns16 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>;

namespace GroupViT.Kernels;

internal sealed partial record MatMul
{
    public override WeightFormat RoundsTo(Tensor tensor, DeviceFacts facts)
        => tensor == A.Tensor && tensor != B.Tensor && tensor != Residual?.Tensor && KernelChoice.IsPairs(KernelChoice.Product(facts, this).Kernel) && TensorMatMul.ReadsNarrow(this)
            ? WeightFormat
            : WeightFormat.Float32;

    public override bool CanWrite(Tensor tensor, WeightFormat format, DeviceFacts facts)
        => format == WeightFormat && KernelChoice.IsPairs(KernelChoice.Product(facts, this).Kernel);

    public override Step PrepareGpu(GpuBinding binding) => Activation switch
    {
        Activation.Gelu => GpuMatMul.Prepare<GpuGelu>(this, binding),
        Activation.QuickGelu => GpuMatMul.Prepare<GpuQuickGelu>(this, binding),
        Activation.Relu => GpuMatMul.Prepare<GpuRelu>(this, binding),
        _ => GpuMatMul.Prepare<GpuNoActivation>(this, binding),
    };
}

internal readonly struct GpuMatMulArguments(MatMul operation, GpuBinding binding, GpuFloats b, bool transposed, int rows, int rowTiles, int columnTiles)
{
    public readonly GpuFloats A = binding.Numbers(operation.A);
    public readonly GpuFloats B = b;
    public readonly GpuFloats Y = binding.Numbers(operation.Y);
    public readonly GpuFloats Bias = binding.FloatsOrNone(operation.Bias);
    public readonly GpuFloats Residual = binding.FloatsOrNone(operation.Residual);
    public readonly int M = operation.M;
    public readonly int N = operation.N;
    public readonly int K = operation.K;

    // Over which tiles run: one picture's, M, or all pictures' (GpuMatMul.TileRows).
    public readonly int Rows = rows;
    public readonly int RowTiles = rowTiles;
    public readonly int ColumnTiles = columnTiles;

    // Element (k, n) of B lies at k·BStepK + n·BStepN: one kernel serves both layouts.
    public readonly int BStepK = transposed ? 1 : b.RowStride;
    public readonly int BStepN = transposed ? b.RowStride : 1;
    public readonly float Scale = operation.Scale;
    public readonly int HasColumnBias = operation.Bias is not null && operation.BiasAxis == BiasAxis.Columns ? 1 : 0;
    public readonly int HasRowBias = operation.Bias is not null && operation.BiasAxis == BiasAxis.Rows ? 1 : 0;
    public readonly int HasResidual = operation.Residual is null ? 0 : 1;

    // All columns are one head where there are none.
    public readonly int HeadSize = operation.HeadSize == 0 ? operation.N : operation.HeadSize;
}

/// <summary>
/// The product on a GPU: each thread computes 4 rows by 4 (or 16) neighbouring columns in registers, without shared memory or barriers,
/// so that one source is sound on CUDA, on OpenCL and on the simulator.
/// </summary>
/// <remarks>
/// <para>Per step of k: four values of A and one load of 128 bits of B for 16 multiply-adds. Neighbouring threads take neighbouring
/// columns, so their loads of B and stores of Y make whole lines, and their loads of A are one address. CUDA gives it what
/// <see cref="SharedMatMul"/> does not take: computed factors, weights on the left, weights of 16 bits without matrix instructions, other K.</para>
/// <para>A CPU behind OpenCL has few threads and wide vectors instead: 16 columns are one vector of 512 bits, or two of 256. There
/// columns are accessed one by one: its compiler joins neighbours to vectors as wide as the processor's, but by quads it stays at four lanes, whose
/// accumulators take twice the registers of AVX2 (512 cubed on PoCL: 26 % of the cpu device's rate by quads, 54 % by columns, bfloat16 30 and 48 %).</para>
/// <para>A constant transposed B is packed as [K][N] once, in 16 bits where the weights' format says so. Edges that fill no vector, and a
/// computed transposed B, take accesses of one element, each within bounds; rows beyond the last are clamped for loads and skipped for
/// stores.</para>
/// </remarks>
internal static class GpuMatMul
{
    private const int Rows = 4;

    public static GpuStep Prepare<TActivation>(MatMul operation, GpuBinding binding)
        where TActivation : struct, IGpuActivation
    {
        ProductKernel kernel = KernelChoice.Product(binding.Device.Facts, operation).Kernel;
        if (!KernelChoice.IsPairs(kernel))
        {
            GpuBinding.RequireFloats(operation.A);
            GpuBinding.RequireFloats(operation.Y);
        }
        return kernel switch
        {
            ProductKernel.TensorBFloat16 => TensorMatMul.Pairs<BFloat16Tensors, TActivation>(operation, binding),
            ProductKernel.TensorFloat16 => TensorMatMul.Pairs<Float16Tensors, TActivation>(operation, binding),
            ProductKernel.TensorFloat16K8 => TensorMatMul.Pairs<Float16TensorsK8, TActivation>(operation, binding),
            ProductKernel.TensorFloat32 => TensorMatMul.Singles<TActivation>(operation, binding),
            ProductKernel.SharedTiles => SharedMatMul.Prepare<TActivation>(operation, binding),
            ProductKernel.Registers4x16 => Prepare<Columns16, TActivation>(operation, binding),
            _ => Prepare<Quad, TActivation>(operation, binding),
        };
    }

    private static GpuStep Prepare<TColumns, TActivation>(MatMul operation, GpuBinding binding)
        where TColumns : struct, IRegisterVector<TColumns>
        where TActivation : struct, IGpuActivation
    {
        TensorView view = operation.B;
        bool pack = operation.TransposeB && view.Tensor.IsConstant && view.Rows == view.Tensor.Rows && view.Columns == view.Tensor.Columns;
        bool narrow = pack && operation.WeightFormat is WeightFormat.BFloat16 or WeightFormat.Float16;
        bool transposed = operation.TransposeB && !pack;
        int stride = narrow ? (view.Rows + TColumns.Size - 1) / TColumns.Size * TColumns.Size : view.Rows;
        GpuFloats b = narrow ? new GpuFloats(PackNarrow(view.Tensor, operation.WeightFormat, stride, binding), 0, 0, stride)
            : pack ? new GpuFloats(PackTransposed(view.Tensor, binding), 0, 0, stride)
            : binding.Floats(view);

        int rowTiles = (operation.M + Rows - 1) / Rows;
        int columnTiles = (operation.N + TColumns.Size - 1) / TColumns.Size;
        int threads = checked(operation.Y.Batch * rowTiles * columnTiles);
        GpuMatMulArguments arguments = new(operation, binding, b, transposed, operation.M, rowTiles, columnTiles);
        bool aligned = !transposed && operation.N % TColumns.Size == 0
            && (pack || AlignedQuads.Fits(view)) && AlignedQuads.Fits(operation.Y)
            && (operation.Residual is not { } residual || AlignedQuads.Fits(residual));
        WeightFormat format = narrow ? operation.WeightFormat : WeightFormat.Float32;
        return !aligned ? Step<TColumns, BoundedQuads, TActivation>(format, binding, threads, arguments)
            : binding.Device.Facts.IsVectorProcessor ? Step<TColumns, ContiguousQuads, TActivation>(format, binding, threads, arguments)
            : Step<TColumns, AlignedQuads, TActivation>(format, binding, threads, arguments);
    }

    private static GpuStep Step<TColumns, TAccess, TActivation>(WeightFormat format, GpuBinding binding, int threads, GpuMatMulArguments arguments)
        where TColumns : struct, IRegisterVector<TColumns>
        where TAccess : struct, IQuadAccess
        where TActivation : struct, IGpuActivation
        => format switch
        {
            WeightFormat.BFloat16 => binding.Step<GpuMatMulArguments>(Kernel<TColumns, BFloat16Quads, TAccess, TActivation>, threads, arguments),
            WeightFormat.Float16 => binding.Step<GpuMatMulArguments>(Kernel<TColumns, Float16Quads, TAccess, TActivation>, threads, arguments),
            _ => binding.Step<GpuMatMulArguments>(Kernel<TColumns, TAccess, TAccess, TActivation>, threads, arguments),
        };

    /// <summary>
    /// Rows that tiles run over as one: all pictures' where A's follow one another, so that only the last tile of all has rows to spare, else one picture's. 64 pictures of
    /// 260 rows are 260 tiles of 64 rows instead of 320, and of 8 rows 8 instead of 64.
    /// </summary>
    internal static int TileRows(MatMul product) => product.A.TryFold(out TensorView folded) ? folded.Rows : product.M;

    private static ArrayView<float> PackNarrow(Tensor weight, WeightFormat format, int stride, GpuBinding binding)
        => binding.Pack($"{weight.Name}/{format}/{stride}", (weight.Columns * stride + 1) / 2, destination => NarrowWeights.Pack(weight, format, stride, destination));

    internal static ArrayView<float> PackTransposed(Tensor weight, GpuBinding binding)
        => binding.Pack($"{weight.Name}/transposed", weight.Count, destination =>
        {
            (int n, int k) = (weight.Rows, weight.Columns);
            float[] values = new float[n * k];
            weight.Reader!(values);
            for (int row = 0; row < n; row++)
            {
                for (int column = 0; column < k; column++)
                {
                    destination[column * n + row] = values[row * k + column];
                }
            }
        });

    private static void Kernel<TColumns, TWeights, TAccess, TActivation>(Index1D index, GpuMatMulArguments args)
        where TColumns : struct, IRegisterVector<TColumns>
        where TWeights : struct, IQuadLoad
        where TAccess : struct, IQuadAccess
        where TActivation : struct, IGpuActivation
    {
        int rest = index / args.ColumnTiles;
        int column = (index - rest * args.ColumnTiles) * TColumns.Size;
        int batch = rest / args.RowTiles;
        int row = (rest - batch * args.RowTiles) * Rows;
        int count = args.N - column;

        int lastRow = args.M - 1;
        int a0 = args.A.Index(batch, row, 0);
        int a1 = args.A.Index(batch, IntrinsicMath.Min(row + 1, lastRow), 0);
        int a2 = args.A.Index(batch, IntrinsicMath.Min(row + 2, lastRow), 0);
        int a3 = args.A.Index(batch, IntrinsicMath.Min(row + 3, lastRow), 0);
        int b = args.B.Offset + batch * args.B.BatchStride + column * args.BStepN;
        TColumns y0 = default;
        TColumns y1 = default;
        TColumns y2 = default;
        TColumns y3 = default;
        for (int k = 0; k < args.K; k++)
        {
            TColumns x = TColumns.Load<TWeights>(args.B.Data, b, args.BStepN, count);
            y0 = TColumns.MultiplyAdd(x, args.A.Data[a0 + k], y0);
            y1 = TColumns.MultiplyAdd(x, args.A.Data[a1 + k], y1);
            y2 = TColumns.MultiplyAdd(x, args.A.Data[a2 + k], y2);
            y3 = TColumns.MultiplyAdd(x, args.A.Data[a3 + k], y3);
            b += args.BStepK;
        }
        Store<TColumns, TAccess, TAccess, TActivation>(args, batch, row, column, y0);
        Store<TColumns, TAccess, TAccess, TActivation>(args, batch, row + 1, column, y1);
        Store<TColumns, TAccess, TAccess, TActivation>(args, batch, row + 2, column, y2);
        Store<TColumns, TAccess, TAccess, TActivation>(args, batch, row + 3, column, y3);
    }

    /// <summary>As <see cref="Store"/>, of a row of <see cref="GpuMatMulArguments.Rows"/>.</summary>
    internal static void StoreTiled<TStore, TActivation>(in GpuMatMulArguments args, int batch, int row, int column, Quad sum)
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        if (row < args.Rows)
        {
            int picture = row / args.M;
            Store<Quad, AlignedQuads, TStore, TActivation>(args, batch + picture, row - picture * args.M, column, sum);
        }
    }

    private static void Store<TColumns, TAccess, TStore, TActivation>(in GpuMatMulArguments args, int batch, int row, int column, TColumns sum)
        where TColumns : struct, IRegisterVector<TColumns>
        where TAccess : struct, IQuadLoad
        where TStore : struct, IQuadStore
        where TActivation : struct, IGpuActivation
    {
        if (row >= args.M)
        {
            return;
        }
        int count = args.N - column;
        TColumns bias = default;
        if (args.HasColumnBias != 0)
        {
            bias = TColumns.Load<TAccess>(args.Bias.Data, args.Bias.Offset + column, 1, count);
        }
        if (args.HasRowBias != 0)
        {
            bias = TColumns.Broadcast(args.Bias.Data[args.Bias.Offset + row]);
        }
        // Fused always: were it left to an assembler, two shapes of a kernel could differ by its choice.
        TColumns y = TColumns.Activate<TActivation>(TColumns.MultiplyAdd(sum, args.Scale, bias));
        if (args.HasResidual != 0)
        {
            y = TColumns.Add(y, TColumns.Load<TAccess>(args.Residual.Data, args.Residual.Index(batch, row, column), 1, count));
        }
        int head = column / args.HeadSize;
        TColumns.Store<TStore>(y, args.Y.Data, args.Y.Index(batch, head * args.M + row, column - head * args.HeadSize), count);
    }
}
