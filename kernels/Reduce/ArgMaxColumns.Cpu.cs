using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record ArgMaxColumns
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuArgMaxColumns(this, binding);
}

internal sealed unsafe class CpuArgMaxColumns(ArgMaxColumns operation, CpuBinding binding) : CpuStep(binding, operation.X.Batch)
{
    private readonly float* x = binding.Float(operation.X);
    private readonly int* index = binding.Int(operation.Index);

    public override void Tile(int tile, int thread)
    {
        TensorView from = operation.X;
        for (int r = 0; r < from.Rows; r++)
        {
            float* row = x + (nint)tile * from.BatchStride + (nint)r * from.RowStride;
            int best = 0;
            for (int c = 1; c < from.Columns; c++)
            {
                best = row[c] > row[best] || (float.IsNaN(row[best]) && !float.IsNaN(row[c])) ? c : best;
            }
            index[(nint)tile * from.Rows + r] = best;
        }
    }
}
