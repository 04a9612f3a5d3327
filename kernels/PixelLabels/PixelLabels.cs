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
/// Labels (16-bit integers) and Scores are [1, 1, capacity], row-major within the band; rows·width must not exceed the capacity (extra pixels
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
        Require(Math.Min(Height, Width) > 0, "sides must be positive");
        Require(Groups is null || (Groups.Type == ElementType.Int32 && Groups.Batch * Groups.Rows == 1 && Groups.Columns == Height * Width), $"{Groups} does not hold {Height} x {Width} pixels");
        Require(Maps is not { } maps || (maps.Batch == 1 && maps.Rows == Table.Rows && maps.Columns == Height * Width), $"{Maps} does not hold {Table.Rows} maps of {Height} x {Width}");
        Require(Table.Batch == 1 && Table.Rows <= MaxGroups, $"{Table} must be one table of at most {MaxGroups} groups");
        Require(Geometry.Type == ElementType.Int32 && Geometry.Count == 4, $"{Geometry} must hold four integers");
        Require(Labels.Type == ElementType.UInt16 && Labels.Count == Labels.Columns && Scores.Count == Labels.Count && Scores.Columns == Labels.Columns, $"{Labels} and {Scores} must be vectors of equal length, of 16-bit integers and floats");
        Require(Table.Columns <= ushort.MaxValue, $"{Table} has more columns than 16 bits can name");
        Require(Math.Max(Height, Width) <= Bilinear.MaxInput, $"sides above {Bilinear.MaxInput} cannot be resampled");
    }

    public override void Describe(OperationUses uses)
        => uses.Read(Table).Read(Geometry).Read(Groups).Read(Maps).Write(Labels).Write(Scores);

    /// <remarks>
    /// Bound of a score: a share is off by <see cref="BilinearSample.Bound"/>, the sum by γ(G + 2)·Σ w·|table|. Labels are exact except where
    /// the best scores are closer than the bounds of both; labels of the same column of the table are equal on every device, and the
    /// first wins.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        int outHeight = memory.GetInt(Geometry, 0, 0, 0);
        int outWidth = memory.GetInt(Geometry, 0, 0, 1);
        int firstRow = memory.GetInt(Geometry, 0, 0, 2);
        long pixels = Math.Min(Capacity, (long)memory.GetInt(Geometry, 0, 0, 3) * outWidth);
        double[] scores = new double[Table.Columns];
        double[] bounds = new double[Table.Columns];
        for (int i = 0; i < pixels; i++)
        {
            Array.Clear(scores);
            Array.Clear(bounds);
            for (int g = 0; g < Table.Rows; g++)
            {
                BilinearSample share = Bilinear.Sample(
                    (r, c) => Share(memory, g, r * Width + c), Height, Width, outHeight, outWidth, firstRow + i / outWidth, i % outWidth);
                if (share.Largest == 0)
                {
                    continue;
                }
                double error = share.Bound + ReferenceMemory.Gamma(Table.Rows + 2) * share.Magnitude;
                for (int n = 0; n < Table.Columns; n++)
                {
                    scores[n] += share.Value * memory.Get(Table, 0, g, n);
                    bounds[n] += error * Math.Abs(memory.Get(Table, 0, g, n));
                }
            }
            Write(memory, i, scores, bounds);
        }
    }

    private void Write(ReferenceMemory memory, int pixel, double[] scores, double[] bounds)
    {
        int best = 0;
        for (int n = 1; n < scores.Length; n++)
        {
            best = scores[n] > scores[best] ? n : best;
        }
        double sum = 0;
        double bound = 0;
        int rivals = 0;
        for (int n = 0; n < scores.Length; n++)
        {
            sum += Math.Exp(scores[n] - scores[best]);
            if (scores[best] - scores[n] <= bounds[best] + bounds[n])
            {
                bound = Math.Max(bound, bounds[n]);
                rivals = SameColumn(memory, best, n) ? rivals : Math.Max(rivals, Math.Abs(best - n));
            }
        }
        memory.Set(Labels, 0, 0, pixel, best, rivals);
        if (SoftmaxScore)
        {
            // The largest of the scores is subtracted from all of them: each difference is off by two of their bounds and one rounding.
            double relative = 2 * bounds.Max() + 2 * Softmax.ExpError + ReferenceMemory.Gamma(2 * scores.Length + 2);
            memory.Set(Scores, 0, 0, pixel, 1 / sum, Softmax.ProbabilityError(0, sum, relative));
        }
        else
        {
            memory.Set(Scores, 0, 0, pixel, scores[best], bound);
        }
    }

    private bool SameColumn(ReferenceMemory memory, int first, int second)
    {
        bool same = true;
        for (int g = 0; same && g < Table.Rows; g++)
        {
            same = memory.Get(Table, 0, g, first) == memory.Get(Table, 0, g, second);
        }
        return same;
    }

    private double Share(ReferenceMemory memory, int group, int pixel)
        => Groups is not null ? (memory.GetInt(Groups, 0, 0, pixel) == group ? 1 : 0) : memory.Get(Maps!.Value, 0, group, pixel);
}
