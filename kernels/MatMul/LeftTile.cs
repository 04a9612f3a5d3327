using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>How rows of 32 numbers of A lie in shared memory, and come from there to a warp's registers. A type, so that each kernel is compiled for one.</summary>
internal interface ILeftTile
{
    /// <summary>Chunks of 16 bytes in a row.</summary>
    static abstract int Chunks { get; }

    /// <summary>Where chunk <paramref name="chunk"/> of row <paramref name="row"/> lies, in chunks: mixed by the row, so that no access meets another in a bank.</summary>
    static abstract int Place(int row, int chunk);

    /// <summary>The chunk of global memory that holds element <paramref name="index"/>, the first of its chunk.</summary>
    static abstract int Chunk(int index);

    /// <summary>Rows <paramref name="row0"/> to +16, numbers 16·half to +16 of the tile at <paramref name="at"/>.</summary>
    static abstract LeftFragment Load<TFormat>(ArrayView<Words> shared, int at, int row0, int half)
        where TFormat : struct, ITensorFormat;
}

/// <summary>
/// Float32, rounded on its way to registers. Chunk c of row r lies at c ^ 2(r mod 4): the lanes of an access of 64 bits (four rows by four columns for
/// half a warp) then touch each bank once; so do the copies in.
/// </summary>
internal readonly struct FloatTile : ILeftTile
{
    public static int Chunks => 8;

    public static int Place(int row, int chunk) => row * 8 + (chunk ^ ((row & 3) << 1));

    public static int Chunk(int index) => index >> 2;

    public static LeftFragment Load<TFormat>(ArrayView<Words> shared, int at, int row0, int half)
        where TFormat : struct, ITensorFormat
    {
        int lane = Group.IdxX & 31;
        int row = row0 + (lane >> 2);
        int chunk = half * 4 + ((lane & 3) >> 1);
        return TFormat.Left(
            Pair(shared, at, row, chunk, lane), Pair(shared, at, row + 8, chunk, lane),
            Pair(shared, at, row, chunk + 2, lane), Pair(shared, at, row + 8, chunk + 2, lane));
    }

    private static FloatPair Pair(ArrayView<Words> shared, int at, int row, int chunk, int lane)
        => shared.Cast<FloatPair>()[(at + Place(row, chunk)) * 2 + (lane & 1)];
}

/// <summary>16-bit numbers as they were written, by one instruction for 16 rows by 16 numbers: no conversion, half the bytes.</summary>
internal readonly struct PairTile : ILeftTile
{
    public static int Chunks => 4;

    public static int Place(int row, int chunk) => PairTiles.WeightChunk(row, chunk);

    public static int Chunk(int index) => index >> 3;

    // The instruction's registers want rows 0 to 7 and 8 to 15 of the first eight numbers, then of the next.
    public static LeftFragment Load<TFormat>(ArrayView<Words> shared, int at, int row0, int half)
        where TFormat : struct, ITensorFormat
    {
        int lane = Group.IdxX & 31;
        int matrix = lane >> 3;
        Words words = TensorCore.LoadMatrices(ref shared[at + Place(row0 + (matrix & 1) * 8 + (lane & 7), half * 2 + (matrix >> 1))]);
        return new LeftFragment { A0 = words.X, A1 = words.Y, A2 = words.Z, A3 = words.W };
    }
}

/// <summary>Four neighbouring floats kept as 16-bit numbers: 8 bytes.</summary>
internal readonly struct NarrowQuads<TFormat> : IQuadStore
    where TFormat : struct, IPairFormat
{
    public static void Store(Quad quad, ArrayView<float> data, int index, int count)
        => data.Cast<WordPair>()[index >> 2] = new WordPair { X = TFormat.Pack(quad.X, quad.Y), Y = TFormat.Pack(quad.Z, quad.W) };
}
