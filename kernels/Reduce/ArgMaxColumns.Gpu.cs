using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record ArgMaxColumns
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuArgMaxColumnsArguments>(GpuArgMaxColumns.Kernel, X.Batch * X.Rows, new GpuArgMaxColumnsArguments(this, binding));
}

internal readonly struct GpuArgMaxColumnsArguments(ArgMaxColumns operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly int Rows = operation.X.Rows;
    public readonly int Columns = operation.X.Columns;
}

/// <summary>One thread per row: the rows are short (labels, groups) and the first of equals wins without any merging of parts.</summary>
internal static class GpuArgMaxColumns
{
    public static void Kernel(Index1D index, GpuArgMaxColumnsArguments args)
    {
        int row = index % args.Rows;
        int batch = index / args.Rows;
        int best = 0;
        float most = args.X.Get(batch, row, 0);
        for (int column = 1; column < args.Columns; column++)
        {
            float value = args.X.Get(batch, row, column);
            if (GpuMath.IsAbove(value, most))
            {
                best = column;
                most = value;
            }
        }
        args.Index.Set(batch, 0, row, best);
    }
}
