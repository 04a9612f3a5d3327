using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>A lane's part of 16 rows by 16 columns of A. The 16-bit formats fill the first four words, TensorFloat32 all.</summary>
internal struct LeftFragment
{
    public uint A0;
    public uint A1;
    public uint A2;
    public uint A3;
    public uint A4;
    public uint A5;
    public uint A6;
    public uint A7;
}

/// <summary>A lane's part of 16 rows by 16 columns of B, as two tiles of 8 columns: four words of 16-bit pairs, or eight floats.</summary>
internal struct RightFragment
{
    public uint Left0;
    public uint Left1;
    public uint Left2;
    public uint Left3;
    public uint Right0;
    public uint Right1;
    public uint Right2;
    public uint Right3;
}

/// <summary>How the tensor-core product keeps and multiplies numbers. A type, so that each kernel is compiled for one.</summary>
/// <remarks>
/// Both factors lie in shared memory by rows of 32 numbers of K (A's rows; B's columns), in chunks of 16 bytes whose places are mixed by
/// the row (a swizzle), so that the lanes of one access never meet in a bank.
/// </remarks>
internal interface ITensorFormat
{
    static abstract WeightFormat Format { get; }

    /// <summary>Bytes of one number of B.</summary>
    static abstract int WeightBytes { get; }

    /// <summary>Equal parts of K that are summed apart and then added in ascending order: part of the result's definition.</summary>
    static abstract int Slices { get; }

    /// <summary>Where chunk <paramref name="chunk"/> of row <paramref name="row"/> of B lies, in chunks.</summary>
    static abstract int WeightChunk(int row, int chunk);

    /// <summary>Rounds the lane's eight floats: rows r and r + 8, columns 2t, 2t + 1 and those 8 further.</summary>
    static abstract LeftFragment Left(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext);

    /// <summary>B's columns <paramref name="column"/> to +16, rows 16·half to +16 of the stage at <paramref name="at"/>.</summary>
    static abstract RightFragment Right(ArrayView<Words> shared, int at, int column, int half);

    /// <summary>B from registers: of columns g and g + 8 (g = lane / 4) the lane's four numbers, in the order in which <see cref="Left"/> takes them of a row.</summary>
    static abstract RightFragment Right(Quad left, Quad right);

    static abstract Quad MultiplyLeft(Quad c, LeftFragment a, RightFragment b);

    static abstract Quad MultiplyRight(Quad c, LeftFragment a, RightFragment b);
}

/// <summary>A format of two numbers to a word.</summary>
internal interface IPairFormat : ITensorFormat
{
    /// <summary>Two floats, each to nearest even; the first in the lower half.</summary>
    static abstract uint Pack(float low, float high);
}

/// <summary>What the 16-bit formats share: rows of 32 numbers are four chunks, and eight rows of one chunk fill all banks once.</summary>
internal static class PairTiles
{
    public static int WeightChunk(int row, int chunk) => row * 4 + (chunk ^ ((row >> 1) & 3));

    public static LeftFragment Left<TFormat>(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext)
        where TFormat : struct, IPairFormat
        => new()
        {
            A0 = TFormat.Pack(upper.X, upper.Y),
            A1 = TFormat.Pack(lower.X, lower.Y),
            A2 = TFormat.Pack(upperNext.X, upperNext.Y),
            A3 = TFormat.Pack(lowerNext.X, lowerNext.Y),
        };

    public static RightFragment Right<TFormat>(Quad left, Quad right)
        where TFormat : struct, IPairFormat
        => new()
        {
            Left0 = TFormat.Pack(left.X, left.Y),
            Left1 = TFormat.Pack(left.Z, left.W),
            Right0 = TFormat.Pack(right.X, right.Y),
            Right1 = TFormat.Pack(right.Z, right.W),
        };

    public static RightFragment Right(ArrayView<Words> shared, int at, int column, int half)
    {
        int lane = Group.IdxX & 31;
        int matrix = lane >> 3;
        int row = column + (matrix >> 1) * 8 + (lane & 7);
        Words words = TensorCore.LoadMatrices(ref shared[at + WeightChunk(row, half * 2 + (matrix & 1))]);
        return new RightFragment { Left0 = words.X, Left1 = words.Y, Right0 = words.Z, Right1 = words.W };
    }
}

