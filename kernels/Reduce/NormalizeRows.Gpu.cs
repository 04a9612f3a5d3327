using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels;

internal sealed partial record NormalizeRows
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuNormalizeRowsArguments arguments = new(this, binding);
        int rows = X.Batch * X.Rows;
        return binding.HasNarrowGroups
            ? binding.Step<GpuNormalizeRowsArguments>(GpuNormalizeRows.Kernel<NarrowGroup>, rows, NarrowGroup.Threads, arguments)
            : binding.Step<GpuNormalizeRowsArguments>(GpuNormalizeRows.Kernel<WideGroup>, rows, WideGroup.Threads, arguments);
    }
}

internal readonly struct GpuNormalizeRowsArguments(NormalizeRows operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int Rows = operation.X.Rows;
    public readonly int Columns = operation.X.Columns;
    public readonly float Floor = operation.Floor;
}

/// <summary>A group per row; see <see cref="RowGroup"/>. Each thread reads and writes only its own columns, so Y may lie on X.</summary>
internal static class GpuNormalizeRows
{
    public static void Kernel<TGroup>(GpuNormalizeRowsArguments args)
        where TGroup : struct, IGroup
    {
        ArrayView<float> squares = SharedMemory.Allocate<float>(TGroup.Threads);
        int batch = Grid.IdxX / args.Rows;
        int row = Grid.IdxX - batch * args.Rows;

        float square = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float value = args.X.Get(batch, row, c);
            square = GpuIntrinsics.MultiplyAdd(value, value, square);
        }
        float sum = RowGroup.Sum<TGroup>(squares, square);
        float norm = MathF.Sqrt(sum);
        float inverse = GpuMath.OrNotANumber(1f / (norm < args.Floor ? args.Floor : norm), sum);

        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            args.Y.Set(batch, row, c, args.X.Get(batch, row, c) * inverse);
        }
    }
}
