namespace GroupViT.Kernels;

internal enum ElementType
{
    Float32,
    Int32,
}

/// <summary>Fills a constant's values, row-major, in float32.</summary>
/// <remarks>Called when a device packs the constant: at Prepare, at most once per packing.</remarks>
internal delegate void ConstantReader(Span<float> destination);

/// <summary>Fills whole rows of a constant, from <paramref name="firstRow"/> on, as many as the destination holds.</summary>
internal delegate void ConstantRowsReader(int firstRow, Span<float> destination);

/// <summary>
/// A name for numbers that will exist: [Batch, Rows, Columns], row-major, last index fastest. It has no memory and no device.
/// </summary>
/// <remarks>
/// Three axes are all that this family of networks needs: token tensors are [B, N, C], matrices [1, N, C], vectors [1, 1, C],
/// pictures [B, 3·H, W]. A constant's name identifies its values within a model: packings are shared by name.
/// </remarks>
internal sealed class Tensor
{
    private Tensor(string name, ElementType type, int batch, int rows, int columns, ConstantReader? constant)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if ((long)batch * rows * columns > int.MaxValue / 4)
        {
            throw new ArgumentOutOfRangeException(nameof(rows), $"tensor '{name}' [{batch}, {rows}, {columns}] is larger than 2 GiB");
        }
        (Name, Type, Batch, Rows, Columns, Reader) = (name, type, batch, rows, columns, constant);
    }

    public string Name { get; }

    public ElementType Type { get; }

    public int Batch { get; }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Reads the values if this is a constant; null for what a run computes.</summary>
    public ConstantReader? Reader { get; }

    /// <summary>Reads some rows of a constant, where that is cheaper than all of them: a packing then needs a panel's worth of memory besides its own.</summary>
    public ConstantRowsReader? RowsReader { get; private init; }

    public bool IsConstant => Reader is not null;

    public int Count => Batch * Rows * Columns;

    /// <summary>Both element types take four bytes.</summary>
    public long Bytes => Count * 4L;

    public static Tensor Float(string name, int batch, int rows, int columns) => new(name, ElementType.Float32, batch, rows, columns, null);

    public static Tensor Int(string name, int batch, int rows, int columns) => new(name, ElementType.Int32, batch, rows, columns, null);

    public static Tensor Constant(string name, int rows, int columns, ConstantReader reader, bool isPerSize = false)
        => new(name, ElementType.Float32, 1, rows, columns, reader) { IsPerSize = isPerSize };

    /// <summary>A constant that can be read in parts.</summary>
    public static Tensor Constant(string name, int rows, int columns, ConstantRowsReader reader)
        => new(name, ElementType.Float32, 1, rows, columns, destination => reader(0, destination)) { RowsReader = reader };

    /// <summary>True of a constant of which there is one per input size: where weights are streamed it is too, however small it may be, since they would add up.</summary>
    public bool IsPerSize { get; private init; }

    public TensorView View() => new(this, 0, Batch, Rows, Columns, Rows * Columns, Columns);

    public static implicit operator TensorView(Tensor tensor) => tensor.View();

    public override string ToString() => $"{Name} [{Batch}, {Rows}, {Columns}]";
}
