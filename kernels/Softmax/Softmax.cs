namespace GroupViT.Kernels;

/// <summary>Y = softmax(X) over the last axis, with the row's maximum subtracted first: no finite input overflows.</summary>
/// <remarks>
/// Y may lie on X. Probabilities below 2^-126 come out as numbers below 2^-125 instead of 0, that of -infinity too. NaN or +infinity in a
/// row makes it NaN, and so does a row of -infinity alone.
/// </remarks>
internal sealed partial record Softmax(TensorView X, TensorView Y) : Operation
{
    public override void Validate()
    {
        RequireSameShape(X, Y);
        RequireWritable(Y);
    }

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Y).MayOverwrite(X, Y);

    /// <remarks>
    /// Bound: exp is good to 2^-21 relative, its argument x − max is rounded once (an absolute error, so a relative one of the result),
    /// and the sum of N positive terms adds γ(N).
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        int n = X.Columns;
        for (int b = 0; b < X.Batch; b++)
        {
            for (int r = 0; r < X.Rows; r++)
            {
                double max = double.NegativeInfinity;
                for (int c = 0; c < n; c++)
                {
                    max = Math.Max(max, memory.Get(X, b, r, c));
                }
                double sum = 0;
                double argumentError = 0;
                for (int c = 0; c < n; c++)
                {
                    double term = Math.Exp(memory.Get(X, b, r, c) - max);
                    sum += term;
                    // Infinitely far below the maximum is exactly that: no rounding.
                    argumentError += term == 0 ? 0 : term * ReferenceMemory.U * Math.Abs(memory.Get(X, b, r, c) - max);
                }
                for (int c = 0; c < n; c++)
                {
                    double d = max - memory.Get(X, b, r, c);
                    double relative = ReferenceMemory.U * d + argumentError / sum + 2 * ExpError + ReferenceMemory.Gamma(n + 2);
                    memory.Set(Y, b, r, c, Math.Exp(-d) / sum, ProbabilityError(d, sum, relative));
                }
            }
        }
    }

    /// <summary>Relative error of the vector and GPU exponentials, tested in SimdMathTests.</summary>
    internal const double ExpError = 1.0 / (1 << 21);

    /// <summary>
    /// What the probability exp(-distance)/sum may be off by, given that its logarithm may be off by <paramref name="relative"/>. Where
    /// that is large, the scores themselves are lost, and any probability up to 1 is possible.
    /// </summary>
    internal static double ProbabilityError(double distance, double sum, double relative)
        => Smallest + (double.IsPositiveInfinity(distance)
            ? 0
            : Math.Min(1, Math.Exp(Math.Min(relative - distance, 700)) / sum - Math.Exp(-distance) / sum));

    /// <summary>What an exponential that should vanish may leave: the clamp at 2^-126.</summary>
    internal const double Smallest = 2.4e-38;
}
