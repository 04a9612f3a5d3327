using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>How many threads a group token has, as a type: shared memory needs a constant.</summary>
internal interface IMeanShape
{
    /// <summary>Two to this power are the quads of columns of a group of threads.</summary>
    static abstract int QuadBits { get; }
}

/// <summary>128 columns by four parts of the tokens: 128 threads.</summary>
internal readonly struct WideMean : IMeanShape
{
    public static int QuadBits => 5;
}

/// <summary>For the simulator: 16 columns, 16 threads.</summary>
internal readonly struct NarrowMean : IMeanShape
{
    public static int QuadBits => 2;
}

internal readonly struct GpuMeanArguments(GroupAssign operation, GpuBinding binding, int columnTiles)
{
    public readonly GpuFloats Values = binding.Floats(operation.V);
    public readonly GpuFloats Soft = binding.Floats(operation.Soft);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int StraightThrough = operation.StraightThrough ? 1 : 0;
    public readonly int Groups = operation.Groups;
    public readonly int Tokens = operation.Tokens;
    public readonly int Columns = operation.V.Columns;
    public readonly int ColumnTiles = columnTiles;
    public readonly float Epsilon = operation.Epsilon;
}

/// <summary>A thread's part of a group's sum: four columns, and how much was added.</summary>
internal struct WeightedSum
{
    public Quad Sum;
    public float Weights;
}

/// <summary>
/// The second launch of a grouping: a group of threads makes 128 columns of one group token, from a bit for each token that says whether
/// it chose the group, and reads nothing of the others.
/// </summary>
/// <remarks>
/// <para>One picture of 224, first stage: 301,056 bytes of values are read once, a row's 512 bytes by 32 threads side by side, and 98,304 of means
/// written; 75,264 additions. 192 groups of 128 threads; 24 in the second stage. A thread a value of Y would compare 24,576 x 196 = 4.8 million times,
/// one after another; here every token is asked about once for each of the 192: 37,632 comparisons.</para>
/// <para>Order of summation: runs of eight tokens go round four parts, so that a large group of neighbouring tokens falls to all of them. A part adds its
/// tokens in ascending order, then the parts are added in ascending order. That depends on the tokens' numbers alone, and there are no atomics.</para>
/// <para>Each thread asks eight neighbouring tokens, which is one run; 1,024 tokens a round, so both input sizes need one. A part then walks over the
/// bits of four runs at a time, and takes four values at once: a group with 100 tokens waits for memory seven times instead of 25.</para>
/// <para>Not taken: a list of the tokens, which needs a prefix sum over the threads and its barriers; one walk over the tokens with all groups' sums in
/// shared memory, which is a chain of 196 steps.</para>
/// </remarks>
internal static class SharedGroupMean
{
    private const int PartBits = 2;
    private const int Parts = 1 << PartBits;

    /// <summary>Neighbouring tokens that one thread asks about, and that one part adds.</summary>
    private const int Run = 8;

    public static bool Fits(GroupAssign operation, DeviceFacts facts) => !facts.IsVectorProcessor && Suits(operation);

    /// <summary>Rows of whole quads.</summary>
    public static bool Suits(GroupAssign operation)
        => operation.V.Columns % 4 == 0 && AlignedQuads.Fits(operation.V) && AlignedQuads.Fits(operation.Y);

    public static GpuStep Prepare(GroupAssign operation, GpuBinding binding, bool narrow)
        => narrow ? Prepare<NarrowMean>(operation, binding) : Prepare<WideMean>(operation, binding);

    private static GpuStep Prepare<TShape>(GroupAssign operation, GpuBinding binding)
        where TShape : struct, IMeanShape
    {
        int columns = 4 << TShape.QuadBits;
        int columnTiles = (operation.V.Columns + columns - 1) / columns;
        return binding.Step<GpuMeanArguments>(
            Kernel<TShape>, checked(operation.Q.Batch * operation.Groups * columnTiles), Parts << TShape.QuadBits, new GpuMeanArguments(operation, binding, columnTiles));
    }

