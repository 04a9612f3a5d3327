namespace GroupViT.Kernels;

internal enum BiasAxis
{
    /// <summary>One value per output column: an ordinary linear layer.</summary>
    Columns,

    /// <summary>One value per output row: a product whose weights stand on the left (the token mixers).</summary>
    Rows,
}

/// <summary>
/// Y[b] = act(scale · A[b]·B[b] + bias) + residual[b], or with B transposed A[b]·B[b]ᵀ.
/// </summary>
/// <remarks>
/// <para>A is [batch, M, K]; B is [batch, K, N], or [batch, N, K] where <see cref="TransposeB"/> is set: the layout of a linear
/// layer's weight. Y is [batch, M, N]. Any operand may repeat over the batch. Either factor may be a constant; a constant B is packed
/// once, when the operation is prepared.</para>
/// <para>Weights on the left give the mixers' products (spec 0, MixMLP) without a transposed copy: Y = W·X mixes the rows of X.</para>
/// <para>Residual may lie on Y. NaN and infinity spread as in IEEE arithmetic.</para>
/// <para>Order of summation: k ascending in one accumulator per output element; CUDA's kernels with shared memory cut K into a fixed number
/// of equal parts, sum each so, and add the parts in ascending order. Which of the two depends on N, K, format and device, never on M or the batch.</para>
/// </remarks>
internal sealed partial record MatMul(TensorView A, TensorView B, TensorView Y) : Operation
{
    public bool TransposeB { get; init; }

    public float Scale { get; init; } = 1;

    public Tensor? Bias { get; init; }

    public BiasAxis BiasAxis { get; init; }

    public Activation Activation { get; init; }

    public TensorView? Residual { get; init; }

    /// <summary>How a constant B is kept: its values are rounded to the format first, and what follows is as for float32.</summary>
    public WeightFormat WeightFormat { get; init; }

    /// <summary>True where a device with matrix instructions for <see cref="WeightFormat"/> may round A to it as well.</summary>
    public bool RoundsFactors { get; init; }

    /// <summary>
    /// Above 0: Y is laid out by heads of so many columns, [batch, (N / HeadSize)·M, HeadSize], a head's rows one after another: what
    /// <see cref="Attention.HeadsMajor"/> reads. A multiple of 4.
    /// </summary>
    public int HeadSize { get; init; }

    public int M => A.Rows;

    public int N => TransposeB ? B.Rows : B.Columns;

    public int K => A.Columns;

    public override double Flops => 2.0 * Y.Batch * M * N * K;

    public override void Validate()
    {
        int k = TransposeB ? B.Columns : B.Rows;
        Require(HeadSize == 0 || (HeadSize > 0 && HeadSize % 4 == 0 && N % HeadSize == 0), $"heads of {HeadSize} columns do not divide {N}, or are no multiple of 4");
        (int rows, int columns) = HeadSize == 0 ? (M, N) : (N / HeadSize * M, HeadSize);
        Require(k == K && Y.Rows == rows && Y.Columns == columns, $"{A} times {B}{(TransposeB ? " transposed" : "")}{(HeadSize > 0 ? $" by heads of {HeadSize}" : "")} is not {Y}");
        Require(A.Batch == Y.Batch && B.Batch == Y.Batch, $"{A}, {B} and {Y} must have the same batch (repeat what is shared)");
        Require(Y.BatchStride != 0 || Y.Batch == 1, $"{Y} is written and cannot repeat");
        Require(WeightFormat == WeightFormat.Float32 || B.Tensor.IsConstant, $"{B} is no constant: only weights are kept as {WeightFormat}");
        if (Bias is not null)
        {
            RequireVector(Bias, BiasAxis == BiasAxis.Columns ? N : M);
        }
        if (Residual is { } residual)
        {
            Require(HeadSize == 0, $"nothing is added to a product that is laid out by heads, not {residual}");
            RequireSameShape(residual, Y);
        }
    }

    public override void Describe(OperationUses uses)
        => uses.Read(A).Read(B).Read(Bias).Read(Residual).Write(Y).MayOverwrite(Residual, Y);

    /// <remarks>Where factors are rounded, a relative error of the format's on each product is added. Bound: γ(K)·|scale|·Σ|a·b| for the sum, one rounding each for scale and bias, then the activation's own.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < Y.Batch; b++)
        {
            for (int m = 0; m < M; m++)
            {
                for (int n = 0; n < N; n++)
                {
                    double sum = 0;
                    double magnitude = 0;
                    double small = 0;
                    for (int k = 0; k < K; k++)
                    {
                        double product = memory.Get(A, b, m, k) * Stored(TransposeB ? memory.Get(B, b, n, k) : memory.Get(B, b, k, n));
                        sum += product;
                        magnitude += Math.Abs(product);
                        small += Math.Abs(Stored(TransposeB ? memory.Get(B, b, n, k) : memory.Get(B, b, k, n)));
                    }
                    double bias = Bias is null ? 0 : memory.Get(Bias, BiasAxis == BiasAxis.Columns ? n : m);
                    double x = Scale * sum + bias;
                    double bound = ReferenceMemory.Gamma(K + 2) * Math.Abs(Scale) * magnitude + ReferenceMemory.U * Math.Abs(x);
                    if (RoundsFactors)
                    {
                        // Half an ulp of a subnormal float16 is 2^-25, whatever the number.
                        bound += Math.Abs(Scale) * (WeightFormat.FactorRounding() * magnitude + (WeightFormat == WeightFormat.Float16 ? Math.ScaleB(1, -25) * small : 0));
                    }
                    double y = ActivationReference.Apply(Activation, x);
                    bound = ActivationReference.Bound(Activation, x, bound);
                    double residual = Residual is { } view ? memory.Get(view, b, m, n) : 0;
                    (int row, int column) = HeadSize == 0 ? (m, n) : (n / HeadSize * M + m, n % HeadSize);
                    memory.Set(Y, b, row, column, y + residual, bound);
                }
            }
        }
    }

    private double Stored(double value) => WeightFormat.Kept(value);
}
