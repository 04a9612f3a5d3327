using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record GatherRows
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuGatherRows(this, binding);
}

internal sealed unsafe class CpuGatherRows(GatherRows operation, CpuBinding binding) : CpuStep(binding, operation.Y.Batch)
{
    private readonly TensorView plusView = operation.Plus ?? operation.Y;
    private readonly float* table = binding.Float(operation.Table);
    private readonly int* index = binding.Int(operation.Index);
    private readonly float* plus = binding.FloatOrNull(operation.Plus);
    private readonly float* y = binding.Float(operation.Y);

    public override void Tile(int tile, int thread)
    {
        (TensorView from, TensorView to) = (operation.Table, operation.Y);
        for (int r = 0; r < to.Rows; r++)
        {
            int row = Math.Clamp(index[(nint)tile * to.Rows + r], 0, from.Rows - 1);
            float* source = table + (nint)tile * from.BatchStride + (nint)row * from.RowStride;
            float* target = y + (nint)tile * to.BatchStride + (nint)r * to.RowStride;
            float* added = plus is null ? null : plus + (nint)tile * plusView.BatchStride + (nint)r * plusView.RowStride;
            for (int c = 0; c < to.Columns; c++)
            {
                target[c] = added is null ? source[c] : source[c] + added[c];
            }
        }
    }
}
