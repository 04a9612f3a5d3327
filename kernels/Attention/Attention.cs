namespace GroupViT.Kernels;

/// <summary>
/// Multi-head attention: per head h of width d, Y_h = softmax(scale·Q_h·K_hᵀ)·V_h, softmax over the keys (spec A.4, A.5, B.1).
/// </summary>
/// <remarks>
/// <para>Q is [batch, M, heads·d], K and V are [batch, N, heads·d], Y is [batch, M, heads·d]; head h owns the columns h·d to h·d + d of
/// each. Self-attention passes three column ranges of one fused projection.</para>
/// <para><see cref="HeadsMajor"/>: Q is [batch, heads·M, d], K and V are [batch, heads·N, d], head after head; Y is as ever.</para>
/// <para><see cref="Causal"/>: query i sees the keys 0..i (M = N). <see cref="KeyLengths"/>, [1, 1, batch] integers: of each batch
/// element only the first so many keys are seen, at least one. No M x N matrix is ever whole in memory.</para>
/// <para>Y must lie on none of the inputs. NaN in a query or in a key that it sees makes that head of its output NaN, and so does
/// infinity in a query. A score of -infinity is a weight of 0, one of +infinity gives NaN. What lies beyond a key length is never used, NaN
/// or not. A causal query gives the values after it the weight 0: they must be finite, or its output may be NaN.</para>
/// </remarks>
internal sealed partial record Attention(TensorView Q, TensorView K, TensorView V, TensorView Y, int Heads, float Scale) : Operation
{
    public bool Causal { get; init; }

    public Tensor? KeyLengths { get; init; }

    /// <summary>Whether a head's rows stand together, as <see cref="MatMul.HeadSize"/> lays them out, or its columns side by side.</summary>
    public bool HeadsMajor { get; init; }

    /// <summary>What a device with matrix instructions for it may round queries, keys, values and weights to before it multiplies; sums and softmax are float32.</summary>
    public WeightFormat Format { get; init; }

    public int HeadSize => Y.Columns / Heads;

    public int Queries => Y.Rows;

    public int Keys => HeadsMajor ? K.Rows / Heads : K.Rows;

    /// <summary>Where head <paramref name="head"/> of queries, keys or values begins in its batch element.</summary>
    public (int Row, int Column) HeadStart(int head, int rows) => HeadsMajor ? (head * rows, 0) : (0, head * HeadSize);

    /// <summary>Both products over all keys, or those up to the query's own; of key lengths nothing is known here.</summary>
    public override double Flops => 4.0 * Y.Batch * Y.Columns * (Causal ? Queries * (Queries + 1.0) / 2 : (double)Queries * Keys);

    public override void Validate()
    {
        RequireSameShape(K, V);
        RequireWritable(Y);
        Require(Heads > 0 && Y.Columns % Heads == 0, $"{Y} does not divide into {Heads} heads");
        (int rows, int columns) = HeadsMajor ? (Heads * Queries, HeadSize) : (Queries, Y.Columns);
        Require(Q.Batch == Y.Batch && Q.Rows == rows && Q.Columns == columns, $"{Q} does not give {Y} with {Heads} heads{(HeadsMajor ? ", one after another" : "")}");
        Require(!HeadsMajor || K.Rows % Heads == 0, $"{K} does not divide into {Heads} heads, one after another");
        Require(HeadSize <= 128, $"heads of {HeadSize} columns are wider than the 128 that the kernels hold");
        Require(Q.Batch == K.Batch && Q.Columns == K.Columns, $"{Q} and {K} must have the same batch and columns");
        Require(!Causal || Queries == Keys, $"causal attention needs as many keys as queries, not {Q} and {K}");
        if (KeyLengths is not null)
        {
            RequireVector(KeyLengths, Q.Batch);
            Require(KeyLengths.Type == ElementType.Int32, $"{KeyLengths} must hold integers");
        }
    }

    public override void Describe(OperationUses uses) => uses.Read(Q).Read(K).Read(V).Read(KeyLengths).Write(Y);

    /// <remarks>
    /// Bound: a score is off by δ = γ(d + 3)·scale·Σ|q·k|, so the logarithm of a weight by 2·max δ plus the softmax's own errors (its
    /// argument is rounded twice, by the difference and by the scale); the weighted sum adds γ(N) of Σ p·|v|. Where factors are rounded, by
    /// u each: 2u of Σ|q·k| more in δ, and 2u of Σ p·|v|; in float16 also half an ulp of its subnormal numbers for each factor, of a
    /// weight's in units of the largest.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        int d = HeadSize;
        double[] scores = new double[Keys];
        double[] errors = new double[Keys];
        double rounding = 2 * Format.UnitRoundoff() * (1 + Format.UnitRoundoff());
        double subnormal = Format == WeightFormat.Float16 ? Math.ScaleB(1, -25) : 0;
        for (int b = 0; b < Y.Batch; b++)
        {
            int length = KeyLengths is null ? Keys : Math.Clamp(memory.GetInt(KeyLengths, 0, 0, b), 1, Keys);
            for (int h = 0; h < Heads; h++)
            {
                (int query, int left) = HeadStart(h, Queries);
                int key = HeadStart(h, Keys).Row;
                for (int m = 0; m < Queries; m++)
                {
                    int seen = Causal ? Math.Min(length, m + 1) : length;
                    double scoreError = 0;
                    double max = double.NegativeInfinity;
                    for (int n = 0; n < seen; n++)
                    {
                        double magnitude = 0;
                        double small = 0;
                        scores[n] = 0;
                        for (int c = left; c < left + d; c++)
                        {
                            double product = Scale * memory.Get(Q, b, query + m, c) * memory.Get(K, b, key + n, c);
                            scores[n] += product;
                            magnitude += Math.Abs(product);
                            small += Math.Abs(memory.Get(Q, b, query + m, c)) + Math.Abs(memory.Get(K, b, key + n, c));
                        }
                        // An infinite score is exact.
                        double error = (ReferenceMemory.Gamma(d + 3) + rounding) * magnitude + subnormal * Math.Abs(Scale) * small;
                        scoreError = double.IsFinite(magnitude) ? Math.Max(scoreError, error) : scoreError;
                        max = Math.Max(max, scores[n]);
                    }
                    double sum = 0;
                    double argumentError = 0;
                    for (int n = 0; n < seen; n++)
                    {
                        double term = Math.Exp(scores[n] - max);
                        sum += term;
                        argumentError += term == 0 ? 0 : term * 2 * ReferenceMemory.U * (max - scores[n]);
                    }
                    double common = 2 * scoreError + argumentError / sum + 2 * Softmax.ExpError + ReferenceMemory.Gamma(2 * seen + 4);
                    for (int n = 0; n < seen; n++)
                    {
                        double distance = max - scores[n];
                        scores[n] = Math.Exp(-distance) / sum;
                        errors[n] = Softmax.ProbabilityError(distance, sum, common + 2 * ReferenceMemory.U * distance);
                    }
                    for (int c = 0; c < d; c++)
                    {
                        double y = 0;
                        double bound = 0;
                        for (int n = 0; n < seen; n++)
                        {
                            double value = memory.Get(V, b, key + n, left + c);
                            y += scores[n] * value;
                            bound += errors[n] * Math.Abs(value) + rounding * scores[n] * Math.Abs(value) + subnormal * (scores[n] + Math.Abs(value) / sum);
                        }
                        memory.Set(Y, b, m, h * d + c, y, bound);
                    }
                }
            }
        }
    }
}
