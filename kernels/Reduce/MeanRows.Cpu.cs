using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record MeanRows
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuMeanRows(this, binding);
}

internal sealed unsafe class CpuMeanRows(MeanRows operation, CpuBinding binding) : CpuStep(binding, operation.X.Batch)
{
    private readonly float* x = binding.Float(operation.X);
    private readonly float* y = binding.Float(operation.Y);

    public override void Tile(int tile, int thread)
    {
        TensorView from = operation.X;
        for (int c = 0; c < from.Columns; c++)
        {
            float sum = 0;
            float* source = x + (nint)tile * from.BatchStride + c;
            for (int r = 0; r < from.Rows; r++, source += from.RowStride)
            {
                sum += *source;
            }
            y[(nint)tile * operation.Y.BatchStride + c] = sum / from.Rows;
        }
    }
}
