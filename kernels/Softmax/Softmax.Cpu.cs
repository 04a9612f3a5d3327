using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record Softmax
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuSoftmax<V>(this, binding);
}

internal sealed unsafe class CpuSoftmax<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int RowsPerTile = 8;

    private readonly Softmax operation;
    private readonly float* x;
    private readonly float* y;
    private readonly int rows;

    public CpuSoftmax(Softmax operation, CpuBinding binding)
        : base(binding, (operation.X.Batch * operation.X.Rows + RowsPerTile - 1) / RowsPerTile)
    {
        this.operation = operation;
        x = binding.Float(operation.X);
        y = binding.Float(operation.Y);
        rows = operation.X.Batch * operation.X.Rows;
    }

    public override void Tile(int tile, int thread)
    {
        TensorView from = operation.X;
        TensorView to = operation.Y;
        int end = Math.Min(rows, (tile + 1) * RowsPerTile);
        for (int i = tile * RowsPerTile; i < end; i++)
        {
            (int b, int r) = Math.DivRem(i, from.Rows);
            float* target = y + (nint)b * to.BatchStride + (nint)r * to.RowStride;
            float sum = SoftmaxRow<V>.Exponentials(x + (nint)b * from.BatchStride + (nint)r * from.RowStride, target, from.Columns, 1);
            SoftmaxRow<V>.Scale(target, from.Columns, 1 / sum);
        }
    }
}

/// <summary>The two halves of a softmax over a row in memory; attention uses them on its scores.</summary>
internal static unsafe class SoftmaxRow<V>
    where V : struct, ISimd<V>
{
    /// <summary>target = exp(scale·(source − max)); returns the sum. Target may be source.</summary>
    public static float Exponentials(float* source, float* target, int n, float scale)
    {
        int whole = n / V.Width * V.Width;
        float max = float.NegativeInfinity;
        if (whole > 0)
        {
            V most = V.Load(source);
            for (int c = V.Width; c < whole; c += V.Width)
            {
                most = V.Max(most, V.Load(source + c));
            }
            max = V.MaxLane(most);
        }
        for (int c = whole; c < n; c++)
        {
            max = MathF.Max(max, source[c]);
        }

        V sum = V.Zero;
        V top = V.Broadcast(max);
        V factor = V.Broadcast(scale);
        for (int c = 0; c < whole; c += V.Width)
        {
            V e = SimdMath.Exp((V.Load(source + c) - top) * factor);
            V.Store(e, target + c);
            sum += e;
        }
        float total = V.Sum(sum);
        for (int c = whole; c < n; c++)
        {
            V1 e = SimdMath.Exp((V1.Load(source + c) - V1.Broadcast(max)) * V1.Broadcast(scale));
            V1.Store(e, target + c);
            total += target[c];
        }
        return total;
    }

    public static void Scale(float* row, int n, float factor)
    {
        int c = 0;
        for (V by = V.Broadcast(factor); c <= n - V.Width; c += V.Width)
        {
            V.Store(V.Load(row + c) * by, row + c);
        }
        for (; c < n; c++)
        {
            row[c] *= factor;
        }
    }
}
