namespace GroupViT.Kernels;

/// <summary>
/// Multi-head attention: per head h of width d, Y_h = softmax(scale·Q_h·K_hᵀ)·V_h, softmax over the keys (spec A.4, A.5, B.1).
/// </summary>
/// <remarks>
/// <para>Q is [batch, M, heads·d], K and V are [batch, N, heads·d], Y is [batch, M, heads·d]; head h owns the columns h·d to h·d + d of
/// each. Self-attention passes three column ranges of one fused projection.</para>
/// <para><see cref="Causal"/>: query i sees the keys 0..i (M = N). <see cref="KeyLengths"/>, [1, 1, batch] integers: of each batch
/// element only the first so many keys are seen, at least one. No M x N matrix is ever whole in memory.</para>
/// <para>Y must lie on none of the inputs. NaN or infinity in a query or a seen key makes that query's output NaN.</para>
/// </remarks>
internal sealed partial record Attention(TensorView Q, TensorView K, TensorView V, TensorView Y, int Heads, float Scale) : Operation
{
    public bool Causal { get; init; }

    public Tensor? KeyLengths { get; init; }

    public int HeadSize => Q.Columns / Heads;

    public override void Validate()
    {
        RequireSameShape(Q, Y);
        RequireSameShape(K, V);
        Require(Heads > 0 && Q.Columns % Heads == 0, $"{Q} does not divide into {Heads} heads");
        Require(HeadSize <= 128, $"heads of {HeadSize} columns are wider than the 128 that the kernels hold");
        Require(Q.Batch == K.Batch && Q.Columns == K.Columns, $"{Q} and {K} must have the same batch and columns");
        Require(!Causal || Q.Rows == K.Rows, $"causal attention needs as many keys as queries, not {Q} and {K}");
        if (KeyLengths is not null)
        {
            RequireVector(KeyLengths, Q.Batch);
        }
    }

    public override void Describe(OperationUses uses) => uses.Read(Q).Read(K).Read(V).Read(KeyLengths).Write(Y);

    /// <remarks>
    /// Bound: a score is off by δ = γ(d + 2)·scale·Σ|q·k|, so each weight relatively by 2·max δ plus the softmax's own errors; the
    /// weighted sum adds γ(N) of Σ p·|v|.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        int d = HeadSize;
        double[] scores = new double[K.Rows];
        for (int b = 0; b < Q.Batch; b++)
        {
            int length = KeyLengths is null ? K.Rows : memory.GetInt(KeyLengths, 0, 0, b);
            for (int h = 0; h < Heads; h++)
            {
                for (int m = 0; m < Q.Rows; m++)
                {
                    int seen = Causal ? Math.Min(length, m + 1) : length;
                    double scoreError = 0;
                    double max = double.NegativeInfinity;
                    for (int n = 0; n < seen; n++)
                    {
                        double magnitude = 0;
                        scores[n] = 0;
                        for (int c = h * d; c < (h + 1) * d; c++)
                        {
                            double product = Scale * memory.Get(Q, b, m, c) * memory.Get(K, b, n, c);
                            scores[n] += product;
                            magnitude += Math.Abs(product);
                        }
                        scoreError = Math.Max(scoreError, ReferenceMemory.Gamma(d + 3) * magnitude);
                        max = Math.Max(max, scores[n]);
                    }
                    double sum = 0;
                    double spread = 0;
                    for (int n = 0; n < seen; n++)
                    {
                        spread = Math.Max(spread, Math.Exp(scores[n] - max) * (max - scores[n]));
                        sum += scores[n] = Math.Exp(scores[n] - max);
                    }
                    double relative = 2 * scoreError + 2 * ReferenceMemory.U * spread * seen / sum + 4 * Softmax.ExpError + ReferenceMemory.Gamma(2 * seen + 4);
                    for (int c = h * d; c < (h + 1) * d; c++)
                    {
                        double y = 0;
                        double magnitude = 0;
                        for (int n = 0; n < seen; n++)
                        {
                            double term = scores[n] / sum * memory.Get(V, b, n, c);
                            y += term;
                            magnitude += Math.Abs(term) + Softmax.Smallest * Math.Abs(memory.Get(V, b, n, c)) / relative;
                        }
                        // An error of the weights beyond 1 means that the scores themselves are lost: anything between the values is possible.
                        memory.Set(Y, b, m, c, y, Math.Min(relative, 1e6) * magnitude);
                    }
                }
            }
        }
    }
}
