using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels;

internal sealed partial record Softmax
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuSoftmaxArguments arguments = new(this, binding);
        int rows = X.Batch * X.Rows;
        return binding.HasNarrowGroups
            ? binding.Step<GpuSoftmaxArguments>(GpuSoftmax.Kernel<NarrowGroup>, rows, NarrowGroup.Threads, arguments)
            : binding.Step<GpuSoftmaxArguments>(GpuSoftmax.Kernel<WideGroup>, rows, WideGroup.Threads, arguments);
    }
}

internal readonly struct GpuSoftmaxArguments(Softmax operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int Rows = operation.X.Rows;
    public readonly int Columns = operation.X.Columns;
}

/// <summary>A group per row; see <see cref="RowGroup"/>. The exponentials are kept in Y between the sum and the division.</summary>
/// <remarks>
/// Each thread reads and writes only its own columns, so Y may lie on X. Not-a-number loses every comparison for the maximum and then
/// makes the sum, and so the row, not-a-number.
/// </remarks>
internal static class GpuSoftmax
{
    public static void Kernel<TGroup>(GpuSoftmaxArguments args)
        where TGroup : struct, IGroup
    {
        ArrayView<float> maxima = SharedMemory.Allocate<float>(TGroup.Threads);
        ArrayView<float> sums = SharedMemory.Allocate<float>(TGroup.Threads);
        int batch = Grid.IdxX / args.Rows;
        int row = Grid.IdxX - batch * args.Rows;

        float max = float.NegativeInfinity;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float value = args.X.Get(batch, row, c);
            max = value > max ? value : max;
        }
        max = RowGroup.Max<TGroup>(maxima, max);

        float sum = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float e = GpuMath.Exp(args.X.Get(batch, row, c) - max);
            args.Y.Set(batch, row, c, e);
            sum += e;
        }
        float inverse = 1f / RowGroup.Sum<TGroup>(sums, sum);

        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            args.Y.Set(batch, row, c, args.Y.Get(batch, row, c) * inverse);
        }
    }
}
