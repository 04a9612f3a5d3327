using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record PatchUnfold
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuPatchUnfold(this, binding);
}

/// <summary>A tile is a row of patches; a patch's rows are copied as they lie.</summary>
internal sealed unsafe class CpuPatchUnfold(PatchUnfold operation, CpuBinding binding)
    : CpuStep(binding, operation.X.Batch * operation.GridHeight)
{
    private readonly float* x = binding.Float(operation.X);
    private readonly float* y = binding.Float(operation.Y);

    public override void Tile(int tile, int thread)
    {
        (int b, int gridRow) = Math.DivRem(tile, operation.GridHeight);
        int p = operation.PatchSize;
        TensorView from = operation.X;
        TensorView to = operation.Y;
        for (int gridColumn = 0; gridColumn < operation.GridWidth; gridColumn++)
        {
            float* target = y + (nint)b * to.BatchStride + (nint)(gridRow * operation.GridWidth + gridColumn) * to.RowStride;
            for (int channel = 0; channel < operation.Channels; channel++)
            {
                float* source = x + (nint)b * from.BatchStride
                    + (nint)(channel * operation.Height + gridRow * p) * from.RowStride + gridColumn * p;
                for (int ky = 0; ky < p; ky++, source += from.RowStride, target += p)
                {
                    new ReadOnlySpan<float>(source, p).CopyTo(new Span<float>(target, p));
                }
            }
        }
    }
}
