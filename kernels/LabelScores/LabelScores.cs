namespace GroupViT.Kernels;

/// <summary>Whose rules make scores of embeddings.</summary>
internal enum LabelRules
{
    /// <summary>Preset transformers (spec F.2 step 4): temperature · cosine.</summary>
    Logits,

    /// <summary>Preset nvlabs without background (spec F.1 step 4).</summary>
    Probabilities,

    /// <summary>With background (spec F.1 step 5): a first column that is 1 for groups without a score above the threshold, else 0.</summary>
    Background,

    /// <summary>With background, for pixels that mix groups: the first column is the threshold itself.</summary>
    MixedBackground,
}

/// <summary>
/// The score of every label for every group, from unit embeddings.
/// <code>
/// a[g, c]   = temperature · ⟨Groups[g], Labels[c]⟩          p[c] = temperature · ⟨Picture, Labels[c]⟩
/// kept      = the K labels of the largest p, the first of equals
/// Q[g, c]   = softmax over c of a[g, ·] · softmax over kept c of a[g, ·];   0 where c is not kept
/// largest   = max Q;   threshold = min(given, largest)
/// Table     = a (Logits), Q, or a first column before Q: [max over c of Q[g, c] is below threshold], or threshold (MixedBackground)
/// </code>
/// </summary>
/// <remarks>
/// <para>Picture is [1, 1, D], Groups [1, G, D], Labels [1, N, D], Table [1, G, N] or [1, G, N + 1]. Rules is [1, 1, 5], read at run time:
/// temperature and threshold as two floats each (their sum is meant), and K; 2 and 3 are 0 where there is no threshold.</para>
/// <para>Verdict is [1, 1, 3 + G]: largest as two floats, whose sum is meant; 1 where picture and groups are finite numbers, else 0 (and the
/// table is worth nothing); the largest Q of each group. Under Logits only the 0 or 1 means anything. Work, [1, <see cref="WorkRows"/>, 2N], is
/// the kernels' own.</para>
/// </remarks>
internal sealed partial record LabelScores(TensorView Picture, TensorView Groups, Tensor Labels, Tensor Rules, Tensor Work, Tensor Verdict, Tensor Table, LabelRules Kind) : Operation
{
    public const int RuleCount = 5;

    /// <summary>Where Verdict holds the 0 or 1, and where the groups' largest begin.</summary>
    public const int FiniteAt = 2;
    public const int BestAt = 3;

    public int GroupCount => Groups.Rows;

    public int LabelCount => Labels.Rows;

    public int Width => Labels.Columns;

    public bool HasBackground => Kind is LabelRules.Background or LabelRules.MixedBackground;

    public static int WorkRows(int groups, LabelRules kind) => kind == LabelRules.Logits ? groups : groups + 2;

    public override double Flops => Kind == LabelRules.Logits ? 2.0 * GroupCount * LabelCount * Width : 2.0 * (GroupCount + 1) * LabelCount * Width;

    public override void Validate()
    {
        Require(Picture.Batch == 1 && Picture.Rows == 1 && Picture.Columns == Width, $"{Picture} is not one embedding of {Width}");
        Require(Groups.Batch == 1 && Groups.Columns == Width, $"{Groups} does not hold embeddings of {Width}");
        Require(Labels.Batch == 1 && LabelCount > 0, $"{Labels} must be one list of at least one label");
        RequireVector(Rules, RuleCount);
        int rows = WorkRows(GroupCount, Kind);
        Require(Work.Batch == 1 && Work.Rows == rows && Work.Columns == 2 * LabelCount, $"{Work} is not [1, {rows}, {2 * LabelCount}]");
        RequireVector(Verdict, BestAt + GroupCount);
        Require(Table.Batch == 1 && Table.Rows == GroupCount && Table.Columns == LabelCount + (HasBackground ? 1 : 0), $"{Table} is not [1, {GroupCount}, {LabelCount + (HasBackground ? 1 : 0)}]");
    }

    public override void Describe(OperationUses uses)
        => uses.Read(Picture).Read(Groups).Read(Labels).Read(Rules).Write(Work).Write(Verdict).Write(Table);

