namespace GroupViT.Kernels;

/// <summary>Resamples planes bilinearly, without aligned corners (spec F.1 step 2, F.2 step 3).</summary>
/// <remarks>
/// X is [batch, planes, inHeight·inWidth], Y is [batch, planes, outHeight·outWidth], both row-major. An axis whose size does not change is
/// copied exactly. Y must not lie on X. NaN and infinity spread to every pixel that has them for a neighbour, even with a weight of 0.
/// </remarks>
internal sealed partial record ResampleBilinear(TensorView X, TensorView Y, int InHeight, int InWidth, int OutHeight, int OutWidth) : Operation
{
    public override void Validate()
    {
        RequireWritable(Y);
        Require(Math.Min(Math.Min(InHeight, InWidth), Math.Min(OutHeight, OutWidth)) > 0, "sides must be positive");
        Require(X.Batch == Y.Batch && X.Rows == Y.Rows, $"{X} and {Y} must hold the same planes");
        Require(X.Columns == InHeight * InWidth, $"{X} does not hold planes of {InHeight} x {InWidth}");
        Require(Y.Columns == OutHeight * OutWidth, $"{Y} does not hold planes of {OutHeight} x {OutWidth}");
        Require(Math.Max(InHeight, InWidth) <= Bilinear.MaxInput, $"sides above {Bilinear.MaxInput} cannot be resampled");
        Require(Math.Max(OutHeight, OutWidth) <= Bilinear.MaxOutput, $"sides above {Bilinear.MaxOutput} cannot be made");
    }

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Y);

    /// <remarks>Bound: <see cref="BilinearSample.Bound"/>.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < X.Batch; b++)
        {
            for (int p = 0; p < X.Rows; p++)
            {
                for (int i = 0; i < Y.Columns; i++)
                {
                    BilinearSample sample = Bilinear.Sample(
                        (r, c) => memory.Get(X, b, p, r * InWidth + c), InHeight, InWidth, OutHeight, OutWidth, i / OutWidth, i % OutWidth);
                    memory.Set(Y, b, p, i, sample.Value, sample.Bound);
                }
            }
        }
    }
}
