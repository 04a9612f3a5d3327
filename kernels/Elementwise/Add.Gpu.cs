using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record Add
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuAddArguments>(GpuAdd.Kernel, Y.Batch * Y.Rows * Y.Columns, new GpuAddArguments(this, binding));
}

internal readonly struct GpuAddArguments(Add operation, GpuBinding binding)
{
    public readonly GpuFloats A = binding.Floats(operation.A);
    public readonly GpuFloats B = binding.FloatsOrNone(operation.B);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int HasB = operation.B is null ? 0 : 1;
    public readonly int Rows = operation.Y.Rows;
    public readonly int Columns = operation.Y.Columns;
}

/// <summary>One thread per element, columns fastest: neighbouring threads touch neighbouring addresses of all three tensors.</summary>
/// <remarks>
/// Two 32-bit divisions find the element, some 40 instructions against 12 bytes of traffic: the memory is still what takes the time.
/// </remarks>
internal static class GpuAdd
{
    public static void Kernel(Index1D index, GpuAddArguments args)
    {
        int column = index % args.Columns;
        int rest = index / args.Columns;
        int row = rest % args.Rows;
        int batch = rest / args.Rows;
        float value = args.A.Get(batch, row, column);
        if (args.HasB != 0)
        {
            value += args.B.Get(batch, row, column);
        }
        args.Y.Set(batch, row, column, value);
    }
}
