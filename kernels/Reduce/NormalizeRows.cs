namespace GroupViT.Kernels;

/// <summary>Y = X / max(‖X‖₂, Floor), row by row: the unit embeddings (spec B.4).</summary>
/// <remarks>
/// Floor is 1e-12 for the original's rule; 0 gives Hugging Face's plain division, where a zero row becomes NaN. Y may lie on X.
/// The squares are summed in float32: entries below 1e-19 count with less precision or not at all. NaN or infinity in a row, or squares
/// beyond float32 (entries beyond 1e19), make the whole row NaN: a row of zeros would be finite and wrong.
/// </remarks>
internal sealed partial record NormalizeRows(TensorView X, TensorView Y, float Floor) : Operation
{
    public override void Validate()
    {
        RequireSameShape(X, Y);
        RequireWritable(Y);
        Require(Floor >= 0, $"the floor must not be negative, as {Floor} is");
    }

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Y).MayOverwrite(X, Y);

    /// <remarks>Bound: the norm is off relatively by half of γ(N + 2), the division adds two roundings.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < X.Batch; b++)
        {
            for (int r = 0; r < X.Rows; r++)
            {
                double squares = 0;
                for (int c = 0; c < X.Columns; c++)
                {
                    squares += Math.Pow(memory.Get(X, b, r, c), 2);
                }
                double norm = squares <= float.MaxValue ? Math.Max(Math.Sqrt(squares), Floor) : double.NaN;
                for (int c = 0; c < X.Columns; c++)
                {
                    double value = memory.Get(X, b, r, c) / norm;
                    memory.Set(Y, b, r, c, value, Math.Abs(value) * (ReferenceMemory.Gamma(X.Columns + 2) / 2 + 3 * ReferenceMemory.U));
                }
            }
        }
    }
}
