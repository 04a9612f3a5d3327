using GroupViT.Kernels.Devices;

namespace GroupViT.Kernels;

/// <summary>
/// A step of a network as data: the tensors it reads and writes and its attributes. The model describes a graph of them, the planner
/// reads their uses, a device prepares them, the reference evaluates them.
/// </summary>
/// <remarks>One folder per operation: X.cs (contract and reference), X.Cpu.cs, X.Gpu.cs.</remarks>
internal abstract record Operation
{
    /// <summary>Throws <see cref="ArgumentException"/> naming the tensors whose shapes do not fit together.</summary>
    public abstract void Validate();

    /// <summary>Names every tensor read and written. Called when a graph is planned, some times.</summary>
    public abstract void Describe(OperationUses uses);

    /// <summary>
    /// The operation's definition: evaluates it in float64 and gives, beside each value, a bound on what a float32 implementation may
    /// differ by. Slow and obvious; the tests hold every device to it.
    /// </summary>
    public abstract void Evaluate(ReferenceMemory memory);

    /// <summary>
    /// Multiplications and additions of the operation's products, each counted once: what a machine's peak is compared with. 0 for an
    /// operation whose time goes into moving numbers.
    /// </summary>
    public virtual double Flops => 0;

    /// <summary>
    /// The 16-bit format to which a GPU with these facts rounds <paramref name="tensor"/> wherever the operation reads it: kept in that format, it gives results
    /// of the same bits. Float32 where some of it is taken as it is, or where the kernel that would run cannot read it so.
    /// </summary>
    public virtual WeightFormat RoundsTo(Tensor tensor, DeviceFacts facts) => WeightFormat.Float32;

    /// <summary>Whether the kernel that a GPU with these facts would run can write <paramref name="tensor"/> in a 16-bit format.</summary>
    public virtual bool CanWrite(Tensor tensor, WeightFormat format, DeviceFacts facts) => false;

    public abstract Step PrepareCpu<V>(CpuBinding binding)
        where V : struct, Simd.ISimd<V>;

    public abstract Step PrepareGpu(GpuBinding binding);

    protected void Require(bool condition, string problem)
    {
        if (!condition)
        {
            throw new ArgumentException($"{GetType().Name}: {problem}");
        }
    }

    protected void RequireSameShape(TensorView a, TensorView b)
        => Require(a.SameShape(b), $"{a} and {b} must have the same shape");

    /// <summary>A tensor that is written has memory of its own for each element: no constant, no repetition over the batch.</summary>
    protected void RequireWritable(TensorView view)
        => Require(!view.Tensor.IsConstant && (view.Batch == 1 || view.BatchStride != 0), $"{view} is written: it can be no constant and cannot repeat");

    /// <summary>A vector over columns: [1, 1, columns].</summary>
    protected void RequireVector(Tensor tensor, int columns)
        => Require(tensor.Batch == 1 && tensor.Rows == 1 && tensor.Columns == columns, $"{tensor} must be a vector of {columns}");
}

/// <summary>What an operation reads and writes, in the order it says so.</summary>
internal sealed class OperationUses
{
    private readonly List<Tensor> reads = [];
    private readonly List<TensorView> writes = [];
    private readonly List<(Tensor Written, Tensor Read)> overwrites = [];

    public IReadOnlyList<Tensor> Reads => reads;

    public IReadOnlyList<TensorView> Writes => writes;

    public IReadOnlyList<(Tensor Written, Tensor Read)> Overwrites => overwrites;

    public OperationUses Read(Tensor? tensor)
    {
        if (tensor is not null)
        {
            reads.Add(tensor);
        }
        return this;
    }

    public OperationUses Read(TensorView? view) => Read(view?.Tensor);

    public OperationUses Write(TensorView? view)
    {
        if (view is { } written)
        {
            writes.Add(written);
        }
        return this;
    }

    /// <summary>
    /// Element for element, <paramref name="written"/> may lie on <paramref name="read"/>: each output element reads only its own
    /// element of it. The planner uses this where both are whole tensors and the one read is not needed later.
    /// </summary>
    public OperationUses MayOverwrite(TensorView? read, TensorView written)
    {
        // Elements of other widths would lie on others' elements.
        if (read is { } source && source.IsWhole && written.IsWhole && source.Tensor.Count == written.Tensor.Count && source.Tensor.Bytes == written.Tensor.Bytes && !source.Tensor.IsConstant)
        {
            overwrites.Add((written.Tensor, source.Tensor));
        }
        return this;
    }
}
