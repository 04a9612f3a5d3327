using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

/// <summary>A warp's outputs in registers, 32 columns wide.</summary>
internal interface IWarpTile<TSelf>
    where TSelf : struct, IWarpTile<TSelf>
{
    static abstract int Rows { get; }

    /// <summary>c plus 16 of a stage's 32 numbers of K; A's and B's tiles lie at <paramref name="left"/> and <paramref name="right"/>, this warp's outputs begin <paramref name="down"/> and <paramref name="across"/>.</summary>
    static abstract TSelf MultiplyAdd<TFormat, TLeft>(ArrayView<Words> shared, int left, int right, int down, int across, int half, TSelf c)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile;

    static abstract TSelf Add(TSelf a, TSelf b);

    /// <summary>To shared memory, rows of <paramref name="width"/> floats, places mixed by the row.</summary>
    static abstract void Spill(ArrayView<Words> shared, int at, int width, int down, int across, TSelf tile);
}

/// <summary>A warp's 32 x 32 outputs: two bands of 16 rows by four of 8 columns, a quad a lane each.</summary>
internal struct WarpTile : IWarpTile<WarpTile>
{
    public Quad C00;
    public Quad C01;
    public Quad C02;
    public Quad C03;
    public Quad C10;
    public Quad C11;
    public Quad C12;
    public Quad C13;

    public static int Rows => 32;

    /// <summary>c plus two bands of rows by two pairs of columns: eight matrix instructions (of compute 7.5, sixteen), none of which waits for another.</summary>
    public static WarpTile MultiplyAdd<TFormat>(LeftFragment upper, LeftFragment lower, RightFragment left, RightFragment right, WarpTile c)
        where TFormat : struct, ITensorFormat
        => new()
        {
            C00 = TFormat.MultiplyLeft(c.C00, upper, left),
            C01 = TFormat.MultiplyRight(c.C01, upper, left),
            C02 = TFormat.MultiplyLeft(c.C02, upper, right),
            C03 = TFormat.MultiplyRight(c.C03, upper, right),
            C10 = TFormat.MultiplyLeft(c.C10, lower, left),
            C11 = TFormat.MultiplyRight(c.C11, lower, left),
            C12 = TFormat.MultiplyLeft(c.C12, lower, right),
            C13 = TFormat.MultiplyRight(c.C13, lower, right),
        };

    public static WarpTile MultiplyAdd<TFormat, TLeft>(ArrayView<Words> shared, int left, int right, int down, int across, int half, WarpTile c)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
        => MultiplyAdd<TFormat>(
            TLeft.Load<TFormat>(shared, left, down, half), TLeft.Load<TFormat>(shared, left, down + 16, half),
            TFormat.Right(shared, right, across, half), TFormat.Right(shared, right, across + 16, half), c);

    public static WarpTile Add(WarpTile a, WarpTile b) => new()
    {
        C00 = Quad.Add(a.C00, b.C00),
        C01 = Quad.Add(a.C01, b.C01),
        C02 = Quad.Add(a.C02, b.C02),
        C03 = Quad.Add(a.C03, b.C03),
        C10 = Quad.Add(a.C10, b.C10),
        C11 = Quad.Add(a.C11, b.C11),
        C12 = Quad.Add(a.C12, b.C12),
        C13 = Quad.Add(a.C13, b.C13),
    };

    public static void Spill(ArrayView<Words> shared, int at, int width, int down, int across, WarpTile tile)
    {
        Spill(shared, at, width, down, across, tile.C00);
        Spill(shared, at, width, down, across + 8, tile.C01);
        Spill(shared, at, width, down, across + 16, tile.C02);
        Spill(shared, at, width, down, across + 24, tile.C03);
        Spill(shared, at, width, down + 16, across, tile.C10);
        Spill(shared, at, width, down + 16, across + 8, tile.C11);
        Spill(shared, at, width, down + 16, across + 16, tile.C12);
        Spill(shared, at, width, down + 16, across + 24, tile.C13);
    }

    private static void Spill(ArrayView<Words> shared, int at, int width, int row0, int column0, Quad c)
    {
        int lane = Group.IdxX & 31;
        int row = row0 + (lane >> 2);
        int chunk = column0 / 4 + ((lane & 3) >> 1);
        int first = at / 4 + row * (width / 4);
        ArrayView<FloatPair> pairs = shared.Cast<FloatPair>();
        pairs[(first + (chunk ^ ((row & 3) << 1))) * 2 + (lane & 1)] = new FloatPair { X = c.X, Y = c.Y };
        pairs[(first + 8 * (width / 4) + (chunk ^ ((row & 3) << 1))) * 2 + (lane & 1)] = new FloatPair { X = c.Z, Y = c.W };
    }
}

/// <summary>
/// 64 x 32 outputs: B's fragments serve twice as many rows. For each 16 numbers of K a warp reads 3 KiB of shared memory for 16 instructions, where two of
/// 32 x 32 read 4 KiB; with what comes in, 64 x 128 x 16 multiply-adds of a group take 144 accesses of 128 bytes instead of 192, and 128 of the
/// clocks in which a multiprocessor of compute 8.0 multiplies them.
/// </summary>
internal struct TallTile : IWarpTile<TallTile>
{
    public WarpTile Upper;
    public WarpTile Lower;

    public static int Rows => 64;

    public static TallTile MultiplyAdd<TFormat, TLeft>(ArrayView<Words> shared, int left, int right, int down, int across, int half, TallTile c)
        where TFormat : struct, ITensorFormat
        where TLeft : struct, ILeftTile
    {
        RightFragment first = TFormat.Right(shared, right, across, half);
        RightFragment second = TFormat.Right(shared, right, across + 16, half);
        return new TallTile
        {
            Upper = WarpTile.MultiplyAdd<TFormat>(TLeft.Load<TFormat>(shared, left, down, half), TLeft.Load<TFormat>(shared, left, down + 16, half), first, second, c.Upper),
            Lower = WarpTile.MultiplyAdd<TFormat>(TLeft.Load<TFormat>(shared, left, down + 32, half), TLeft.Load<TFormat>(shared, left, down + 48, half), first, second, c.Lower),
        };
    }

    public static TallTile Add(TallTile a, TallTile b) => new() { Upper = WarpTile.Add(a.Upper, b.Upper), Lower = WarpTile.Add(a.Lower, b.Lower) };

    public static void Spill(ArrayView<Words> shared, int at, int width, int down, int across, TallTile tile)
    {
        WarpTile.Spill(shared, at, width, down, across, tile.Upper);
        WarpTile.Spill(shared, at, width, down + 32, across, tile.Lower);
    }
}
