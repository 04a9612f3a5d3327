namespace GroupViT.Kernels;

/// <summary>Index[b, r] = the position of the largest of X[b, r, ·]; the first of equals.</summary>
/// <remarks>X is [batch, rows, columns], Index is [batch, 1, rows] integers. NaN never wins; a row of NaN alone gives 0.</remarks>
internal sealed partial record ArgMaxColumns(TensorView X, Tensor Index) : Operation
{
    public override void Validate()
        => Require(
            Index.Type == ElementType.Int32 && Index.Batch == X.Batch && Index.Rows == 1 && Index.Columns == X.Rows,
            $"{Index} must hold one integer per row of {X}");

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Index);

    /// <remarks>Exact.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < X.Batch; b++)
        {
            for (int r = 0; r < X.Rows; r++)
            {
                int best = 0;
                for (int c = 1; c < X.Columns; c++)
                {
                    double value = memory.Get(X, b, r, c);
                    double most = memory.Get(X, b, r, best);
                    if (value > most || (double.IsNaN(most) && !double.IsNaN(value)))
                    {
                        best = c;
                    }
                }
                memory.SetExact(Index, b, 0, r, best);
            }
        }
    }
}
