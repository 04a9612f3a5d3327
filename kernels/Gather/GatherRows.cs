namespace GroupViT.Kernels;

/// <summary>
/// Y[b, r] = Table[b, Index[b, r]] (+ Plus[b, r]): the token embedding with its positions (spec B.1), and the pick of one row per text
/// (spec B.2).
/// </summary>
/// <remarks>
/// Table is [batch, entries, columns], repeated over the batch where all share it; Index is [batch, 1, rows] integers in [0, entries).
/// An index outside is clamped into the range, so that no memory is read that is not the table's; callers check before they upload.
/// </remarks>
internal sealed partial record GatherRows(TensorView Table, Tensor Index, TensorView Y) : Operation
{
    public TensorView? Plus { get; init; }

    public override void Validate()
    {
        RequireWritable(Y);
        Require(Table.Batch == Y.Batch && Table.Columns == Y.Columns, $"rows of {Table} do not fit {Y}");
        Require(
            Index.Type == ElementType.Int32 && Index.Batch == Y.Batch && Index.Rows == 1 && Index.Columns == Y.Rows,
            $"{Index} must hold one integer per row of {Y}");
        if (Plus is { } plus)
        {
            RequireSameShape(plus, Y);
        }
    }

    public override void Describe(OperationUses uses) => uses.Read(Table).Read(Index).Read(Plus).Write(Y);

    /// <remarks>Exact but for the one rounding of the sum.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < Y.Batch; b++)
        {
            for (int r = 0; r < Y.Rows; r++)
            {
                int row = Math.Clamp(memory.GetInt(Index, b, 0, r), 0, Table.Rows - 1);
                for (int c = 0; c < Y.Columns; c++)
                {
                    double value = memory.Get(Table, b, row, c);
                    if (Plus is { } plus)
                    {
                        memory.Set(Y, b, r, c, value + memory.Get(plus, b, r, c), 0);
                    }
                    else
                    {
                        memory.SetExact(Y, b, r, c, value);
                    }
                }
            }
        }
    }
}
