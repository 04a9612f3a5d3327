namespace GroupViT.Kernels;

/// <summary>
/// The model's own operation: every token chooses one group, and a group becomes the mean of what chose it (spec A.6, A.7).
/// <code>
/// R[g, l] = scale·⟨Q[g], K[l]⟩            logits
/// S[·, l] = softmax over the groups of R[·, l]
/// i[l]    = arg-max over the groups of R[·, l], the first of equals
/// A[g, l] = 1 where g = i[l], else 0;  straight-through: (A − S) + S, 1 up to an ulp
/// Y[g]    = Σ_l A[g, l]·V[l] / (Σ_l A[g, l] + ε)
/// </code>
/// </summary>
/// <remarks>
/// <para>Q is [batch, G, C], K is [batch, L, C], V is [batch, L, D]; Logits and Soft are [batch, G, L], Index is [batch, 1, L] integers,
/// Y is [batch, G, D]. The softmax runs over the groups, not over the tokens (spec J.1), and ε is 1, added to the number of tokens
/// (J.2): an empty group gives zeros.</para>
/// <para><see cref="Forced"/>, [batch, 1, L] integers, replaces the arg-max: so a recorded assignment is replayed through what follows.
/// Index then holds it. Forced indices outside [0, G) are clamped.</para>
/// <para>NaN among a token's logits: NaN never wins, the soft map of that token is NaN. Sums over tokens run in ascending order.</para>
/// </remarks>
internal sealed partial record GroupAssign(
    TensorView Q, TensorView K, TensorView V, TensorView Logits, TensorView Soft, Tensor Index, TensorView Y, float Scale, float Epsilon) : Operation
{
    public Tensor? Forced { get; init; }

    public bool StraightThrough { get; init; }

    public int Groups => Q.Rows;

    public int Tokens => K.Rows;

    /// <summary>The logits' product; a token's values are then added to one group's.</summary>
    public override double Flops => LogitsProduct.Flops + (double)V.Batch * V.Rows * V.Columns;

    public override void Validate()
    {
        Require(Q.Batch == K.Batch && K.Batch == V.Batch && Q.Columns == K.Columns && K.Rows == V.Rows, $"{Q}, {K} and {V} do not fit together");
        RequireSameShape(Logits, Soft);
        Require(Logits.Batch == Q.Batch && Logits.Rows == Groups && Logits.Columns == Tokens, $"{Logits} is not [{Q.Batch}, {Groups}, {Tokens}]");
        Require(Y.Batch == Q.Batch && Y.Rows == Groups && Y.Columns == V.Columns, $"{Y} is not [{Q.Batch}, {Groups}, {V.Columns}]");
        RequireWritable(Logits);
        RequireWritable(Soft);
        RequireWritable(Y);
        RequireIndex(Index);
        if (Forced is not null)
        {
            RequireIndex(Forced);
        }
        Require(Epsilon > 0, $"epsilon must be positive, not {Epsilon}: an empty group is divided by it");
    }

    public override void Describe(OperationUses uses)
        => uses.Read(Q).Read(K).Read(V).Read(Forced).Write(Logits).Write(Soft).Write(Index).Write(Y);

    /// <summary>The first part of the operation, the logits, as the product it is.</summary>
    internal MatMul LogitsProduct => new(Q, K, Logits) { TransposeB = true, Scale = Scale };

    /// <remarks>
    /// Bound: a logit as in <see cref="MatMul"/>, δ; the logarithm of a soft value by 2·max δ plus the softmax's own errors; a mean by
    /// γ(n + 8)·Σ|v|/(n + ε), which covers weights 1 − s + s that are off by two roundings. Where the best logits of a token are closer
    /// than the δ of both, either may win, and the means of those groups are unbounded; groups of equal queries have equal logits on
    /// every device, and the first wins.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        LogitsProduct.Evaluate(memory);
        for (int b = 0; b < Q.Batch; b++)
        {
            int[] chosen = new int[Tokens];
            bool[] uncertain = new bool[Groups];
            for (int l = 0; l < Tokens; l++)
            {
                Soften(memory, b, l);
                chosen[l] = Choose(memory, b, l, uncertain, out int spread);
                memory.Set(Index, b, 0, l, chosen[l], spread);
            }
            for (int g = 0; g < Groups; g++)
            {
                int count = chosen.Count(i => i == g);
                double weight = count + (double)Epsilon;
                for (int c = 0; c < V.Columns; c++)
                {
                    double sum = 0;
                    double magnitude = 0;
                    for (int l = 0; l < Tokens; l++)
                    {
                        double value = chosen[l] == g ? memory.Get(V, b, l, c) : 0;
                        sum += value;
                        magnitude += Math.Abs(value);
                    }
                    double bound = uncertain[g] ? double.PositiveInfinity : ReferenceMemory.Gamma(count + 8) * magnitude / weight;
                    memory.Set(Y, b, g, c, sum / weight, bound);
                }
            }
        }
    }

    /// <summary>The group, which others could win by rounding, and how far off in the index they are.</summary>
    private int Choose(ReferenceMemory memory, int b, int l, bool[] uncertain, out int spread)
    {
        spread = 0;
        if (Forced is { } forced)
        {
            return Math.Clamp(memory.GetInt(forced, b, 0, l), 0, Groups - 1);
        }
        ReadOnlySpan<double> bounds = memory.Bounds(Logits.Tensor);
        int best = 0;
        for (int g = 1; g < Groups; g++)
        {
            (double value, double most) = (memory.Get(Logits, b, g, l), memory.Get(Logits, b, best, l));
            best = value > most || (double.IsNaN(most) && !double.IsNaN(value)) ? g : best;
        }
        for (int g = 0; g < Groups; g++)
        {
            double margin = memory.Get(Logits, b, best, l) - memory.Get(Logits, b, g, l);
            if (margin <= bounds[Logits.Index(b, best, l)] + bounds[Logits.Index(b, g, l)] && !SameQuery(memory, b, best, g))
            {
                spread = Math.Max(spread, Math.Abs(best - g));
                uncertain[best] = uncertain[g] = true;
            }
        }
        return best;
    }

    private bool SameQuery(ReferenceMemory memory, int b, int first, int second)
    {
        bool same = true;
        for (int c = 0; same && c < Q.Columns; c++)
        {
            same = memory.Get(Q, b, first, c) == memory.Get(Q, b, second, c);
        }
        return same;
    }

    private void Soften(ReferenceMemory memory, int b, int l)
    {
        ReadOnlySpan<double> bounds = memory.Bounds(Logits.Tensor);
        double top = double.NegativeInfinity;
        double bound = 0;
        for (int g = 0; g < Groups; g++)
        {
            top = Math.Max(top, memory.Get(Logits, b, g, l));
            bound = Math.Max(bound, bounds[Logits.Index(b, g, l)]);
        }
        double sum = 0;
        for (int g = 0; g < Groups; g++)
        {
            sum += Math.Exp(memory.Get(Logits, b, g, l) - top);
        }
        for (int g = 0; g < Groups; g++)
        {
            double distance = top - memory.Get(Logits, b, g, l);
            double relative = 2 * bound + ReferenceMemory.U * distance + 2 * Softmax.ExpError + ReferenceMemory.Gamma(2 * Groups + 4);
            memory.Set(Soft, b, g, l, Math.Exp(-distance) / sum, Softmax.ProbabilityError(distance, sum, relative));
        }
    }

    private void RequireIndex(Tensor index)
        => Require(
            index.Type == ElementType.Int32 && index.Batch == K.Batch && index.Rows == 1 && index.Columns == Tokens,
            $"{index} must hold one integer per row of {K}");
}
