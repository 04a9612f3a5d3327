using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record GatherRows
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuGatherRowsArguments>(GpuGatherRows.Kernel, Y.Batch * Y.Rows * Y.Columns, new GpuGatherRowsArguments(this, binding));
}

internal readonly struct GpuGatherRowsArguments(GatherRows operation, GpuBinding binding)
{
    public readonly GpuFloats Table = binding.Floats(operation.Table);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly GpuFloats Plus = binding.FloatsOrNone(operation.Plus);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int HasPlus = operation.Plus is null ? 0 : 1;
    public readonly int Entries = operation.Table.Rows;
    public readonly int Rows = operation.Y.Rows;
    public readonly int Columns = operation.Y.Columns;
}

/// <summary>One thread per element, columns fastest: a row is copied by neighbouring threads, which read its index at one address.</summary>
internal static class GpuGatherRows
{
    public static void Kernel(Index1D index, GpuGatherRowsArguments args)
    {
        int column = index % args.Columns;
        int rest = index / args.Columns;
        int row = rest % args.Rows;
        int batch = rest / args.Rows;
        int entry = IntrinsicMath.Clamp(args.Index.Get(batch, 0, row), 0, args.Entries - 1);
        float value = args.Table.Get(batch, entry, column);
        if (args.HasPlus != 0)
        {
            value += args.Plus.Get(batch, row, column);
        }
        args.Y.Set(batch, row, column, value);
    }
}
