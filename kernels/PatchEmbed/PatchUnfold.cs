namespace GroupViT.Kernels;

/// <summary>
/// Cuts pictures into patches: Y[b, r·Wp + c, (ch·P + ky)·P + kx] = X[b, ch, r·P + ky, c·P + kx] (spec A.1).
/// </summary>
/// <remarks>
/// <para>X is [batch, channels·height, width] (planes stacked), Y is [batch, Hp·Wp, channels·P²] with Hp = ⌊height/P⌋, Wp = ⌊width/P⌋;
/// pixels that fill no patch are ignored. The patch embedding is this, then a <see cref="MatMul"/> with the flattened convolution weight.</para>
/// <para>Why not a direct convolution: stride equals kernel, so the patches are a permutation of the picture, as many bytes as it has and
/// 1/768 of the product's work, and the product kernel serves as it is.</para>
/// </remarks>
internal sealed partial record PatchUnfold(TensorView X, TensorView Y, int Channels, int PatchSize) : Operation
{
    public int Height => X.Rows / Channels;

    public int GridHeight => Height / PatchSize;

    public int GridWidth => X.Columns / PatchSize;

    public override void Validate()
    {
        Require(Channels > 0 && PatchSize > 0, $"{Channels} channels and patches of {PatchSize} are no picture");
        RequireWritable(Y);
        Require(X.Rows % Channels == 0, $"{X} does not hold {Channels} planes");
        Require(GridHeight > 0 && GridWidth > 0, $"{X} is smaller than one patch of {PatchSize}");
        Require(
            Y.Batch == X.Batch && Y.Rows == GridHeight * GridWidth && Y.Columns == Channels * PatchSize * PatchSize,
            $"{Y} is not the {GridHeight} x {GridWidth} patches of {X}");
    }

    public override void Describe(OperationUses uses) => uses.Read(X).Write(Y);

    /// <remarks>Exact.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < Y.Batch; b++)
        {
            for (int token = 0; token < Y.Rows; token++)
            {
                for (int i = 0; i < Y.Columns; i++)
                {
                    int kx = i % PatchSize;
                    int ky = i / PatchSize % PatchSize;
                    int channel = i / (PatchSize * PatchSize);
                    int row = token / GridWidth * PatchSize + ky;
                    int column = token % GridWidth * PatchSize + kx;
                    memory.SetExact(Y, b, token, i, memory.Get(X, b, channel * Height + row, column));
                }
            }
        }
    }
}
