using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels;

internal sealed partial record MatMul
{
    public override Step PrepareGpu(GpuBinding binding) => Activation switch
    {
        Activation.Gelu => GpuMatMul.Prepare<GpuGelu>(this, binding),
        Activation.QuickGelu => GpuMatMul.Prepare<GpuQuickGelu>(this, binding),
        Activation.Relu => GpuMatMul.Prepare<GpuRelu>(this, binding),
        _ => GpuMatMul.Prepare<GpuNoActivation>(this, binding),
    };
}

internal readonly struct GpuMatMulArguments(MatMul operation, GpuFloats a, GpuFloats b, GpuFloats y, GpuFloats bias, GpuFloats residual, int rowTiles, int columnTiles)
{
    public readonly GpuFloats A = a;
    public readonly GpuFloats B = b;
    public readonly GpuFloats Y = y;
    public readonly GpuFloats Bias = bias;
    public readonly GpuFloats Residual = residual;
    public readonly int M = operation.M;
    public readonly int N = operation.N;
    public readonly int K = operation.K;
    public readonly int RowTiles = rowTiles;
    public readonly int ColumnTiles = columnTiles;

    // Element (k, n) of B lies at k·BStepK + n·BStepN: one kernel serves both layouts.
    public readonly int BStepK = operation.TransposeB ? 1 : b.RowStride;
    public readonly int BStepN = operation.TransposeB ? b.RowStride : 1;
    public readonly float Scale = operation.Scale;
    public readonly int HasBias = operation.Bias is null ? 0 : 1;
    public readonly int BiasStepM = operation.BiasAxis == BiasAxis.Rows ? 1 : 0;
    public readonly int BiasStepN = operation.BiasAxis == BiasAxis.Rows ? 0 : 1;
    public readonly int HasResidual = operation.Residual is null ? 0 : 1;
}

/// <summary>
/// The product on a GPU: each thread computes 4 x 4 outputs in registers, without shared memory or barriers, so that one source is
/// sound on CUDA, on OpenCL (where PoCL turns barriers into loops that spill every accumulator) and on the simulator.
/// </summary>
/// <remarks>
/// Per step of k: 4 + 4 loads for 16 multiply-adds. Neighbouring threads take neighbouring columns, so their loads of B and stores
/// of Y are coalesced, and their loads of A are the same address. A constant transposed B is packed as [K][N] once for that.
/// Rows and columns beyond the edge are clamped for loads and skipped for stores.
/// </remarks>
internal static class GpuMatMul
{
    public static GpuStep Prepare<TActivation>(MatMul operation, GpuBinding binding)
        where TActivation : struct, IGpuActivation
    {
        GpuFloats b;
        TensorView view = operation.B;
        bool pack = operation.TransposeB && view.Tensor.IsConstant && view.Rows == view.Tensor.Rows && view.Columns == view.Tensor.Columns;
        MatMul laidOut = operation;
        if (pack)
        {
            (int n, int k) = (view.Rows, view.Columns);
            ArrayView<float> data = binding.Pack($"{view.Tensor.Name}/transposed", view.Tensor.Count, destination =>
            {
                float[] values = new float[n * k];
                view.Tensor.Reader!(values);
                for (int row = 0; row < n; row++)
                {
                    for (int column = 0; column < k; column++)
                    {
                        destination[column * n + row] = values[row * k + column];
                    }
                }
            });
            b = new GpuFloats(data, 0, 0, n);
            laidOut = operation with { TransposeB = false };
        }
        else
        {
            b = binding.Floats(view);
        }
        int rowTiles = (operation.M + 3) / 4;
        int columnTiles = (operation.N + 3) / 4;
        var arguments = new GpuMatMulArguments(
            laidOut, binding.Floats(operation.A), b, binding.Floats(operation.Y),
            binding.FloatsOrNone(operation.Bias), binding.FloatsOrNone(operation.Residual), rowTiles, columnTiles);
        return binding.Step<GpuMatMulArguments>(Kernel<TActivation>, checked(operation.Y.Batch * rowTiles * columnTiles), arguments);
    }

