using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record LayerNorm
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuLayerNorm<V>(this, binding);
}

/// <summary>
/// A row at a time: it is read three times, from the first-level cache after the first. Lanes are summed in the vector's fixed order,
/// then the row's tail.
/// </summary>
internal sealed unsafe class CpuLayerNorm<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int RowsPerTile = 16;

    private readonly float* x;
    private readonly float* gamma;
    private readonly float* beta;
    private readonly float* residual;
    private readonly float* y;
    private readonly LayerNorm operation;
    private readonly TensorView added;
    private readonly int rows;

    public CpuLayerNorm(LayerNorm operation, CpuBinding binding)
        : base(binding, (operation.X.Batch * operation.X.Rows + RowsPerTile - 1) / RowsPerTile)
    {
        this.operation = operation;
        x = binding.Float(operation.X);
        y = binding.Float(operation.Y);
        gamma = binding.Float(operation.Gamma);
        beta = binding.Float(operation.Beta);
        residual = binding.FloatOrNull(operation.Residual);
        added = operation.Residual ?? operation.X;
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
            Row(
                x + (nint)b * from.BatchStride + (nint)r * from.RowStride,
                y + (nint)b * to.BatchStride + (nint)r * to.RowStride,
                residual is null ? null : residual + (nint)b * added.BatchStride + (nint)r * added.RowStride);
        }
    }

    private void Row(float* source, float* target, float* plus)
    {
        int n = operation.X.Columns;
        int whole = n / V.Width * V.Width;
        V sum = V.Zero;
        for (int c = 0; c < whole; c += V.Width)
        {
            sum += V.Load(source + c);
        }
        float total = V.Sum(sum);
        for (int c = whole; c < n; c++)
        {
            total += source[c];
        }
        float mean = total / n;

        V square = V.Zero;
        V center = V.Broadcast(mean);
        for (int c = 0; c < whole; c += V.Width)
        {
            V d = V.Load(source + c) - center;
            square = V.MultiplyAdd(d, d, square);
        }
        float squares = V.Sum(square);
        for (int c = whole; c < n; c++)
        {
            float d = source[c] - mean;
            squares += d * d;
        }
        // A variance beyond float32 would make every value the bias, finite and wrong; not a number is found at the end.
        float variance = squares / n + operation.Epsilon;
        float inverse = float.IsFinite(variance) ? 1 / MathF.Sqrt(variance) : float.NaN;

        for (int c = 0; c < whole; c += V.Width)
        {
            Finish<V>(source + c, target + c, plus is null ? null : plus + c, c, mean, inverse);
        }
        for (int c = whole; c < n; c++)
        {
            Finish<V1>(source + c, target + c, plus is null ? null : plus + c, c, mean, inverse);
        }
    }

    private void Finish<W>(float* source, float* target, float* plus, int column, float mean, float inverse)
        where W : struct, ISimd<W>
    {
        W value = (W.Load(source) - W.Broadcast(mean)) * W.Broadcast(inverse);
        value = value * W.Load(gamma + column) + W.Load(beta + column);
        W.Store(plus is null ? value : value + W.Load(plus), target);
    }
}
