namespace GroupViT.Kernels;

/// <summary>Y[b, 0, c] = mean over the rows of X[b, ·, c]: the pooled image feature (spec A.8).</summary>
/// <remarks>X is [batch, rows, columns], Y is [batch, 1, columns]. Rows are added in ascending order, then divided.</remarks>
internal sealed partial record MeanRows(TensorView X, TensorView Y) : Operation
{
    public override void Validate()
    {
        Require(Y.Batch == X.Batch && Y.Rows == 1 && Y.Columns == X.Columns, $"{Y} is not the row mean of {X}");
        RequireWritable(Y);
    }

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Y);

    /// <remarks>Bound: γ(rows + 1) of the mean magnitude.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < X.Batch; b++)
        {
            for (int c = 0; c < X.Columns; c++)
            {
                double mean = 0;
                double magnitude = 0;
                for (int r = 0; r < X.Rows; r++)
                {
                    mean += memory.Get(X, b, r, c) / X.Rows;
                    magnitude += Math.Abs(memory.Get(X, b, r, c)) / X.Rows;
                }
                memory.Set(Y, b, 0, c, mean, ReferenceMemory.Gamma(X.Rows + 1) * magnitude);
            }
        }
    }
}
