using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record NormalizeRows
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuNormalizeRows<V>(this, binding);
}

internal sealed unsafe class CpuNormalizeRows<V>(NormalizeRows operation, CpuBinding binding)
    : CpuStep(binding, operation.X.Batch * operation.X.Rows)
    where V : struct, ISimd<V>
{
    private readonly float* x = binding.Float(operation.X);
    private readonly float* y = binding.Float(operation.Y);

    public override void Tile(int tile, int thread)
    {
        (TensorView from, TensorView to) = (operation.X, operation.Y);
        (int b, int r) = Math.DivRem(tile, from.Rows);
        float* source = x + (nint)b * from.BatchStride + (nint)r * from.RowStride;
        float* target = y + (nint)b * to.BatchStride + (nint)r * to.RowStride;
        V sum = V.Zero;
        int c = 0;
        for (; c <= from.Columns - V.Width; c += V.Width)
        {
            V value = V.Load(source + c);
            sum = V.MultiplyAdd(value, value, sum);
        }
        float squares = V.Sum(sum);
        for (; c < from.Columns; c++)
        {
            squares += source[c] * source[c];
        }
        // A length beyond float32 would make a row of zeros, finite and wrong; not a number is found at the end.
        float inverse = float.IsFinite(squares) ? 1 / MathF.Max(MathF.Sqrt(squares), operation.Floor) : float.NaN;
        for (c = 0; c < from.Columns; c++)
        {
            target[c] = source[c] * inverse;
        }
    }
}
