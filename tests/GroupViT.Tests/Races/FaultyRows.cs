using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Tests.Races;

/// <summary>What is wrong with a kernel.</summary>
internal enum Fault
{
    None,
    LacksBarrier,

    /// <summary>The second half of the threads goes past the barrier.</summary>
    DividesBarrier,

    /// <summary>One more partial sum is read than there are threads.</summary>
    ReadsBeyondArray,

    /// <summary>The first thread writes far behind the arena.</summary>
    WritesBeyondBuffer,

    /// <summary>The first thread keeps its partial sum to itself.</summary>
    LeavesUnwritten,

    /// <summary>Every group writes a number of its own to the first element.</summary>
    SharesElement,
}

/// <summary>As a type: a kernel is compiled for it, and has nothing of the other faults.</summary>
internal interface IFault
{
    static abstract Fault Kind { get; }
}

internal readonly struct NoFault : IFault
{
    public static Fault Kind => Fault.None;
}

internal readonly struct LacksBarrier : IFault
{
    public static Fault Kind => Fault.LacksBarrier;
}

internal readonly struct DividesBarrier : IFault
{
    public static Fault Kind => Fault.DividesBarrier;
}

internal readonly struct ReadsBeyondArray : IFault
{
    public static Fault Kind => Fault.ReadsBeyondArray;
}

internal readonly struct WritesBeyondBuffer : IFault
{
    public static Fault Kind => Fault.WritesBeyondBuffer;
}

internal readonly struct LeavesUnwritten : IFault
{
    public static Fault Kind => Fault.LeavesUnwritten;
}

internal readonly struct SharesElement : IFault
{
    public static Fault Kind => Fault.SharesElement;
}

/// <summary>
/// <see cref="NormalizeRows"/> by a kernel with a fault: it comes to the device by the same way as every other operation, so what finds it there would
/// find it in them.
/// </summary>
internal sealed record FaultyRows<TFault>(NormalizeRows Right) : Operation
    where TFault : struct, IFault
{
    public override void Validate() => Right.Validate();

    public override void Describe(OperationUses uses) => Right.Describe(uses);

    public override void Evaluate(ReferenceMemory memory) => Right.Evaluate(memory);

    public override Step PrepareCpu<V>(CpuBinding binding) => throw new NotSupportedException();

    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuNormalizeRowsArguments>(FaultyRowsKernel.Run<TFault>, Right.X.Batch * Right.X.Rows, WideGroup.Threads, new GpuNormalizeRowsArguments(Right, binding));
}

internal static class FaultyRowsKernel
{
    public static void Run<TFault>(GpuNormalizeRowsArguments args)
        where TFault : struct, IFault
    {
        ArrayView<float> partials = SharedMemory.Allocate<float>(WideGroup.Threads);
        int batch = Grid.IdxX / args.Rows;
        int row = Grid.IdxX - batch * args.Rows;
        float square = 0f;
        for (int c = Group.IdxX; c < args.Columns; c += WideGroup.Threads)
        {
            float value = args.X.Get(batch, row, c);
            square = GpuIntrinsics.MultiplyAdd(value, value, square);
        }
        if (TFault.Kind != Fault.LeavesUnwritten || Group.IdxX != 0)
        {
            partials[Group.IdxX] = square;
        }
        if (TFault.Kind == Fault.DividesBarrier)
        {
            if (Group.IdxX < WideGroup.Threads / 2)
            {
                GpuIntrinsics.Synchronize();
            }
        }
        else if (TFault.Kind != Fault.LacksBarrier)
        {
            GpuIntrinsics.Synchronize();
        }
        float sum = 0f;
        int count = TFault.Kind == Fault.ReadsBeyondArray ? WideGroup.Threads + 1 : WideGroup.Threads;
        for (int i = 0; i < count; i++)
        {
            sum += partials[i];
        }
        float norm = MathF.Sqrt(sum);
        float inverse = 1f / (norm < args.Floor ? args.Floor : norm);
        for (int c = Group.IdxX; c < args.Columns; c += WideGroup.Threads)
        {
            args.Y.Set(batch, row, c, args.X.Get(batch, row, c) * inverse);
        }
        if (TFault.Kind == Fault.SharesElement && Group.IdxX == 0)
        {
            args.Y.Set(0, 0, 0, inverse);
        }
        if (TFault.Kind == Fault.WritesBeyondBuffer && Group.IdxX == 0)
        {
            args.Y.Data[1 << 20] = inverse;
        }
    }
}
