namespace GroupViT.Kernels;

/// <summary>
/// Y = γ·(x − μ)/√(σ² + ε) + β (+ residual), over the last axis, with the population variance (spec 0).
/// </summary>
/// <remarks>
/// <para>Two passes: the mean first, then the squares of the differences, because E[x²] − E[x]² cancels. X and Y are
/// [batch, rows, columns]; γ and β are vectors over the columns. The residual, if any, is added after the norm: the position table
/// follows the patch embedding's norm (spec A.1).</para>
/// <para>Y may lie on X or on the residual. A row of equal values gives β, up to the rounding of the mean. NaN or infinity in a row,
/// or a sum of squares beyond float32 (differences beyond 1e19), make the whole row NaN: β alone would be finite and wrong.</para>
/// </remarks>
internal sealed partial record LayerNorm(TensorView X, Tensor Gamma, Tensor Beta, TensorView Y, float Epsilon) : Operation
{
    public TensorView? Residual { get; init; }

    public override void Validate()
    {
        RequireSameShape(X, Y);
        RequireWritable(Y);
        RequireVector(Gamma, X.Columns);
        RequireVector(Beta, X.Columns);
        Require(Epsilon > 0, $"epsilon must be positive, not {Epsilon}");
        if (Residual is { } residual)
        {
            RequireSameShape(residual, Y);
        }
    }

    public override void Describe(OperationUses uses)
        => uses.Read(X).Read(Gamma).Read(Beta).Read(Residual).Write(Y).MayOverwrite(X, Y).MayOverwrite(Residual, Y);

    /// <remarks>
    /// Bound: the mean is off by at most dμ = γ(N)·mean|x|, the variance by γ(N + 3)·σ² + dμ² (the first-order effect of dμ on it
    /// cancels), so a value by (dμ + u·|x − μ|)/s and by half the relative error of the variance times |x − μ|/s, s = √(σ² + ε).
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        int n = X.Columns;
        double gamma = ReferenceMemory.Gamma(n + 3);
        for (int b = 0; b < X.Batch; b++)
        {
            for (int r = 0; r < X.Rows; r++)
            {
                double mean = 0;
                double magnitude = 0;
                for (int c = 0; c < n; c++)
                {
                    mean += memory.Get(X, b, r, c) / n;
                    magnitude += Math.Abs(memory.Get(X, b, r, c)) / n;
                }
                double variance = 0;
                for (int c = 0; c < n; c++)
                {
                    variance += Math.Pow(memory.Get(X, b, r, c) - mean, 2) / n;
                }
                double scale = variance * n <= float.MaxValue ? Math.Sqrt(variance + Epsilon) : double.NaN;
                double meanError = gamma * magnitude + ReferenceMemory.U * Math.Abs(mean);
                // The differences of the second pass are rounded once each; against a mean that is off they also grow by dμ.
                double differenceError = meanError + ReferenceMemory.U * Math.Sqrt(variance);
                double varianceError = (gamma * variance + 2 * differenceError * ReferenceMemory.U * magnitude + differenceError * differenceError) / (variance + Epsilon);
                for (int c = 0; c < n; c++)
                {
                    double x = memory.Get(X, b, r, c);
                    double g = memory.Get(Gamma, c);
                    double beta = memory.Get(Beta, c);
                    double y = (x - mean) / scale;
                    double error = (meanError + ReferenceMemory.U * Math.Abs(x - mean)) / scale
                        + Math.Abs(y) * (varianceError + 6 * ReferenceMemory.U);
                    double residual = Residual is { } view ? memory.Get(view, b, r, c) : 0;
                    double value = g * y + beta;
                    memory.Set(Y, b, r, c, value + residual, Math.Abs(g) * error + ReferenceMemory.U * (2 * Math.Abs(value) + Math.Abs(g * y)));
                }
            }
        }
    }
}
