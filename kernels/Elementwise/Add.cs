namespace GroupViT.Kernels;

/// <summary>Y = A + B, element by element; without B, a copy.</summary>
/// <remarks>
/// Either operand may repeat over the batch (learned group tokens do). Y may lie on A or on B. One rounding; NaN and infinity spread.
/// </remarks>
internal sealed partial record Add(TensorView A, TensorView? B, TensorView Y) : Operation
{
    public override void Validate()
    {
        RequireSameShape(A, Y);
        RequireWritable(Y);
        if (B is { } b)
        {
            RequireSameShape(b, Y);
        }
    }

    public override void Describe(OperationUses uses)
        => uses.Read(A).Read(B).Write(Y).MayOverwrite(A, Y).MayOverwrite(B, Y);

    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < Y.Batch; b++)
        {
            for (int r = 0; r < Y.Rows; r++)
            {
                for (int c = 0; c < Y.Columns; c++)
                {
                    double value = memory.Get(A, b, r, c);
                    if (B is { } other)
                    {
                        memory.Set(Y, b, r, c, value + memory.Get(other, b, r, c), 0);
                    }
                    else
                    {
                        memory.SetExact(Y, b, r, c, value);
                    }
                }
            }
        }
    }
}
