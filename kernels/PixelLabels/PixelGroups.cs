namespace GroupViT.Kernels;

/// <summary>
/// Which group a pixel belongs to: the arg-max over the groups of their maps, resampled bilinearly to the pixels (spec F.1 steps 2, 3).
/// </summary>
/// <remarks>
/// Maps is [batch, G, gridHeight·gridWidth], Index is [batch, 1, height·width] integers. The resampled maps are never whole in memory.
/// The first of equal groups wins; NaN never wins.
/// </remarks>
internal sealed partial record PixelGroups(TensorView Maps, Tensor Index, int GridHeight, int GridWidth, int Height, int Width) : Operation
{
    public override void Validate()
    {
        Require(Maps.Columns == GridHeight * GridWidth, $"{Maps} does not hold maps of {GridHeight} x {GridWidth}");
        Require(Math.Max(GridHeight, GridWidth) <= Bilinear.MaxInput && Math.Max(Height, Width) <= Bilinear.MaxOutput, "sides are too large");
        Require(
            Index.Type == ElementType.Int32 && Index.Batch == Maps.Batch && Index.Rows == 1 && Index.Columns == Height * Width,
            $"{Index} does not hold one integer per pixel of {Height} x {Width}");
    }

    public override void Describe(OperationUses uses) => uses.Read(Maps).Write(Index);

    /// <remarks>Exact, except where the two best resampled values are closer than the rounding of both: there either may win.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        for (int b = 0; b < Maps.Batch; b++)
        {
            for (int i = 0; i < Index.Columns; i++)
            {
                double y = Bilinear.Position(i / Width, GridHeight, Height);
                double x = Bilinear.Position(i % Width, GridWidth, Width);
                int best = 0;
                double most = double.NegativeInfinity;
                double second = double.NegativeInfinity;
                double magnitude = 0;
                for (int g = 0; g < Maps.Rows; g++)
                {
                    double value = Bilinear.Sample((r, c) => memory.Get(Maps, b, g, r * GridWidth + c), GridHeight, GridWidth, y, x);
                    magnitude = Math.Max(magnitude, Bilinear.Sample((r, c) => Math.Abs(memory.Get(Maps, b, g, r * GridWidth + c)), GridHeight, GridWidth, y, x));
                    second = Math.Max(second, Math.Min(value, most));
                    (best, most) = value > most ? (g, value) : (best, most);
                }
                bool tie = most - second <= 24 * ReferenceMemory.U * magnitude && second < most;
                memory.Set(Index, b, 0, i, best, tie ? double.PositiveInfinity : 0);
            }
        }
    }
}
