using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record ResampleBilinear
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuResampleBilinear(this, binding);
}

/// <summary>A tile is one output row of one plane.</summary>
internal sealed unsafe class CpuResampleBilinear(ResampleBilinear operation, CpuBinding binding)
    : CpuStep(binding, operation.X.Batch * operation.X.Rows * operation.OutHeight)
{
    private readonly float* x = binding.Float(operation.X);
    private readonly float* y = binding.Float(operation.Y);
    private readonly BilinearAxis columns = new(operation.InWidth, operation.OutWidth);

    public override void Tile(int tile, int thread)
    {
        (int batchPlane, int row) = Math.DivRem(tile, operation.OutHeight);
        (int batch, int plane) = Math.DivRem(batchPlane, operation.X.Rows);
        float* source = x + (nint)batch * operation.X.BatchStride + (nint)plane * operation.X.RowStride;
        float* target = y + (nint)batch * operation.Y.BatchStride + (nint)plane * operation.Y.RowStride + (nint)row * operation.OutWidth;
        Bilinear.At(row, operation.InHeight, operation.OutHeight, out int top, out int bottom, out float ty);
        float* upper = source + (nint)top * operation.InWidth;
        float* lower = source + (nint)bottom * operation.InWidth;
        for (int column = 0; column < operation.OutWidth; column++)
        {
            (int left, int right, float tx) = (columns.Low[column], columns.High[column], columns.Weight[column]);
            float above = (1 - tx) * upper[left] + tx * upper[right];
            float below = (1 - tx) * lower[left] + tx * lower[right];
            target[column] = (1 - ty) * above + ty * below;
        }
    }
}
