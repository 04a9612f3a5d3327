using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels.Devices;

/// <summary>A tensor view as a kernel argument: the tensor's first element (on a 256-byte boundary), then offset and strides, in elements.</summary>
/// <remarks>The offset is a number beside the view, because the back ends assume that every view starts on a boundary.</remarks>
internal readonly struct GpuFloats(ArrayView<float> data, int offset, int batchStride, int rowStride)
{
    public readonly ArrayView<float> Data = data;
    public readonly int Offset = offset;
    public readonly int BatchStride = batchStride;
    public readonly int RowStride = rowStride;

    public int Index(int batch, int row, int column) => Offset + batch * BatchStride + row * RowStride + column;

    public float Get(int batch, int row, int column) => Data[Index(batch, row, column)];

    public void Set(int batch, int row, int column, float value) => Data[Index(batch, row, column)] = value;
}

/// <summary>As <see cref="GpuFloats"/>, for integers.</summary>
internal readonly struct GpuInts(ArrayView<int> data, int offset, int batchStride, int rowStride)
{
    public readonly ArrayView<int> Data = data;
    public readonly int Offset = offset;
    public readonly int BatchStride = batchStride;
    public readonly int RowStride = rowStride;

    public int Get(int batch, int row, int column) => Data[Offset + batch * BatchStride + row * RowStride + column];

    public void Set(int batch, int row, int column, int value) => Data[Offset + batch * BatchStride + row * RowStride + column] = value;
}

/// <summary>Labels of pixels, from the tensor's first.</summary>
internal readonly struct GpuLabels(ArrayView<ushort> data)
{
    public readonly ArrayView<ushort> Data = data;
}

/// <summary>Turns a graph's names into device views while an operation is prepared, and its kernels into launchers.</summary>
/// <remarks>Measuring, the views are empty and kernels are not compiled; needs are counted all the same.</remarks>
internal sealed class GpuBinding(GpuWorker worker, IReadOnlyDictionary<Tensor, long> offsets)
{
    public GpuDevice Device => worker.Device;

    public GpuWorker Worker => worker;

    public bool Measuring => worker.Measuring;

    /// <summary>True where kernels with groups must be prepared for <see cref="NarrowGroup"/>, else for <see cref="WideGroup"/>.</summary>
    public bool HasNarrowGroups => Device.Kind == DeviceKind.Simulator;

    public static void RequireFloats(TensorView view)
    {
        if (view.Tensor.Type != ElementType.Float32)
        {
            throw new ArgumentException($"{view} holds {view.Tensor.Type}, not floats");
        }
    }

    public GpuFloats Floats(TensorView view)
    {
        RequireFloats(view);
        return Numbers(view);
    }

    /// <summary>As <see cref="Floats"/>, or 16-bit numbers, two to a float: the kernel must know which.</summary>
    public GpuFloats Numbers(TensorView view)
    {
        if (view.Tensor.Type is ElementType.Int32 or ElementType.UInt16)
        {
            throw new ArgumentException($"{view} holds integers, not floats");
        }
        ArrayView<float> data = view.Tensor.IsConstant
            ? worker.Constant(view.Tensor.Name, view.Tensor.Count, destination => view.Tensor.Reader!(destination), view.Tensor.IsPerSize)
            : worker.View<float>(view.Tensor, offsets);
        return new GpuFloats(data, view.Offset, view.BatchStride, view.RowStride);
    }

    /// <summary>The view, or an empty one; kernels are told by a flag of their own whether it is there.</summary>
    public GpuFloats FloatsOrNone(TensorView? view)
        => view is { } some ? Floats(some) : new GpuFloats(worker.Nothing<float>(), 0, 0, 0);

    public GpuFloats FloatsOrNone(Tensor? tensor) => tensor is null ? FloatsOrNone((TensorView?)null) : Floats(tensor);

