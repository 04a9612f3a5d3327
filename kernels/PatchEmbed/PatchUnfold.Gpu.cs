using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record PatchUnfold
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuPatchUnfoldArguments>(GpuPatchUnfold.Kernel, Y.Batch * Y.Rows * Y.Columns, new GpuPatchUnfoldArguments(this, binding));
}

internal readonly struct GpuPatchUnfoldArguments(PatchUnfold operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int Patches = operation.Y.Rows;
    public readonly int Columns = operation.Y.Columns;
    public readonly int GridWidth = operation.GridWidth;
    public readonly int Height = operation.Height;
    public readonly int PatchSize = operation.PatchSize;
}

/// <summary>One thread per output element, in the output's order: its writes are coalesced, its reads come in runs of a patch's width.</summary>
/// <remarks>
/// 16 floats are 64 bytes, two whole sectors of memory: reading in runs wastes nothing. Five divisions an element, on as many elements
/// as the picture has (150,528 at 224 x 224), are little beside the 384 multiply-adds that
/// the product then spends on each.
/// </remarks>
internal static class GpuPatchUnfold
{
    public static void Kernel(Index1D index, GpuPatchUnfoldArguments args)
    {
        int column = index % args.Columns;
        int rest = index / args.Columns;
        int patch = rest % args.Patches;
        int batch = rest / args.Patches;
        int kx = column % args.PatchSize;
        int line = column / args.PatchSize;
        int ky = line % args.PatchSize;
        int channel = line / args.PatchSize;
        int gridRow = patch / args.GridWidth;
        int gridColumn = patch - gridRow * args.GridWidth;
        float value = args.X.Get(batch, channel * args.Height + gridRow * args.PatchSize + ky, gridColumn * args.PatchSize + kx);
        args.Y.Set(batch, patch, column, value);
    }
}
