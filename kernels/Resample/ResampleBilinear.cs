namespace GroupViT.Kernels;

/// <summary>Resamples planes bilinearly, without aligned corners (spec F.1 step 2, F.2 step 3).</summary>
/// <remarks>
/// X is [batch, planes, inHeight·inWidth], Y is [batch, planes, outHeight·outWidth], both row-major. An axis whose size does not change is
/// copied exactly. Y must not lie on X.
/// </remarks>
internal sealed partial record ResampleBilinear(TensorView X, TensorView Y, int InHeight, int InWidth, int OutHeight, int OutWidth) : Operation
{
    public override void Validate()
    {
        Require(X.Batch == Y.Batch && X.Rows == Y.Rows, $"{X} and {Y} must hold the same planes");
        Require(X.Columns == InHeight * InWidth, $"{X} does not hold planes of {InHeight} x {InWidth}");
        Require(Y.Columns == OutHeight * OutWidth, $"{Y} does not hold planes of {OutHeight} x {OutWidth}");
        Require(Math.Max(InHeight, InWidth) <= Bilinear.MaxInput, $"sides above {Bilinear.MaxInput} cannot be resampled");
        Require(Math.Max(OutHeight, OutWidth) <= Bilinear.MaxOutput, $"sides above {Bilinear.MaxOutput} cannot be made");
    }

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Y);

    /// <remarks>Bound: weights are rounded once, products and sums three times: 8·u of the largest neighbour.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < X.Batch; b++)
        {
            for (int p = 0; p < X.Rows; p++)
            {
                for (int i = 0; i < Y.Columns; i++)
                {
                    double y = Bilinear.Position(i / OutWidth, InHeight, OutHeight);
                    double x = Bilinear.Position(i % OutWidth, InWidth, OutWidth);
                    double value = Bilinear.Sample((r, c) => memory.Get(X, b, p, r * InWidth + c), InHeight, InWidth, y, x);
                    double magnitude = Bilinear.Sample((r, c) => Math.Abs(memory.Get(X, b, p, r * InWidth + c)), InHeight, InWidth, y, x);
                    double largest = Bilinear.Sample((r, c) => Neighbourhood(memory, b, p, r, c), InHeight, InWidth, y, x);
                    memory.Set(Y, b, p, i, value, 6 * ReferenceMemory.U * (magnitude + largest));
                }
            }
        }
    }

    // A weight of nearly 0 may round a large neighbour in: the bound must know it.
    private double Neighbourhood(ReferenceMemory memory, int b, int p, int r, int c)
    {
        double largest = 0;
        for (int dr = -1; dr <= 1; dr++)
        {
            for (int dc = -1; dc <= 1; dc++)
            {
                int row = Math.Clamp(r + dr, 0, InHeight - 1);
                int column = Math.Clamp(c + dc, 0, InWidth - 1);
                largest = Math.Max(largest, Math.Abs(memory.Get(X, b, p, row * InWidth + column)));
            }
        }
        return largest;
    }
}
