namespace GroupViT.Kernels;

/// <summary>
/// The label of every pixel of a picture, a band of rows at a time (spec F.1 steps 5 and 7, F.2 step 5).
/// <code>
/// w[g]     = group g's share of the pixel, resampled bilinearly from the network's pixels to the picture's
/// score[n] = Σ_g w[g]·Table[g, n]
/// label    = arg-max over n, the first of equals;  Score = score[label], or its softmax over n
/// </code>
/// </summary>
/// <remarks>
/// <para>The shares come from <see cref="Groups"/>, [1, 1, height·width] integers (each network pixel belongs to one group: a share of 1),
/// or from <see cref="Maps"/>, [1, G, height·width] floats; one of the two is given. Table is [1, G, N].</para>
/// <para>Why scores need no planes of their own: resampling is linear, and before it a pixel's scores are its group's row of the table.
/// So the N + 1 score maps of the original, at the picture's size, are never made.</para>
/// <para>Geometry is [1, 1, 4] integers, read at run time: the picture's height and width, the band's first row and its number of rows.
/// Labels (integers) and Scores are [1, 1, capacity], row-major within the band; rows·width must not exceed the capacity (extra pixels
/// are not written). One program thus serves every picture, in bounded memory.</para>
/// <para>Where all shares that count belong to one group, the table's own value is taken, without the rounding of the weights.</para>
/// </remarks>
internal sealed partial record PixelLabels(TensorView Table, Tensor Geometry, Tensor Labels, Tensor Scores, int Height, int Width) : Operation
{
    public const int MaxGroups = 256;

    public Tensor? Groups { get; init; }

    public TensorView? Maps { get; init; }

    public bool SoftmaxScore { get; init; }

    public int Capacity => Labels.Columns;

    public override void Validate()
    {
        Require(Groups is null != Maps is null, "either groups or maps are given");
        Require(Groups is null || (Groups.Type == ElementType.Int32 && Groups.Batch * Groups.Rows == 1 && Groups.Columns == Height * Width), $"{Groups} does not hold {Height} x {Width} pixels");
        Require(Maps is not { } maps || (maps.Batch == 1 && maps.Rows == Table.Rows && maps.Columns == Height * Width), $"{Maps} does not hold {Table.Rows} maps of {Height} x {Width}");
        Require(Table.Batch == 1 && Table.Rows <= MaxGroups, $"{Table} must be one table of at most {MaxGroups} groups");
        Require(Geometry.Type == ElementType.Int32 && Geometry.Count == 4, $"{Geometry} must hold four integers");
        Require(Labels.Type == ElementType.Int32 && Labels.Count == Labels.Columns && Scores.Count == Labels.Count && Scores.Columns == Labels.Columns, $"{Labels} and {Scores} must be vectors of equal length");
        Require(Math.Max(Height, Width) <= Bilinear.MaxInput, $"sides above {Bilinear.MaxInput} cannot be resampled");
    }

    public override void Describe(OperationUses uses)
        => uses.Read(Table).Read(Geometry).Read(Groups).Read(Maps).Write(Labels).Write(Scores);

    /// <remarks>
    /// Bound of a score: γ(G + 8)·Σ w·|table|. Labels are exact except where the two best scores are closer than twice that.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        int outHeight = memory.GetInt(Geometry, 0, 0, 0);
        int outWidth = memory.GetInt(Geometry, 0, 0, 1);
        int firstRow = memory.GetInt(Geometry, 0, 0, 2);
        int pixels = Math.Min(Capacity, memory.GetInt(Geometry, 0, 0, 3) * outWidth);
        double[] scores = new double[Table.Columns];
        for (int i = 0; i < pixels; i++)
        {
            double y = Bilinear.Position(firstRow + i / outWidth, Height, outHeight);
            double x = Bilinear.Position(i % outWidth, Width, outWidth);
            double largest = 0;
            Array.Clear(scores);
            for (int g = 0; g < Table.Rows; g++)
            {
                double share = Bilinear.Sample((r, c) => Share(memory, g, r * Width + c), Height, Width, y, x);
                for (int n = 0; n < Table.Columns; n++)
                {
                    scores[n] += share * memory.Get(Table, 0, g, n);
                    largest = Math.Max(largest, (Math.Abs(share) + 1e-3) * Math.Abs(memory.Get(Table, 0, g, n)));
                }
            }
            double bound = ReferenceMemory.Gamma(Table.Rows + 8) * largest * Math.Min(Table.Rows, 8);
            Write(memory, i, scores, bound);
        }
    }

    private void Write(ReferenceMemory memory, int pixel, double[] scores, double bound)
    {
        int best = 0;
        for (int n = 1; n < scores.Length; n++)
        {
            best = scores[n] > scores[best] ? n : best;
        }
        double second = double.NegativeInfinity;
        double sum = 0;
        for (int n = 0; n < scores.Length; n++)
        {
            second = n == best ? second : Math.Max(second, scores[n]);
            sum += Math.Exp(scores[n] - scores[best]);
        }
        memory.Set(Labels, 0, 0, pixel, best, scores[best] - second <= 2 * bound ? double.PositiveInfinity : 0);
        if (SoftmaxScore)
        {
            memory.Set(Scores, 0, 0, pixel, 1 / sum, (4 * bound + 3 * Softmax.ExpError + ReferenceMemory.Gamma(scores.Length + 2) + 200 * ReferenceMemory.U) / sum);
        }
        else
        {
            memory.Set(Scores, 0, 0, pixel, scores[best], bound);
        }
    }

    private double Share(ReferenceMemory memory, int group, int pixel)
        => Groups is not null ? (memory.GetInt(Groups, 0, 0, pixel) == group ? 1 : 0) : memory.Get(Maps!.Value, 0, group, pixel);
}
