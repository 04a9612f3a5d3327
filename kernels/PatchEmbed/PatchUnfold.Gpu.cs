using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record PatchUnfold
{
    private bool HasQuads => PatchSize % 4 == 0 && AlignedQuads.Fits(X) && AlignedQuads.Fits(Y);

    public override bool CanWrite(Tensor tensor, WeightFormat format, DeviceFacts facts) => HasQuads && KernelChoice.IsPairs(KernelChoice.Product(facts, format).Kernel);

    public override Step PrepareGpu(GpuBinding binding)
    {
        if (!HasQuads)
        {
            GpuBinding.RequireFloats(Y);
        }
        GpuPatchUnfoldArguments arguments = new(this, binding);
        int elements = Y.Batch * Y.Rows * Y.Columns;
        return HasQuads ? Quads(binding, elements / 4, arguments) : binding.Step<GpuPatchUnfoldArguments>(GpuPatchUnfold.Kernel, elements, arguments);
    }

    private GpuStep Quads(GpuBinding binding, int quads, GpuPatchUnfoldArguments arguments) => KernelChoice.Kept(binding.Device.Facts, Y.Tensor) switch
    {
        ProductKernel.TensorBFloat16 => binding.Step<GpuPatchUnfoldArguments>(GpuPatchUnfold.Quads<NarrowQuads<BFloat16Tensors>>, quads, arguments),
        ProductKernel.TensorFloat16 => binding.Step<GpuPatchUnfoldArguments>(GpuPatchUnfold.Quads<NarrowQuads<Float16Tensors>>, quads, arguments),
        ProductKernel.TensorFloat16K8 => binding.Step<GpuPatchUnfoldArguments>(GpuPatchUnfold.Quads<NarrowQuads<Float16TensorsK8>>, quads, arguments),
        _ => binding.Step<GpuPatchUnfoldArguments>(GpuPatchUnfold.Quads<AlignedQuads>, quads, arguments),
    };
}

internal readonly struct GpuPatchUnfoldArguments(PatchUnfold operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Y = binding.Numbers(operation.Y);
    public readonly int Patches = operation.Y.Rows;
    public readonly int Columns = operation.Y.Columns;
    public readonly int GridWidth = operation.GridWidth;
    public readonly int Height = operation.Height;
    public readonly int PatchSize = operation.PatchSize;
}

/// <summary>One thread per output element, or per four of them, in the output's order: its writes are coalesced, its reads come in runs of a patch's width.</summary>
/// <remarks>
/// 16 floats are 64 bytes, two whole sectors of memory: reading in runs wastes nothing. Five divisions for each access, of which there are 37,632 for a picture of
/// 224 x 224 by fours, are little beside the 384 multiply-adds that the product then spends on each number.
/// </remarks>
internal static class GpuPatchUnfold
{
    public static void Kernel(Index1D index, GpuPatchUnfoldArguments args)
    {
        int column = index % args.Columns;
        int token = index / args.Columns;
        args.Y.Data[Target(args, token, column)] = args.X.Data[Source(args, token, column)];
    }

    public static void Quads<TStore>(Index1D index, GpuPatchUnfoldArguments args)
        where TStore : struct, IQuadStore
    {
        int quads = args.Columns >> 2;
        int token = index / quads;
        int column = (index - token * quads) << 2;
        TStore.Store(AlignedQuads.Load(args.X.Data, Source(args, token, column), 1, 4), args.Y.Data, Target(args, token, column), 4);
    }

    private static int Target(in GpuPatchUnfoldArguments args, int token, int column) => args.Y.Index(token / args.Patches, token % args.Patches, column);

    private static int Source(in GpuPatchUnfoldArguments args, int token, int column)
    {
        int patch = token % args.Patches;
        int kx = column % args.PatchSize;
        int line = column / args.PatchSize;
        int ky = line % args.PatchSize;
        int channel = line / args.PatchSize;
        int gridRow = patch / args.GridWidth;
        int gridColumn = patch - gridRow * args.GridWidth;
        return args.X.Index(token / args.Patches, channel * args.Height + gridRow * args.PatchSize + ky, gridColumn * args.PatchSize + kx);
    }
}
