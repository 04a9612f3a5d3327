using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record MeanRows
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuMeanRowsArguments>(GpuMeanRows.Kernel, X.Batch * X.Columns, new GpuMeanRowsArguments(this, binding));
}

internal readonly struct GpuMeanRowsArguments(MeanRows operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int Rows = operation.X.Rows;
    public readonly int Columns = operation.X.Columns;
}

/// <summary>One thread per column, walking down the rows: loads are coalesced and the order is the contract's.</summary>
/// <remarks>The model pools 8 rows of 384: too little to share out further.</remarks>
internal static class GpuMeanRows
{
    public static void Kernel(Index1D index, GpuMeanRowsArguments args)
    {
        int column = index % args.Columns;
        int batch = index / args.Columns;
        float sum = 0f;
        for (int row = 0; row < args.Rows; row++)
        {
            sum += args.X.Get(batch, row, column);
        }
        args.Y.Set(batch, 0, column, sum / args.Rows);
    }
}