    /// <remarks>
    /// Bound: products are summed with their rounding errors, so an affinity is off by γ(D + 4)²·|temperature|·Σ|x·y| and one rounding, δ; a
    /// probability's logarithm by 2·δ, the rounding of the distance and the exponential's error. Where the K-th and the next of p are closer
    /// than both their δ, any label may be kept and Q is unbounded; where a group's largest is as close to the threshold as its bound, its
    /// background may be 0 or 1.
    /// </remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        double temperature = memory.Get(Rules, 0) + memory.Get(Rules, 1);
        int n = LabelCount;
        (double Value, double Error)[] picture = Affinities(memory, Picture, 0, temperature);
        bool finite = Kind == LabelRules.Logits || picture.All(a => double.IsFinite(a.Value));
        bool[] kept = Keep(picture, (int)memory.Get(Rules, 4), out bool uncertain);
        double largest = 0;
        double largestBound = 0;
        (double Value, double Bound)[] best = new (double, double)[GroupCount];
        int first = HasBackground ? 1 : 0;
        for (int i = 0; i < Work.Count; i++)
        {
            memory.Set(Work, 0, i / Work.Columns, i % Work.Columns, 0, double.PositiveInfinity);
        }
        for (int g = 0; g < GroupCount; g++)
        {
            (double Value, double Error)[] row = Affinities(memory, Groups, g, temperature);
            finite &= row.All(a => double.IsFinite(a.Value));
            if (Kind == LabelRules.Logits)
            {
                for (int c = 0; c < n; c++)
                {
                    memory.Set(Table, 0, g, c, row[c].Value, row[c].Error);
                }
                memory.Set(Verdict, 0, 0, BestAt + g, 0, double.PositiveInfinity);
                continue;
            }
            (double Value, double Bound)[] all = Softmax(row, _ => true);
            (double Value, double Bound)[] some = Softmax(row, c => kept[c]);
            for (int c = 0; c < n; c++)
            {
                double q = all[c].Value * some[c].Value;
                double bound = uncertain ? double.PositiveInfinity
                    : all[c].Value * some[c].Bound + some[c].Value * all[c].Bound + all[c].Bound * some[c].Bound + 2 * ReferenceMemory.U * q;
                memory.Set(Table, 0, g, first + c, q, bound);
                best[g] = (Math.Max(best[g].Value, q), Math.Max(best[g].Bound, bound));
            }
            memory.Set(Verdict, 0, 0, BestAt + g, best[g].Value, best[g].Bound);
            largest = Math.Max(largest, best[g].Value);
            largestBound = Math.Max(largestBound, best[g].Bound);
        }
        double threshold = Math.Min(memory.Get(Rules, 2) + memory.Get(Rules, 3), largest);
        for (int g = 0; g < GroupCount && first == 1; g++)
        {
            if (Kind == LabelRules.MixedBackground)
            {
                memory.Set(Table, 0, g, 0, threshold, largestBound + ReferenceMemory.U * threshold);
                continue;
            }
            // Compared with the largest of all, only a group that is it for certain is not below it on any device.
            double given = memory.Get(Rules, 2) + memory.Get(Rules, 3);
            bool ofLargest = given >= largest - largestBound && Enumerable.Range(0, GroupCount).Any(other => other != g && best[other].Value + best[other].Bound >= best[g].Value - best[g].Bound);
            bool close = (ofLargest && largest - best[g].Value <= best[g].Bound + largestBound)
                || Math.Abs(best[g].Value - given) <= best[g].Bound + 2 * ReferenceMemory.U * given;
            memory.Set(Table, 0, g, 0, best[g].Value < threshold ? 1 : 0, uncertain ? double.PositiveInfinity : close ? 1 : 0);
        }
        memory.Set(Verdict, 0, 0, 0, largest, Kind == LabelRules.Logits ? double.PositiveInfinity : largestBound);
        memory.Set(Verdict, 0, 0, 1, 0, Kind == LabelRules.Logits ? double.PositiveInfinity : ReferenceMemory.U * largest);
        memory.SetExact(Verdict, 0, 0, FiniteAt, finite ? 1 : 0);
    }

    private (double Value, double Error)[] Affinities(ReferenceMemory memory, TensorView rows, int r, double temperature)
    {
        (double, double)[] affinities = new (double, double)[LabelCount];
        for (int c = 0; c < LabelCount; c++)
        {
            double sum = 0;
            double magnitude = 0;
            for (int k = 0; k < Width; k++)
            {
                double product = memory.Get(rows, 0, r, k) * memory.Get(Labels, 0, c, k);
                sum += product;
                magnitude += Math.Abs(product);
            }
            double gamma = ReferenceMemory.Gamma(Width + 4);
            affinities[c] = (temperature * sum, Math.Abs(temperature) * (gamma * gamma * magnitude + Math.ScaleB(Math.Abs(sum), -44)) + float.Epsilon * Width);
        }
        return affinities;
    }

    private static bool[] Keep((double Value, double Error)[] picture, int count, out bool uncertain)
    {
        int[] order = [.. Enumerable.Range(0, picture.Length).OrderByDescending(c => picture[c].Value).ThenBy(c => c)];
        bool[] kept = new bool[picture.Length];
        foreach (int c in order.Take(count))
        {
            kept[c] = true;
        }
        uncertain = count < picture.Length && count > 0
            && picture[order[count - 1]].Value - picture[order[count]].Value is double margin
            && margin != 0 && margin <= picture[order[count - 1]].Error + picture[order[count]].Error;
        return kept;
    }

    private static (double Value, double Bound)[] Softmax((double Value, double Error)[] row, Func<int, bool> counts)
    {
        double top = double.NegativeInfinity;
        double error = 0;
        for (int c = 0; c < row.Length; c++)
        {
            if (counts(c))
            {
                top = Math.Max(top, row[c].Value);
                error = Math.Max(error, row[c].Error);
            }
        }
        double sum = 0;
        double argumentError = 0;
        for (int c = 0; c < row.Length; c++)
        {
            double term = counts(c) ? Math.Exp(row[c].Value - top) : 0;
            sum += term;
            argumentError += term == 0 ? 0 : term * 2 * ReferenceMemory.U * (top - row[c].Value);
        }
        (double, double)[] soft = new (double, double)[row.Length];
        for (int c = 0; c < row.Length; c++)
        {
            if (counts(c))
            {
                double distance = top - row[c].Value;
                double relative = 2 * error + 2 * ReferenceMemory.U * distance + argumentError / sum + 2 * Kernels.Softmax.ExpError + 8 * ReferenceMemory.U;
                soft[c] = (Math.Exp(-distance) / sum, Kernels.Softmax.ProbabilityError(distance, sum, relative));
            }
        }
        return soft;
    }
}