    private static void Kernel<TShape>(GpuMeanArguments args)
        where TShape : struct, IMeanShape
    {
        int quads = 1 << TShape.QuadBits;
        int threads = quads * Parts;
        ArrayView<Words> flags = SharedMemory.Allocate<Words>(1 << TShape.QuadBits);
        ArrayView<Quad> sums = SharedMemory.Allocate<Quad>(Parts << TShape.QuadBits);
        ArrayView<float> weights = SharedMemory.Allocate<float>(Parts);
        int rest = Grid.IdxX / args.ColumnTiles;
        int columnTile = Grid.IdxX - rest * args.ColumnTiles;
        int batch = rest / args.Groups;
        int group = rest - batch * args.Groups;
        int quad = Group.IdxX & (quads - 1);
        int part = Group.IdxX >> TShape.QuadBits;
        int column = (columnTile * quads + quad) * 4;
        int values = args.Values.Index(batch, 0, IntrinsicMath.Min(column, args.Columns - 4));

        WeightedSum mine = default;
        for (int round = 0; round < args.Tokens; round += Run * threads)
        {
            // Runs go round the parts, and those of one part lie side by side.
            flags.Cast<uint>()[((Group.IdxX & (Parts - 1)) << TShape.QuadBits) + (Group.IdxX >> PartBits)] = Flags(args, batch, group, round + Run * Group.IdxX);
            GpuIntrinsics.Synchronize();
            int token = round + Run * part;
            for (int i = 0; i < quads / 4 && token < args.Tokens; i++)
            {
                Words four = flags[part * (quads / 4) + i];
                mine = Add(args, batch, group, values, token, four.X | (four.Y << 8) | (four.Z << 16) | (four.W << 24), mine);
                token += 4 * Parts * Run;
            }
            GpuIntrinsics.Synchronize();
        }

        sums[Group.IdxX] = mine.Sum;
        if (quad == 0)
        {
            weights[part] = mine.Weights;
        }
        GpuIntrinsics.Synchronize();
        if (part == 0 && column < args.Columns)
        {
            Quad sum = sums[quad];
            float weight = weights[0];
            for (int p = 1; p < Parts; p++)
            {
                sum = Quad.Add(sum, sums[p * quads + quad]);
                weight += weights[p];
            }
            AlignedQuads.Store(Quad.Scale(sum, 1f / (weight + args.Epsilon)), args.Y.Data, args.Y.Index(batch, group, column), 4);
        }
    }

    // A bit for each of a run's tokens that chose the group.
    private static uint Flags(in GpuMeanArguments args, int batch, int group, int token)
    {
        uint flags = 0;
        for (int i = 0; i < Run; i++)
        {
            if (token + i < args.Tokens && args.Index.Get(batch, 0, token + i) == group)
            {
                flags |= 1u << i;
            }
        }
        return flags;
    }

    // The tokens of four runs of one part. Four of them at a time, so that their loads are under way together; where there are fewer, the first is read again, and not added.
    private static WeightedSum Add(in GpuMeanArguments args, int batch, int group, int values, int first, uint bits, WeightedSum sum)
    {
        while (bits != 0)
        {
            uint rest1 = bits & (bits - 1);
            uint rest2 = rest1 & (rest1 - 1);
            uint rest3 = rest2 & (rest2 - 1);
            int token0 = Token(first, bits);
            int token1 = rest1 != 0 ? Token(first, rest1) : token0;
            int token2 = rest2 != 0 ? Token(first, rest2) : token0;
            int token3 = rest3 != 0 ? Token(first, rest3) : token0;
            Quad value0 = Value(args, values, token0);
            Quad value1 = Value(args, values, token1);
            Quad value2 = Value(args, values, token2);
            Quad value3 = Value(args, values, token3);
            float weight0 = Weight(args, batch, group, token0);
            float weight1 = Weight(args, batch, group, token1);
            float weight2 = Weight(args, batch, group, token2);
            float weight3 = Weight(args, batch, group, token3);
            sum = Add(sum, value0, weight0);
            sum = rest1 != 0 ? Add(sum, value1, weight1) : sum;
            sum = rest2 != 0 ? Add(sum, value2, weight2) : sum;
            sum = rest3 != 0 ? Add(sum, value3, weight3) : sum;
            bits = rest3 & (rest3 - 1);
        }
        return sum;
    }

    // Runs of a part lie as far apart as there are parts.
    private static int Token(int first, uint bits)
    {
        int bit = IntrinsicMath.BitOperations.TrailingZeroCount(bits);
        return first + (bit & (Run - 1)) + ((bit & ~(Run - 1)) << PartBits);
    }

    private static Quad Value(in GpuMeanArguments args, int values, int token) => AlignedQuads.Load(args.Values.Data, values + token * args.Values.RowStride, 1, 4);

    private static float Weight(in GpuMeanArguments args, int batch, int group, int token)
    {
        if (args.StraightThrough == 0)
        {
            return 1f;
        }
        float soft = args.Soft.Get(batch, group, token);
        return 1f - soft + soft;
    }

    private static WeightedSum Add(WeightedSum sum, Quad value, float weight)
        => new() { Sum = Quad.MultiplyAdd(value, weight, sum.Sum), Weights = sum.Weights + weight };
}
