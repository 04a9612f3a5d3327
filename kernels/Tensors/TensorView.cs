namespace GroupViT.Kernels;

/// <summary>
/// A strided window on a tensor: element (b, r, c) lies at Offset + b·BatchStride + r·RowStride + c. The last axis is always dense.
/// </summary>
/// <remarks>
/// Views replace copies: the two parts of a token sequence, the three parts of a fused projection and one batch element are views.
/// A batch stride of 0 repeats the same rows for every batch element (reads only).
/// </remarks>
internal readonly record struct TensorView(Tensor Tensor, int Offset, int Batch, int Rows, int Columns, int BatchStride, int RowStride)
{
    public TensorView RowRange(int start, int count)
    {
        if (start < 0 || count <= 0 || start + count > Rows)
        {
            throw new ArgumentOutOfRangeException(nameof(start), $"rows {start}..{start + count} of {this}");
        }
        return this with { Offset = Offset + start * RowStride, Rows = count };
    }

    public TensorView ColumnRange(int start, int count)
    {
        if (start < 0 || count <= 0 || start + count > Columns)
        {
            throw new ArgumentOutOfRangeException(nameof(start), $"columns {start}..{start + count} of {this}");
        }
        return this with { Offset = Offset + start, Columns = count };
    }

    /// <summary>The same rows for each of <paramref name="batch"/> elements.</summary>
    public TensorView Repeat(int batch)
    {
        if (Batch != 1)
        {
            throw new ArgumentException($"only a view with one batch element can be repeated, not {this}");
        }
        return this with { Batch = batch, BatchStride = 0 };
    }

    /// <summary>The batch folded into the rows, [1, Batch·Rows, Columns], where the strides allow it.</summary>
    public bool TryFold(out TensorView folded)
    {
        bool can = Batch == 1 || BatchStride == Rows * RowStride;
        folded = can ? this with { Batch = 1, Rows = Batch * Rows, BatchStride = Batch * Rows * RowStride } : this;
        return can;
    }

    public int Index(int batch, int row, int column) => Offset + batch * BatchStride + row * RowStride + column;

    public bool SameShape(TensorView other) => Batch == other.Batch && Rows == other.Rows && Columns == other.Columns;

    /// <summary>True where the view names every element of its tensor, in order.</summary>
    public bool IsWhole => this == Tensor.View();

    public override string ToString() => $"{Tensor.Name}[{Batch}, {Rows}, {Columns}]";
}