    public GpuInts Ints(TensorView view)
    {
        if (view.Tensor.Type != ElementType.Int32)
        {
            throw new ArgumentException($"{view} holds {view.Tensor.Type}, not integers");
        }
        return new GpuInts(worker.View<int>(view.Tensor, offsets), view.Offset, view.BatchStride, view.RowStride);
    }

    public GpuLabels Labels(Tensor tensor)
        => tensor.Type == ElementType.UInt16 ? new GpuLabels(worker.View<ushort>(tensor, offsets)) : throw new ArgumentException($"{tensor} holds {tensor.Type}, not labels");

    public GpuInts IntsOrNone(TensorView? view)
        => view is { } some ? Ints(some) : new GpuInts(worker.Nothing<int>(), 0, 0, 0);

    /// <summary>A constant in a packing of the operation's own; the key names both.</summary>
    public ArrayView<float> Pack(string key, long floats, ConstantReader fill)
        => worker.Constant(key, floats, fill);

    /// <summary>A kernel that needs no group: one thread per index, in groups of the driver's choice.</summary>
    public GpuStep Step<TArguments>(Action<Index1D, TArguments> kernel, int threads, TArguments arguments)
        where TArguments : struct
        => new GpuFlatStep<TArguments>(worker, Measuring ? Note<Action<AcceleratorStream, Index1D, TArguments>>(GpuKernel.Flat(kernel.Method)) : Device.LoadFlat<TArguments>(kernel.Method), threads, arguments);

    /// <summary>A kernel with groups, shared memory and barriers; <paramref name="atOnce"/> as <see cref="GpuKernel.GroupsAtOnce"/>.</summary>
    public GpuStep Step<TArguments>(Action<TArguments> kernel, int groups, int groupSize, TArguments arguments, int atOnce = 0)
        where TArguments : struct
    {
        GpuKernel compiled = new(kernel.Method, groupSize) { GroupsAtOnce = atOnce };
        return new GpuGroupedStep<TArguments>(
            worker, Measuring ? Note<Action<AcceleratorStream, KernelConfig, TArguments>>(compiled) : Device.LoadGrouped<TArguments>(compiled), groups, groupSize, arguments);
    }

    private TLauncher? Note<TLauncher>(GpuKernel kernel)
        where TLauncher : Delegate
    {
        Device.Prepared?.Invoke(kernel);
        return null;
    }

    /// <summary>Several launches, in order, as one step.</summary>
    public static GpuStep Sequence(params GpuStep[] steps) => new GpuSequence(steps);
}

/// <summary>One or more kernel launches on a worker's stream.</summary>
internal abstract class GpuStep(GpuWorker? worker) : Step
{
    public sealed override void Run()
    {
        if (worker?.Device.LaunchGate is { } gate)
        {
            lock (gate)
            {
                Launch();
            }
        }
        else
        {
            Launch();
        }
    }

    public abstract void Launch();
}

internal sealed class GpuFlatStep<TArguments>(
    GpuWorker worker, Action<AcceleratorStream, Index1D, TArguments>? launcher, int threads, TArguments arguments) : GpuStep(worker)
    where TArguments : struct
{
    private readonly AcceleratorStream? stream = worker.Stream;

    public override void Launch() => launcher!(stream!, threads, arguments);
}

internal sealed class GpuGroupedStep<TArguments>(
    GpuWorker worker, Action<AcceleratorStream, KernelConfig, TArguments>? launcher, int groups, int groupSize, TArguments arguments) : GpuStep(worker)
    where TArguments : struct
{
    private readonly AcceleratorStream? stream = worker.Stream;
    private readonly KernelConfig config = new(groups, groupSize);

    public override void Launch() => launcher!(stream!, config, arguments);
}

internal sealed class GpuSequence(GpuStep[] steps) : GpuStep(null)
{
    public override void Launch()
    {
        foreach (GpuStep step in steps)
        {
            step.Run();
        }
    }
}
