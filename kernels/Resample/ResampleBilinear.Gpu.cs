using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record ResampleBilinear
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuResampleBilinearArguments>(
            GpuResampleBilinear.Kernel, checked(X.Batch * X.Rows * Y.Columns), new GpuResampleBilinearArguments(this, binding));
}

internal readonly struct GpuResampleBilinearArguments(ResampleBilinear operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int Planes = operation.X.Rows;
    public readonly int InHeight = operation.InHeight;
    public readonly int InWidth = operation.InWidth;
    public readonly int OutHeight = operation.OutHeight;
    public readonly int OutWidth = operation.OutWidth;
}

/// <summary>One thread per output value: its four neighbours are those of the next thread or right beside them, in the first-level cache.</summary>
internal static class GpuResampleBilinear
{
    public static void Kernel(Index1D index, GpuResampleBilinearArguments args)
    {
        int column = index % args.OutWidth;
        int rest = index / args.OutWidth;
        int row = rest % args.OutHeight;
        rest /= args.OutHeight;
        int plane = rest % args.Planes;
        int batch = rest / args.Planes;
        Bilinear.At(row, args.InHeight, args.OutHeight, out int top, out int bottom, out float ty);
        Bilinear.At(column, args.InWidth, args.OutWidth, out int left, out int right, out float tx);
        int upper = args.X.Index(batch, plane, top * args.InWidth);
        int lower = args.X.Index(batch, plane, bottom * args.InWidth);
        float above = (1f - tx) * args.X.Data[upper + left] + tx * args.X.Data[upper + right];
        float below = (1f - tx) * args.X.Data[lower + left] + tx * args.X.Data[lower + right];
        args.Y.Set(batch, plane, row * args.OutWidth + column, (1f - ty) * above + ty * below);
    }
}
