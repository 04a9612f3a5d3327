namespace GroupViT.Kernels;

/// <summary>
/// Which group a pixel belongs to: the arg-max over the groups of their maps, resampled bilinearly to the pixels (spec F.1 steps 2, 3).
/// </summary>
/// <remarks>
/// Maps is [batch, G, gridHeight·gridWidth], Index is [batch, 1, height·width] integers. The resampled maps are never whole in memory.
/// The first of equal groups wins; NaN never wins, and a pixel of NaN alone is of group 0.
/// </remarks>
internal sealed partial record PixelGroups(TensorView Maps, Tensor Index, int GridHeight, int GridWidth, int Height, int Width) : Operation
{
    public override void Validate()
    {
        Require(Math.Min(Math.Min(GridHeight, GridWidth), Math.Min(Height, Width)) > 0, "sides must be positive");
        Require(Maps.Columns == GridHeight * GridWidth, $"{Maps} does not hold maps of {GridHeight} x {GridWidth}");
        Require(Math.Max(GridHeight, GridWidth) <= Bilinear.MaxInput && Math.Max(Height, Width) <= Bilinear.MaxOutput, "sides are too large");
        Require(
            Index.Type == ElementType.Int32 && Index.Batch == Maps.Batch && Index.Rows == 1 && Index.Columns == Height * Width,
            $"{Index} does not hold one integer per pixel of {Height} x {Width}");
    }

    public override void Describe(OperationUses uses) => uses.Read(Maps).Write(Index);

    /// <remarks>
    /// Exact, except where two of the largest values are closer than the rounding of both: there either may win, unless they come of
    /// the same neighbours: those are equal on every device, and the first wins.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        BilinearSample[] samples = new BilinearSample[Maps.Rows];
        for (int b = 0; b < Maps.Batch; b++)
        {
            for (int i = 0; i < Index.Columns; i++)
            {
                int best = -1;
                for (int g = 0; g < Maps.Rows; g++)
                {
                    samples[g] = Bilinear.Sample(
                        (r, c) => memory.Get(Maps, b, g, r * GridWidth + c), GridHeight, GridWidth, Height, Width, i / Width, i % Width);
                    best = double.IsNaN(samples[g].Value) || (best >= 0 && samples[g].Value <= samples[best].Value) ? best : g;
                }
                double bound = 0;
                for (int g = 0; best >= 0 && g < Maps.Rows; g++)
                {
                    bool rival = samples[g] != samples[best] && samples[best].Value - samples[g].Value <= samples[best].Bound + samples[g].Bound;
                    bound = rival ? Math.Max(bound, Math.Abs(g - best)) : bound;
                }
                memory.Set(Index, b, 0, i, Math.Max(best, 0), bound);
            }
        }
    }
}
