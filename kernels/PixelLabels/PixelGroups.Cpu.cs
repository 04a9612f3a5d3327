using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

internal sealed partial record PixelGroups
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuPixelGroups(this, binding);
}

/// <summary>A tile is one row of pixels: the two map rows around it are mixed once per group, then every pixel compares the groups.</summary>
internal sealed unsafe class CpuPixelGroups : CpuStep
{
    private readonly PixelGroups operation;
    private readonly float* maps;
    private readonly int* index;

    public CpuPixelGroups(PixelGroups operation, CpuBinding binding)
        : base(binding, operation.Maps.Batch * operation.Height)
    {
        this.operation = operation;
        maps = binding.Float(operation.Maps);
        index = binding.Int(operation.Index);
        binding.ReserveScratch((long)operation.Maps.Rows * operation.GridWidth * sizeof(float));
    }

    public override void Tile(int tile, int thread)
    {
        (int batch, int row) = Math.DivRem(tile, operation.Height);
        int groups = operation.Maps.Rows;
        int gridWidth = operation.GridWidth;
        float* mixed = (float*)Worker.Scratch(thread);
        Bilinear.At(row, operation.GridHeight, operation.Height, out int top, out int bottom, out float ty);
        for (int g = 0; g < groups; g++)
        {
            float* map = maps + (nint)batch * operation.Maps.BatchStride + (nint)g * operation.Maps.RowStride;
            for (int c = 0; c < gridWidth; c++)
            {
                mixed[g * gridWidth + c] = (1 - ty) * map[top * gridWidth + c] + ty * map[bottom * gridWidth + c];
            }
        }
        int* target = index + ((nint)batch * operation.Height + row) * operation.Width;
        for (int column = 0; column < operation.Width; column++)
        {
            Bilinear.At(column, gridWidth, operation.Width, out int left, out int right, out float tx);
            int best = 0;
            float most = float.NegativeInfinity;
            for (int g = 0; g < groups; g++)
            {
                float value = (1 - tx) * mixed[g * gridWidth + left] + tx * mixed[g * gridWidth + right];
                if (value > most)
                {
                    (best, most) = (g, value);
                }
            }
            target[column] = best;
        }
    }
}