internal readonly struct BFloat16Tensors : IPairFormat
{
    public static WeightFormat Format => WeightFormat.BFloat16;

    public static int WeightBytes => 2;

    public static int Slices => 4;

    public static int WeightChunk(int row, int chunk) => PairTiles.WeightChunk(row, chunk);

    public static uint Pack(float low, float high) => TensorCore.PackBFloat16(low, high);

    public static LeftFragment Left(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext)
        => PairTiles.Left<BFloat16Tensors>(upper, lower, upperNext, lowerNext);

    public static RightFragment Right(ArrayView<Words> shared, int at, int column, int half) => PairTiles.Right(shared, at, column, half);

    public static RightFragment Right(Quad left, Quad right) => PairTiles.Right<BFloat16Tensors>(left, right);

    public static Quad MultiplyLeft(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyBFloat16(c, a.A0, a.A1, a.A2, a.A3, b.Left0, b.Left1);

    public static Quad MultiplyRight(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyBFloat16(c, a.A0, a.A1, a.A2, a.A3, b.Right0, b.Right1);
}

internal readonly struct Float16Tensors : IPairFormat
{
    public static WeightFormat Format => WeightFormat.Float16;

    public static int WeightBytes => 2;

    public static int Slices => 4;

    public static int WeightChunk(int row, int chunk) => PairTiles.WeightChunk(row, chunk);

    public static uint Pack(float low, float high) => TensorCore.PackFloat16(low, high);

    public static LeftFragment Left(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext)
        => PairTiles.Left<Float16Tensors>(upper, lower, upperNext, lowerNext);

    public static RightFragment Right(ArrayView<Words> shared, int at, int column, int half) => PairTiles.Right(shared, at, column, half);

    public static RightFragment Right(Quad left, Quad right) => PairTiles.Right<Float16Tensors>(left, right);

    public static Quad MultiplyLeft(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyFloat16(c, a.A0, a.A1, a.A2, a.A3, b.Left0, b.Left1);

    public static Quad MultiplyRight(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyFloat16(c, a.A0, a.A1, a.A2, a.A3, b.Right0, b.Right1);
}

/// <summary>float16 on compute 7.5, whose matrix instruction takes half of K at a time.</summary>
internal readonly struct Float16TensorsK8 : IPairFormat
{
    public static WeightFormat Format => WeightFormat.Float16;

    public static int WeightBytes => 2;

    public static int Slices => 4;

    public static int WeightChunk(int row, int chunk) => PairTiles.WeightChunk(row, chunk);

    public static uint Pack(float low, float high) => TensorCore.PackFloat16Each(low, high);

    public static LeftFragment Left(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext)
        => PairTiles.Left<Float16TensorsK8>(upper, lower, upperNext, lowerNext);

    public static RightFragment Right(ArrayView<Words> shared, int at, int column, int half) => PairTiles.Right(shared, at, column, half);

    public static RightFragment Right(Quad left, Quad right) => PairTiles.Right<Float16TensorsK8>(left, right);

    public static Quad MultiplyLeft(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyFloat16K8(TensorCore.MultiplyFloat16K8(c, a.A0, a.A1, b.Left0), a.A2, a.A3, b.Left1);

    public static Quad MultiplyRight(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyFloat16K8(TensorCore.MultiplyFloat16K8(c, a.A0, a.A1, b.Right0), a.A2, a.A3, b.Right1);
}

/// <summary>
/// Both factors stay float32 in memory. The instruction's columns t and t + 4 of A are given the numbers 2t and 2t + 1, and B's rows
/// likewise: a sum does not care which k is called which, and a lane's two numbers become one access of 64 bits.
/// </summary>
internal readonly struct Float32Tensors : ITensorFormat
{
    public static WeightFormat Format => WeightFormat.TensorFloat32;

    public static int WeightBytes => 4;

    public static int Slices => 2;

    public static int WeightChunk(int row, int chunk) => row * 8 + (chunk ^ ((row & 3) << 1));

    public static LeftFragment Left(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext) => new()
    {
        A0 = TensorCore.ToTensorFloat32(upper.X),
        A1 = TensorCore.ToTensorFloat32(lower.X),
        A2 = TensorCore.ToTensorFloat32(upper.Y),
        A3 = TensorCore.ToTensorFloat32(lower.Y),
        A4 = TensorCore.ToTensorFloat32(upperNext.X),
        A5 = TensorCore.ToTensorFloat32(lowerNext.X),
        A6 = TensorCore.ToTensorFloat32(upperNext.Y),
        A7 = TensorCore.ToTensorFloat32(lowerNext.Y),
    };

    // Weights are rounded when they are packed.
    public static RightFragment Right(ArrayView<Words> shared, int at, int column, int half)
    {
        int lane = Group.IdxX & 31;
        int row = column + (lane >> 2);
        WordPair left = Load(shared, at, row, half, 0, lane);
        WordPair leftNext = Load(shared, at, row, half, 2, lane);
        WordPair right = Load(shared, at, row + 8, half, 0, lane);
        WordPair rightNext = Load(shared, at, row + 8, half, 2, lane);
        return new RightFragment
        {
            Left0 = left.X,
            Left1 = left.Y,
            Left2 = leftNext.X,
            Left3 = leftNext.Y,
            Right0 = right.X,
            Right1 = right.Y,
            Right2 = rightNext.X,
            Right3 = rightNext.Y,
        };
    }

    public static RightFragment Right(Quad left, Quad right) => new()
    {
        Left0 = TensorCore.ToTensorFloat32(left.X),
        Left1 = TensorCore.ToTensorFloat32(left.Y),
        Left2 = TensorCore.ToTensorFloat32(left.Z),
        Left3 = TensorCore.ToTensorFloat32(left.W),
        Right0 = TensorCore.ToTensorFloat32(right.X),
        Right1 = TensorCore.ToTensorFloat32(right.Y),
        Right2 = TensorCore.ToTensorFloat32(right.Z),
        Right3 = TensorCore.ToTensorFloat32(right.W),
    };

    public static Quad MultiplyLeft(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyTensorFloat32(
            TensorCore.MultiplyTensorFloat32(c, a.A0, a.A1, a.A2, a.A3, b.Left0, b.Left1), a.A4, a.A5, a.A6, a.A7, b.Left2, b.Left3);

    public static Quad MultiplyRight(Quad c, LeftFragment a, RightFragment b)
        => TensorCore.MultiplyTensorFloat32(
            TensorCore.MultiplyTensorFloat32(c, a.A0, a.A1, a.A2, a.A3, b.Right0, b.Right1), a.A4, a.A5, a.A6, a.A7, b.Right2, b.Right3);

    private static WordPair Load(ArrayView<Words> shared, int at, int row, int half, int next, int lane)
        => shared.Cast<WordPair>()[(at + WeightChunk(row, half * 4 + next + ((lane & 3) >> 1))) * 2 + (lane & 1)];
}

/// <summary>How 16 bytes come to shared memory.</summary>
internal interface ITileCopy
{
    /// <summary>Whether a thread waits for what it copies: then it loads early and stores late, by itself.</summary>
    static abstract bool ThroughRegisters { get; }

    static abstract void Copy(ref Words shared, ref Words global);

    static abstract void Commit();

    static abstract void WaitForAllButOne();

    static abstract void WaitForAllButTwo();

    static abstract void Wait();
}

/// <summary>compute 8.0 and later: the copy runs beside the products.</summary>
internal readonly struct AsyncTileCopy : ITileCopy
{
    public static bool ThroughRegisters => false;

    public static void Copy(ref Words shared, ref Words global) => TensorCore.CopyAsync(ref shared, ref global);

    public static void Commit() => TensorCore.CommitCopies();

    public static void WaitForAllButOne() => TensorCore.WaitForAllButOne();

    public static void WaitForAllButTwo() => TensorCore.WaitForAllButTwo();

    public static void Wait() => TensorCore.WaitForCopies();
}

/// <summary>Through registers; the group's barrier makes it visible.</summary>
internal readonly struct PlainTileCopy : ITileCopy
{
    public static bool ThroughRegisters => true;

    public static void Copy(ref Words shared, ref Words global) => shared = global;

    public static void Commit()
    {
    }

    public static void WaitForAllButOne()
    {
    }

    public static void WaitForAllButTwo()
    {
    }

    public static void Wait()
    {
    }
}
