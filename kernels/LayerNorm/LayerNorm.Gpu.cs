using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels;

internal sealed partial record LayerNorm
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuLayerNormArguments arguments = new(this, binding);
        int rows = X.Batch * X.Rows;
        return binding.HasNarrowGroups
            ? binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Kernel<NarrowGroup>, rows, NarrowGroup.Threads, arguments)
            : binding.Step<GpuLayerNormArguments>(GpuLayerNorm.Kernel<WideGroup>, rows, WideGroup.Threads, arguments);
    }
}

internal readonly struct GpuLayerNormArguments(LayerNorm operation, GpuBinding binding)
{
    public readonly GpuFloats X = binding.Floats(operation.X);
    public readonly GpuFloats Gamma = binding.Floats(operation.Gamma);
    public readonly GpuFloats Beta = binding.Floats(operation.Beta);
    public readonly GpuFloats Residual = binding.FloatsOrNone(operation.Residual);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int HasResidual = operation.Residual is null ? 0 : 1;
    public readonly int Rows = operation.X.Rows;
    public readonly int Columns = operation.X.Columns;
    public readonly float Epsilon = operation.Epsilon;
}

/// <summary>A group per row; see <see cref="RowGroup"/>. The row is read three times, the second and third from the first-level cache.</summary>
/// <remarks>
/// Each thread reads and writes only its own columns, so Y may lie on X. A row of 384 floats is 6 per thread of 64; the two reductions
/// have shared memory of their own each, hence one barrier each.
/// </remarks>
internal static class GpuLayerNorm
{
    public static void Kernel<TGroup>(GpuLayerNormArguments args)
        where TGroup : struct, IGroup
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(TGroup.Threads);
        ArrayView<float> squares = SharedMemory.Allocate<float>(TGroup.Threads);
        int batch = Grid.IdxX / args.Rows;
        int row = Grid.IdxX - batch * args.Rows;

        float sum = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            sum += args.X.Get(batch, row, c);
        }
        float mean = RowGroup.Sum<TGroup>(sums, sum) / args.Columns;

        float square = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float d = args.X.Get(batch, row, c) - mean;
            square = GpuIntrinsics.MultiplyAdd(d, d, square);
        }
        float variance = RowGroup.Sum<TGroup>(squares, square) / args.Columns;
        float inverse = GpuMath.OrNotANumber(1f / MathF.Sqrt(variance + args.Epsilon), variance);

        for (int c = Group.IdxX; c < args.Columns; c += TGroup.Threads)
        {
            float value = (args.X.Get(batch, row, c) - mean) * inverse * args.Gamma.Get(0, 0, c) + args.Beta.Get(0, 0, c);
            if (args.HasResidual != 0)
            {
                value += args.Residual.Get(batch, row, c);
            }
            args.Y.Set(batch, row, c, value);
        }
    }
}
