namespace GroupViT.Kernels;

internal enum ElementType
{
    Float32,
    Int32,
    BFloat16,
    Float16,

    /// <summary>Labels of pixels.</summary>
    UInt16,
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

    public ElementType Type { get; private set; }

    public int Batch { get; }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Reads the values if this is a constant; null for what a run computes.</summary>
    public ConstantReader? Reader { get; }

    /// <summary>Reads some rows of a constant, where that is cheaper than all of them: a packing then needs a panel's worth of memory besides its own.</summary>
    public ConstantRowsReader? RowsReader { get; private init; }

    public bool IsConstant => Reader is not null;

    public int Count => Batch * Rows * Columns;

    /// <summary>True of floats that are kept in 16 bits.</summary>
    public bool IsNarrow => Type is ElementType.BFloat16 or ElementType.Float16;

    public long Bytes => Count * (Type is ElementType.Float32 or ElementType.Int32 ? 4L : 2L);

    /// <summary>The 16-bit format that the numbers are kept in; Float32 of all other tensors.</summary>
    public WeightFormat Format => Type switch
    {
        ElementType.BFloat16 => WeightFormat.BFloat16,
        ElementType.Float16 => WeightFormat.Float16,
        _ => WeightFormat.Float32,
    };

    public static Tensor Float(string name, int batch, int rows, int columns) => new(name, ElementType.Float32, batch, rows, columns, null);

    public static Tensor Int(string name, int batch, int rows, int columns) => new(name, ElementType.Int32, batch, rows, columns, null);

    public static Tensor Labels(string name, int count) => new(name, ElementType.UInt16, 1, 1, count, null);

    public static Tensor Constant(string name, int rows, int columns, ConstantReader reader, bool isPerSize = false)
        => new(name, ElementType.Float32, 1, rows, columns, reader) { IsPerSize = isPerSize };

    /// <summary>A constant that can be read in parts.</summary>
    public static Tensor Constant(string name, int rows, int columns, ConstantRowsReader reader)
        => new(name, ElementType.Float32, 1, rows, columns, destination => reader(0, destination)) { RowsReader = reader };

    /// <summary>True of a constant of which there is one per input size: where weights are streamed it is too, however small it may be, since they would add up.</summary>
    public bool IsPerSize { get; private init; }

    /// <summary>
    /// Keeps the floats that a run computes in 16 bits, to nearest even. To be decided after the graph is described and before memory is planned, for
    /// every operation that writes or reads them must know the format (<see cref="Operation.RoundsTo"/>, <see cref="Operation.CanWrite"/>).
    /// </summary>
    public void KeepAs(WeightFormat format)
    {
        if (IsConstant || Type is ElementType.Int32 or ElementType.UInt16 || format is not (WeightFormat.BFloat16 or WeightFormat.Float16))
        {
            throw new InvalidOperationException($"{this} cannot be kept as {format}");
        }
        Type = format == WeightFormat.BFloat16 ? ElementType.BFloat16 : ElementType.Float16;
    }

    public TensorView View() => new(this, 0, Batch, Rows, Columns, Rows * Columns, Columns);

    public static implicit operator TensorView(Tensor tensor) => tensor.View();

    public override string ToString() => $"{Name} [{Batch}, {Rows}, {Columns}]";
}