    private static void Kernel<TActivation>(Index1D index, GpuMatMulArguments args)
        where TActivation : struct, IGpuActivation
    {
        int column = index % args.ColumnTiles;
        int rest = index / args.ColumnTiles;
        int row = rest % args.RowTiles * 4;
        int batch = rest / args.RowTiles;
        // Columns of one thread are a quarter of N apart, so that neighbouring threads read neighbouring columns.
        int step = args.ColumnTiles;

        int lastRow = args.M - 1;
        int lastColumn = args.N - 1;
        int a0 = args.A.Index(batch, row, 0);
        int a1 = args.A.Index(batch, IntrinsicMath.Min(row + 1, lastRow), 0);
        int a2 = args.A.Index(batch, IntrinsicMath.Min(row + 2, lastRow), 0);
        int a3 = args.A.Index(batch, IntrinsicMath.Min(row + 3, lastRow), 0);
        int bBase = args.B.Offset + batch * args.B.BatchStride;
        int b0 = bBase + IntrinsicMath.Min(column, lastColumn) * args.BStepN;
        int b1 = bBase + IntrinsicMath.Min(column + step, lastColumn) * args.BStepN;
        int b2 = bBase + IntrinsicMath.Min(column + 2 * step, lastColumn) * args.BStepN;
        int b3 = bBase + IntrinsicMath.Min(column + 3 * step, lastColumn) * args.BStepN;

        float c00 = 0f, c01 = 0f, c02 = 0f, c03 = 0f;
        float c10 = 0f, c11 = 0f, c12 = 0f, c13 = 0f;
        float c20 = 0f, c21 = 0f, c22 = 0f, c23 = 0f;
        float c30 = 0f, c31 = 0f, c32 = 0f, c33 = 0f;
        for (int k = 0; k < args.K; k++)
        {
            float x0 = args.A.Data[a0 + k];
            float x1 = args.A.Data[a1 + k];
            float x2 = args.A.Data[a2 + k];
            float x3 = args.A.Data[a3 + k];
            int at = k * args.BStepK;
            float y0 = args.B.Data[b0 + at];
            float y1 = args.B.Data[b1 + at];
            float y2 = args.B.Data[b2 + at];
            float y3 = args.B.Data[b3 + at];
            c00 = GpuIntrinsics.MultiplyAdd(x0, y0, c00);
            c01 = GpuIntrinsics.MultiplyAdd(x0, y1, c01);
            c02 = GpuIntrinsics.MultiplyAdd(x0, y2, c02);
            c03 = GpuIntrinsics.MultiplyAdd(x0, y3, c03);
            c10 = GpuIntrinsics.MultiplyAdd(x1, y0, c10);
            c11 = GpuIntrinsics.MultiplyAdd(x1, y1, c11);
            c12 = GpuIntrinsics.MultiplyAdd(x1, y2, c12);
            c13 = GpuIntrinsics.MultiplyAdd(x1, y3, c13);
            c20 = GpuIntrinsics.MultiplyAdd(x2, y0, c20);
            c21 = GpuIntrinsics.MultiplyAdd(x2, y1, c21);
            c22 = GpuIntrinsics.MultiplyAdd(x2, y2, c22);
            c23 = GpuIntrinsics.MultiplyAdd(x2, y3, c23);
            c30 = GpuIntrinsics.MultiplyAdd(x3, y0, c30);
            c31 = GpuIntrinsics.MultiplyAdd(x3, y1, c31);
            c32 = GpuIntrinsics.MultiplyAdd(x3, y2, c32);
            c33 = GpuIntrinsics.MultiplyAdd(x3, y3, c33);
        }
        StoreRow<TActivation>(args, batch, row, column, step, c00, c01, c02, c03);
        StoreRow<TActivation>(args, batch, row + 1, column, step, c10, c11, c12, c13);
        StoreRow<TActivation>(args, batch, row + 2, column, step, c20, c21, c22, c23);
        StoreRow<TActivation>(args, batch, row + 3, column, step, c30, c31, c32, c33);
    }

    private static void StoreRow<TActivation>(in GpuMatMulArguments args, int batch, int row, int column, int step, float c0, float c1, float c2, float c3)
        where TActivation : struct, IGpuActivation
    {
        if (row >= args.M)
        {
            return;
        }
        Store<TActivation>(args, batch, row, column, c0);
        Store<TActivation>(args, batch, row, column + step, c1);
        Store<TActivation>(args, batch, row, column + 2 * step, c2);
        Store<TActivation>(args, batch, row, column + 3 * step, c3);
    }

    private static void Store<TActivation>(in GpuMatMulArguments args, int batch, int row, int column, float sum)
        where TActivation : struct, IGpuActivation
    {
        if (column >= args.N)
        {
            return;
        }
        float x = sum * args.Scale;
        if (args.HasBias != 0)
        {
            x += args.Bias.Data[args.Bias.Offset + row * args.BiasStepM + column * args.BiasStepN];
        }
        x = TActivation.Apply(x);
        if (args.HasResidual != 0)
        {
            x += args.Residual.Get(batch, row, column);
        }
        args.Y.Set(batch, row, column, x);
    }
}
