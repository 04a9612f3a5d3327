namespace GroupViT.Kernels;

/// <summary>
/// How many of a band's pixels have each label, and the sum of their scores: what a picture's shares and mean scores are made of.
/// </summary>
/// <remarks>
/// <para>Labels (16-bit integers), Scores in [0, 1] and Geometry are as of <see cref="PixelLabels"/>. Sums is [1, N, 4] integers: of each label the number of its pixels, then
/// of their scores in units of 2^-31, rounded down, the sums of the lowest 11 bits, of the next 11, and of the rest (<see cref="ScoreOf"/>).</para>
/// <para>Integers, because they may be added in any order: threads add what they found as they finish, and the result has the same bits on every device. In three parts,
/// because 32 bits is the widest that every device adds at once: 2^11 times the 2^19 pixels that a band may have is below 2^31. A score of 24 bits loses
/// nothing down to 2^-8, and at most 2^-31 below.</para>
/// </remarks>
internal sealed partial record LabelSums(Tensor Labels, Tensor Scores, Tensor Geometry, Tensor Sums) : Operation
{
    /// <summary>Numbers of a label.</summary>
    public const int Parts = 4;

    /// <summary>Of the lower two parts of a score.</summary>
    public const int PartBits = 11;

    public const float Units = 1u << 31;

    private const int MostPixels = 1 << 19;

    private const uint PartMask = (1 << PartBits) - 1;

    public int Capacity => Labels.Columns;

    public int LabelCount => Sums.Rows;

    public override void Validate()
    {
        Require(Labels.Type == ElementType.UInt16 && Labels.Count == Labels.Columns && Scores.Count == Labels.Count && Scores.Columns == Labels.Columns, $"{Labels} and {Scores} must be vectors of equal length, of 16-bit integers and floats");
        Require(Capacity <= MostPixels, $"{Labels} holds more than {MostPixels} pixels, whose sums 32 bits may not hold");
        Require(Geometry.Type == ElementType.Int32 && Geometry.Count == 4, $"{Geometry} must hold four integers");
        Require(Sums.Type == ElementType.Int32 && Sums.Batch == 1 && Sums.Columns == Parts, $"{Sums} must hold four integers of each label");
    }

    public override void Describe(OperationUses uses) => uses.Read(Labels).Read(Scores).Read(Geometry).Write(Sums);

    /// <summary>A label's number of pixels and the sum of their scores.</summary>
    public static (int Count, double Score) ScoreOf(ReadOnlySpan<int> sums, int label)
    {
        ReadOnlySpan<int> parts = sums.Slice(label * Parts, Parts);
        return (parts[0], (parts[1] + parts[2] * (double)(1 << PartBits) + parts[3] * (double)(1 << (2 * PartBits))) / Units);
    }

    /// <summary>A score in units: scores are never negative, and above 1 by no more than a rounding.</summary>
    internal static uint InUnits(float score) => (uint)(score * Units);

    internal static int Low(uint units) => (int)(units & PartMask);

    internal static int Middle(uint units) => (int)((units >> PartBits) & PartMask);

    internal static int High(uint units) => (int)(units >> (2 * PartBits));

    /// <remarks>Exact.</remarks>
    public override void Evaluate(ReferenceMemory memory)
    {
        long[] sums = new long[LabelCount * Parts];
        long pixels = Math.Min(Capacity, (long)memory.GetInt(Geometry, 0, 0, 3) * memory.GetInt(Geometry, 0, 0, 1));
        for (int i = 0; i < pixels; i++)
        {
            int label = memory.GetInt(Labels, 0, 0, i);
            long units = (long)Math.Floor(memory.Get(Scores, i) * Units);
            sums[label * Parts]++;
            sums[label * Parts + 1] += units % (1 << PartBits);
            sums[label * Parts + 2] += units / (1 << PartBits) % (1 << PartBits);
            sums[label * Parts + 3] += units / (1 << (2 * PartBits));
        }
        for (int i = 0; i < sums.Length; i++)
        {
            memory.SetExact(Sums, 0, i / Parts, i % Parts, sums[i]);
        }
    }
}
