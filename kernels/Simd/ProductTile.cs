using System.Runtime.CompilerServices;

namespace GroupViT.Kernels.Simd;

/// <summary>What becomes of a finished tile: called once per row while the sums are still in registers.</summary>
internal interface ITileStore<V>
    where V : struct, ISimd<V>
{
    /// <param name="row">The row within the block that the product was asked for.</param>
    /// <param name="x">The row's first vector.</param>
    /// <param name="y">Its second.</param>
    void Row(int row, V x, V y);
}

/// <summary>
/// The inner product of everything: a tile of up to <c>V.TileRows</c> x 2·<c>V.Width</c> outputs, held in registers while k runs.
/// </summary>
/// <remarks>
/// <para>Per step of k: two vector loads of B, one broadcast of A per row, two FMA per row. AVX-512, 12 rows: 24 accumulators + 2 + 1 = 27 of
/// 32 registers, 24 FMA to 14 loads. AVX2, 6 rows: 15 of 16 registers, 12 FMA to 8 loads. The rows are written out because
/// accumulators must be locals: the JIT keeps no array in registers. The number of rows is a type, so that what a smaller tile does
/// not have is not compiled.</para>
/// <para>Rows that do not fill a tile are taken by tiles of 8, 4, 2 and 1. Every output is one accumulator over ascending k in each of
/// them, so its bits do not depend on which tile it fell into. Padding 8 rows to 12 would cost half as much again: the heads and the
/// last stage have 8 rows, a 224-pixel picture has 260 = 21·12 + 8.</para>
/// </remarks>
internal static unsafe class ProductTile<V>
    where V : struct, ISimd<V>
{
    private interface ICount
    {
        static abstract int Rows { get; }
    }

    public static int Rows => V.TileRows;

    public static int Columns => 2 * V.Width;

    /// <summary>
    /// Σ a[r·lda + k]·b[k·ldb + c] for r below <paramref name="rows"/> and all of the tile's columns, k ascending; each row goes to
    /// <paramref name="store"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Compute<TStore>(int rows, float* a, nint lda, float* b, nint ldb, int depth, ref TStore store)
        where TStore : struct, ITileStore<V>
        => Compute<FloatPanel, TStore>(rows, a, lda, (byte*)b, ldb * sizeof(float), depth, ref store);

    /// <summary>The same with B in any format, its rows <paramref name="ldb"/> bytes apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Compute<TPanel, TStore>(int rows, float* a, nint lda, byte* b, nint ldb, int depth, ref TStore store)
        where TPanel : struct, IPanelFormat
        where TStore : struct, ITileStore<V>
    {
        int first = 0;
        for (; rows - first >= V.TileRows; first += V.TileRows)
        {
            if (V.TileRows == 12)
            {
                Product<Twelve, TPanel, TStore>(first, a + first * lda, lda, b, ldb, depth, ref store);
            }
            else
            {
                Product<Six, TPanel, TStore>(first, a + first * lda, lda, b, ldb, depth, ref store);
            }
        }
        if (first < rows)
        {
            Rest<TPanel, TStore>(first, rows, a, lda, b, ldb, depth, ref store);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Rest<TPanel, TStore>(int first, int rows, float* a, nint lda, byte* b, nint ldb, int depth, ref TStore store)
        where TPanel : struct, IPanelFormat
        where TStore : struct, ITileStore<V>
    {
        if (V.TileRows == 12 && rows - first >= 8)
        {
            Product<Eight, TPanel, TStore>(first, a + first * lda, lda, b, ldb, depth, ref store);
            first += 8;
        }
        if (rows - first >= 4)
        {
            Product<Four, TPanel, TStore>(first, a + first * lda, lda, b, ldb, depth, ref store);
            first += 4;
        }
        if (rows - first >= 2)
        {
            Product<Two, TPanel, TStore>(first, a + first * lda, lda, b, ldb, depth, ref store);
            first += 2;
        }
        if (first < rows)
        {
            Product<One, TPanel, TStore>(first, a + first * lda, lda, b, ldb, depth, ref store);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Product<TRows, TPanel, TStore>(int first, float* a, nint lda, byte* b, nint ldb, int depth, ref TStore store)
        where TRows : struct, ICount
        where TPanel : struct, IPanelFormat
        where TStore : struct, ITileStore<V>
    {
        V c0x = V.Zero, c0y = V.Zero;
        V c1x = V.Zero, c1y = V.Zero;
        V c2x = V.Zero, c2y = V.Zero;
        V c3x = V.Zero, c3y = V.Zero;
        V c4x = V.Zero, c4y = V.Zero;
        V c5x = V.Zero, c5y = V.Zero;
        V c6x = V.Zero, c6y = V.Zero;
        V c7x = V.Zero, c7y = V.Zero;
        V c8x = V.Zero, c8y = V.Zero;
        V c9x = V.Zero, c9y = V.Zero;
        V c10x = V.Zero, c10y = V.Zero;
        V c11x = V.Zero, c11y = V.Zero;
        float* a0 = a;
        float* a3 = a + 3 * lda;
        float* a6 = a + 6 * lda;
        float* a9 = a + 9 * lda;
        for (int k = 0; k < depth; k++)
        {
            V x = TPanel.Load<V>(b);
            V y = TPanel.Load<V>(b + V.Width * TPanel.Bytes);
            b += ldb;
            V e;
            e = V.Broadcast(*a0);
            c0x = V.MultiplyAdd(e, x, c0x);
            c0y = V.MultiplyAdd(e, y, c0y);
            if (TRows.Rows > 1)
            {
                e = V.Broadcast(*(a0 + lda));
                c1x = V.MultiplyAdd(e, x, c1x);
                c1y = V.MultiplyAdd(e, y, c1y);
            }
            if (TRows.Rows > 2)
            {
                e = V.Broadcast(*(a0 + 2 * lda));
                c2x = V.MultiplyAdd(e, x, c2x);
                c2y = V.MultiplyAdd(e, y, c2y);
                e = V.Broadcast(*a3);
                c3x = V.MultiplyAdd(e, x, c3x);
                c3y = V.MultiplyAdd(e, y, c3y);
            }
            if (TRows.Rows > 4)
            {
                e = V.Broadcast(*(a3 + lda));
                c4x = V.MultiplyAdd(e, x, c4x);
                c4y = V.MultiplyAdd(e, y, c4y);
                e = V.Broadcast(*(a3 + 2 * lda));
                c5x = V.MultiplyAdd(e, x, c5x);
                c5y = V.MultiplyAdd(e, y, c5y);
            }
            if (TRows.Rows > 6)
            {
                e = V.Broadcast(*a6);
                c6x = V.MultiplyAdd(e, x, c6x);
                c6y = V.MultiplyAdd(e, y, c6y);
                e = V.Broadcast(*(a6 + lda));
                c7x = V.MultiplyAdd(e, x, c7x);
                c7y = V.MultiplyAdd(e, y, c7y);
            }
            if (TRows.Rows > 8)
            {
                e = V.Broadcast(*(a6 + 2 * lda));
                c8x = V.MultiplyAdd(e, x, c8x);
                c8y = V.MultiplyAdd(e, y, c8y);
                e = V.Broadcast(*a9);
                c9x = V.MultiplyAdd(e, x, c9x);
                c9y = V.MultiplyAdd(e, y, c9y);
                e = V.Broadcast(*(a9 + lda));
                c10x = V.MultiplyAdd(e, x, c10x);
                c10y = V.MultiplyAdd(e, y, c10y);
                e = V.Broadcast(*(a9 + 2 * lda));
                c11x = V.MultiplyAdd(e, x, c11x);
                c11y = V.MultiplyAdd(e, y, c11y);
            }
            a0++;
            a3++;
            a6++;
            a9++;
        }
        store.Row(first, c0x, c0y);
        if (TRows.Rows > 1)
        {
            store.Row(first + 1, c1x, c1y);
        }
        if (TRows.Rows > 2)
        {
            store.Row(first + 2, c2x, c2y);
            store.Row(first + 3, c3x, c3y);
        }
        if (TRows.Rows > 4)
        {
            store.Row(first + 4, c4x, c4y);
            store.Row(first + 5, c5x, c5y);
        }
        if (TRows.Rows > 6)
        {
            store.Row(first + 6, c6x, c6y);
            store.Row(first + 7, c7x, c7y);
        }
        if (TRows.Rows > 8)
        {
            store.Row(first + 8, c8x, c8y);
            store.Row(first + 9, c9x, c9y);
            store.Row(first + 10, c10x, c10y);
            store.Row(first + 11, c11x, c11y);
        }
    }

    private readonly struct Twelve : ICount
    {
        public static int Rows => 12;
    }

    private readonly struct Eight : ICount
    {
        public static int Rows => 8;
    }

    private readonly struct Six : ICount
    {
        public static int Rows => 6;
    }

    private readonly struct Four : ICount
    {
        public static int Rows => 4;
    }

    private readonly struct Two : ICount
    {
        public static int Rows => 2;
    }

    private readonly struct One : ICount
    {
        public static int Rows => 1;
    }
}

/// <summary>The sums as they are, rows a stride apart.</summary>
internal readonly unsafe struct StridedStore<V>(float* target, nint stride) : ITileStore<V>
    where V : struct, ISimd<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Row(int row, V x, V y)
    {
        V.Store(x, target + row * stride);
        V.Store(y, target + row * stride + V.Width);
    }
}
