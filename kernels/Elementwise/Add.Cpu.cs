using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record Add
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuAdd<V>(this, binding);
}

internal sealed unsafe class CpuAdd<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int RowsPerTile = 32;

    private readonly Add operation;
    private readonly TensorView second;
    private readonly float* a;
    private readonly float* b;
    private readonly float* y;
    private readonly int rows;

    public CpuAdd(Add operation, CpuBinding binding)
        : base(binding, (operation.Y.Batch * operation.Y.Rows + RowsPerTile - 1) / RowsPerTile)
    {
        this.operation = operation;
        second = operation.B ?? operation.A;
        a = binding.Float(operation.A);
        b = binding.FloatOrNull(operation.B);
        y = binding.Float(operation.Y);
        rows = operation.Y.Batch * operation.Y.Rows;
    }

    public override void Tile(int tile, int thread)
    {
        (TensorView viewA, TensorView viewY) = (operation.A, operation.Y);
        int end = Math.Min(rows, (tile + 1) * RowsPerTile);
        for (int i = tile * RowsPerTile; i < end; i++)
        {
            (int batch, int row) = Math.DivRem(i, viewY.Rows);
            float* left = a + (nint)batch * viewA.BatchStride + (nint)row * viewA.RowStride;
            float* target = y + (nint)batch * viewY.BatchStride + (nint)row * viewY.RowStride;
            if (b is null)
            {
                new ReadOnlySpan<float>(left, viewY.Columns).CopyTo(new Span<float>(target, viewY.Columns));
                continue;
            }
            float* right = b + (nint)batch * second.BatchStride + (nint)row * second.RowStride;
            int c = 0;
            for (; c <= viewY.Columns - V.Width; c += V.Width)
            {
                V.Store(V.Load(left + c) + V.Load(right + c), target + c);
            }
            for (; c < viewY.Columns; c++)
            {
                target[c] = left[c] + right[c];
            }
        }
    }
}
