namespace GroupViT.Kernels;

/// <summary>
/// The gradient of the group assignment with respect to its logits, straight through the arg-max (spec A.7): forwards each token belongs to
/// one group alone, backwards it is as if it belonged to each by its soft share.
/// <code>
/// n[g]     = Σ_m A[g, m] + ε,   Ā[g, l] = A[g, l] / n[g]                 A is one-hot in g: Index
/// M[g]     = Σ_m G[g, m]·Ā[g, m]                                         G = ∂loss/∂Ā: Upstream
/// dA[g, l] = (G[g, l] − M[g]) / n[g]
/// dR[g, l] = S[g, l]·(dA[g, l] − Σ_h S[h, l]·dA[h, l]) / τ               Gradient
/// </code>
/// </summary>
/// <remarks>
/// Soft, Upstream and Gradient are [batch, G, L]; Index is [batch, 1, L] integers, clamped to [0, G). Sums, [batch, G, 2], receives n and M:
/// one pass over the tokens serves all of them. S is the softmax that the arg-max was taken of, with its noise in training. Sums over tokens
/// and groups run in ascending order. Upstream comes of the products around it: ∂loss/∂Y·Vᵀ; and ∂loss/∂V is Āᵀ·∂loss/∂Y.
/// </remarks>
internal sealed partial record GroupAssignGradient(TensorView Soft, Tensor Index, TensorView Upstream, Tensor Sums, TensorView Gradient, float Epsilon) : Operation
{
    /// <summary>τ of the softmax (spec A.7: 1).</summary>
    public float Temperature { get; init; } = 1;

    public int Groups => Soft.Rows;

    public int Tokens => Soft.Columns;

    public override void Validate()
    {
        RequireSameShape(Soft, Upstream);
        RequireSameShape(Soft, Gradient);
        RequireWritable(Gradient);
        Require(Index.Type == ElementType.Int32 && Index.Batch == Soft.Batch && Index.Rows == 1 && Index.Columns == Tokens, $"{Index} must hold one integer per token of {Soft}");
        Require(Sums.Batch == Soft.Batch && Sums.Rows == Groups && Sums.Columns == 2, $"{Sums} must hold two values for each group of {Soft}");
        Require(Epsilon > 0, $"epsilon must be positive, not {Epsilon}: an empty group is divided by it");
        Require(Temperature > 0, $"the temperature must be positive, not {Temperature}");
    }

    public override void Describe(OperationUses uses) => uses.Read(Soft).Read(Index).Read(Upstream).Write(Sums).Write(Gradient);

    /// <remarks>
    /// Bounds: M by γ(n + 2)·Σ|G|/n over its tokens; dA by those of G − M, one division; the sum over groups by γ(G + 2) of its
    /// magnitudes and the errors of its terms; the result by three roundings more.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        double[] derivative = new double[Groups];
        double[] error = new double[Groups];
        for (int b = 0; b < Soft.Batch; b++)
        {
            (double Count, double Mean, double Error)[] groups = [.. Enumerable.Range(0, Groups).Select(g => Sum(memory, b, g))];
            for (int g = 0; g < Groups; g++)
            {
                memory.Set(Sums, b, g, 0, groups[g].Count, ReferenceMemory.U * groups[g].Count);
                memory.Set(Sums, b, g, 1, groups[g].Mean, groups[g].Error);
            }
            for (int l = 0; l < Tokens; l++)
            {
                double dot = 0;
                double dotError = 0;
                double magnitude = 0;
                for (int g = 0; g < Groups; g++)
                {
                    (double count, double mean, double meanError) = groups[g];
                    double upstream = memory.Get(Upstream, b, g, l);
                    double soft = memory.Get(Soft, b, g, l);
                    derivative[g] = (upstream - mean) / count;
                    error[g] = (meanError + ReferenceMemory.Gamma(4) * (Math.Abs(upstream) + Math.Abs(mean))) / count;
                    dot += soft * derivative[g];
                    dotError += Math.Abs(soft) * error[g];
                    magnitude += Math.Abs(soft * derivative[g]);
                }
                dotError += ReferenceMemory.Gamma(Groups + 2) * magnitude;
                for (int g = 0; g < Groups; g++)
                {
                    double soft = memory.Get(Soft, b, g, l) / Temperature;
                    double bound = Math.Abs(soft) * (error[g] + dotError + ReferenceMemory.Gamma(4) * (Math.Abs(derivative[g]) + Math.Abs(dot)));
                    memory.Set(Gradient, b, g, l, soft * (derivative[g] - dot), bound);
                }
            }
        }
    }

    private (double Count, double Mean, double Error) Sum(ReferenceMemory memory, int b, int g)
    {
        double count = Epsilon;
        double sum = 0;
        double magnitude = 0;
        int tokens = 0;
        for (int l = 0; l < Tokens; l++)
        {
            if (Math.Clamp(memory.GetInt(Index, b, 0, l), 0, Groups - 1) == g)
            {
                count++;
                tokens++;
                sum += memory.Get(Upstream, b, g, l);
                magnitude += Math.Abs(memory.Get(Upstream, b, g, l));
            }
        }
        return (count, sum / count, ReferenceMemory.Gamma(tokens + 3) * magnitude / count);
    }
}
