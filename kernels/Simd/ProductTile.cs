using System.Runtime.CompilerServices;

namespace GroupViT.Kernels.Simd;

/// <summary>
/// The inner product of everything: a tile of <c>V.TileRows</c> x 2·<c>V.Width</c> outputs, held in registers while k runs.
/// </summary>
/// <remarks>
/// Per step of k: two vector loads of B, one broadcast of A per row, two FMA per row. AVX-512, 12 rows: 24 accumulators + 2 + 1 = 27 of
/// 32 registers, 24 FMA to 14 loads. AVX2, 6 rows: 15 of 16 registers, 12 FMA to 8 loads. The rows are written out because
/// accumulators must be locals: the JIT keeps no array in registers.
/// </remarks>
internal static unsafe class ProductTile<V>
    where V : struct, ISimd<V>
{
    public static int Rows => V.TileRows;

    public static int Columns => 2 * V.Width;

    /// <summary>
    /// tile[r, c] = Σ a[r·lda + k]·b[k·ldb + c] for all of the tile's rows and columns, k ascending. Reads full rows and columns.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Compute(float* a, nint lda, float* b, nint ldb, int depth, float* tile)
    {
        if (V.TileRows == 12)
        {
            Product12(a, lda, b, ldb, depth, tile);
        }
        else
        {
            Product6(a, lda, b, ldb, depth, tile);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Product12(float* a, nint lda, float* b, nint ldb, int depth, float* tile)
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
            V x = V.Load(b);
            V y = V.Load(b + V.Width);
            b += ldb;
            V e;
            e = V.Broadcast(*(a0));
            c0x = V.MultiplyAdd(e, x, c0x);
            c0y = V.MultiplyAdd(e, y, c0y);
            e = V.Broadcast(*(a0 + lda));
            c1x = V.MultiplyAdd(e, x, c1x);
            c1y = V.MultiplyAdd(e, y, c1y);
            e = V.Broadcast(*(a0 + 2 * lda));
            c2x = V.MultiplyAdd(e, x, c2x);
            c2y = V.MultiplyAdd(e, y, c2y);
            e = V.Broadcast(*(a3));
            c3x = V.MultiplyAdd(e, x, c3x);
            c3y = V.MultiplyAdd(e, y, c3y);
            e = V.Broadcast(*(a3 + lda));
            c4x = V.MultiplyAdd(e, x, c4x);
            c4y = V.MultiplyAdd(e, y, c4y);
            e = V.Broadcast(*(a3 + 2 * lda));
            c5x = V.MultiplyAdd(e, x, c5x);
            c5y = V.MultiplyAdd(e, y, c5y);
            e = V.Broadcast(*(a6));
            c6x = V.MultiplyAdd(e, x, c6x);
            c6y = V.MultiplyAdd(e, y, c6y);
            e = V.Broadcast(*(a6 + lda));
            c7x = V.MultiplyAdd(e, x, c7x);
            c7y = V.MultiplyAdd(e, y, c7y);
            e = V.Broadcast(*(a6 + 2 * lda));
            c8x = V.MultiplyAdd(e, x, c8x);
            c8y = V.MultiplyAdd(e, y, c8y);
            e = V.Broadcast(*(a9));
            c9x = V.MultiplyAdd(e, x, c9x);
            c9y = V.MultiplyAdd(e, y, c9y);
            e = V.Broadcast(*(a9 + lda));
            c10x = V.MultiplyAdd(e, x, c10x);
            c10y = V.MultiplyAdd(e, y, c10y);
            e = V.Broadcast(*(a9 + 2 * lda));
            c11x = V.MultiplyAdd(e, x, c11x);
            c11y = V.MultiplyAdd(e, y, c11y);
            a0++;
            a3++;
            a6++;
            a9++;
        }
        V.Store(c0x, tile);
        V.Store(c0y, tile + 1 * V.Width);
        V.Store(c1x, tile + 2 * V.Width);
        V.Store(c1y, tile + 3 * V.Width);
        V.Store(c2x, tile + 4 * V.Width);
        V.Store(c2y, tile + 5 * V.Width);
        V.Store(c3x, tile + 6 * V.Width);
        V.Store(c3y, tile + 7 * V.Width);
        V.Store(c4x, tile + 8 * V.Width);
        V.Store(c4y, tile + 9 * V.Width);
        V.Store(c5x, tile + 10 * V.Width);
        V.Store(c5y, tile + 11 * V.Width);
        V.Store(c6x, tile + 12 * V.Width);
        V.Store(c6y, tile + 13 * V.Width);
        V.Store(c7x, tile + 14 * V.Width);
        V.Store(c7y, tile + 15 * V.Width);
        V.Store(c8x, tile + 16 * V.Width);
        V.Store(c8y, tile + 17 * V.Width);
        V.Store(c9x, tile + 18 * V.Width);
        V.Store(c9y, tile + 19 * V.Width);
        V.Store(c10x, tile + 20 * V.Width);
        V.Store(c10y, tile + 21 * V.Width);
        V.Store(c11x, tile + 22 * V.Width);
        V.Store(c11y, tile + 23 * V.Width);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Product6(float* a, nint lda, float* b, nint ldb, int depth, float* tile)
    {
        V c0x = V.Zero, c0y = V.Zero;
        V c1x = V.Zero, c1y = V.Zero;
        V c2x = V.Zero, c2y = V.Zero;
        V c3x = V.Zero, c3y = V.Zero;
        V c4x = V.Zero, c4y = V.Zero;
        V c5x = V.Zero, c5y = V.Zero;
        float* a0 = a;
        float* a3 = a + 3 * lda;
        for (int k = 0; k < depth; k++)
        {
            V x = V.Load(b);
            V y = V.Load(b + V.Width);
            b += ldb;
            V e;
            e = V.Broadcast(*(a0));
            c0x = V.MultiplyAdd(e, x, c0x);
            c0y = V.MultiplyAdd(e, y, c0y);
            e = V.Broadcast(*(a0 + lda));
            c1x = V.MultiplyAdd(e, x, c1x);
            c1y = V.MultiplyAdd(e, y, c1y);
            e = V.Broadcast(*(a0 + 2 * lda));
            c2x = V.MultiplyAdd(e, x, c2x);
            c2y = V.MultiplyAdd(e, y, c2y);
            e = V.Broadcast(*(a3));
            c3x = V.MultiplyAdd(e, x, c3x);
            c3y = V.MultiplyAdd(e, y, c3y);
            e = V.Broadcast(*(a3 + lda));
            c4x = V.MultiplyAdd(e, x, c4x);
            c4y = V.MultiplyAdd(e, y, c4y);
            e = V.Broadcast(*(a3 + 2 * lda));
            c5x = V.MultiplyAdd(e, x, c5x);
            c5y = V.MultiplyAdd(e, y, c5y);
            a0++;
            a3++;
        }
        V.Store(c0x, tile);
        V.Store(c0y, tile + 1 * V.Width);
        V.Store(c1x, tile + 2 * V.Width);
        V.Store(c1y, tile + 3 * V.Width);
        V.Store(c2x, tile + 4 * V.Width);
        V.Store(c2y, tile + 5 * V.Width);
        V.Store(c3x, tile + 6 * V.Width);
        V.Store(c3y, tile + 7 * V.Width);
        V.Store(c4x, tile + 8 * V.Width);
        V.Store(c4y, tile + 9 * V.Width);
        V.Store(c5x, tile + 10 * V.Width);
        V.Store(c5y, tile + 11 * V.Width);
    }
}
