using System.Runtime.CompilerServices;

namespace GroupViT.Kernels.Simd;

/// <summary>Elementary functions over any width. Coefficients are Chebyshev fits made for these intervals (docs/numerics.md).</summary>
internal static class SimdMath
{
    /// <summary>
    /// 1.5·2^23: a float near it has a last place of 1, so adding it rounds to the nearest integer, which then stands in the low bits
    /// and, after taking it away again, is there as a float. Two additions; the rounding instruction alone takes as long.
    /// </summary>
    public const float RoundingConstant = 12582912f;

    // Below this the result would be subnormal; above, infinite. exp is clamped to [2^-126, 2^127].
    private const float ExpLow = -87.3365f;
    private const float ExpHigh = 88.0296f;

    /// <summary>e^x with a relative error below 2^-22 on [-87.33, 88.02]; arguments outside are clamped to it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x)
        where V : struct, ISimd<V>
    {
        x = V.Min(V.Broadcast(ExpHigh), V.Max(V.Broadcast(ExpLow), x));
        V rounded = V.MultiplyAdd(x, V.Broadcast(1.442695041f), V.Broadcast(RoundingConstant));
        V n = rounded - V.Broadcast(RoundingConstant);
        // ln 2 in two parts: the first has 15 trailing zero bits, so that n times it is exact.
        V r = V.MultiplyAdd(n, V.Broadcast(-0.693145752f), x);
        r = V.MultiplyAdd(n, V.Broadcast(-1.42860677e-6f), r);
        V p = V.Broadcast(1.39485928e-3f);
        p = V.MultiplyAdd(p, r, V.Broadcast(8.37513727e-3f));
        p = V.MultiplyAdd(p, r, V.Broadcast(4.16662181e-2f));
        p = V.MultiplyAdd(p, r, V.Broadcast(1.66664154e-1f));
        p = V.MultiplyAdd(p, r, V.Broadcast(0.5f));
        p = V.MultiplyAdd(p, r, V.Broadcast(1f));
        p = V.MultiplyAdd(p, r, V.Broadcast(1f));
        return V.AddExponent(p, rounded);
    }

    /// <summary>2^t for t ≤ 0 with a relative error below 2^-22; 2^-125 where it would be smaller. For softmax, which has its maximum taken off.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2OfNegative<V>(V t)
        where V : struct, ISimd<V>
    {
        t = V.Max(V.Broadcast(-125f), t);
        V rounded = t + V.Broadcast(RoundingConstant);
        V n = rounded - V.Broadcast(RoundingConstant);
        // Exact: n is the nearest integer. The fit is of (2^f - 1)/f on [-1/2, 1/2].
        V f = t - n;
        V p = V.Broadcast(1.326465173e-03f);
        p = V.MultiplyAdd(p, f, V.Broadcast(9.671519005e-03f));
        p = V.MultiplyAdd(p, f, V.Broadcast(5.550733987e-02f));
        p = V.MultiplyAdd(p, f, V.Broadcast(2.402224200e-01f));
        p = V.MultiplyAdd(p, f, V.Broadcast(6.931469775e-01f));
        p = V.MultiplyAdd(p, f, V.Broadcast(1f));
        return V.AddExponent(p, rounded);
    }

    /// <summary>
    /// The complementary error function erfc(z/√2) for z ≥ 0, as 2^h(z) with h a degree-11 fit of log2(erfc(z/√2)) on [0, 6]
    /// (relative error of the fit 4.7e-8); 0 beyond 6, where the true value is below 2.0e-9.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ErfcOfRoot2<V>(V z)
        where V : struct, ISimd<V>
    {
        V beyond = V.Broadcast(6f) - z;
        z = V.Min(V.Broadcast(6f), z);
        V h = V.Broadcast(2.019980953e-9f);
        h = V.MultiplyAdd(h, z, V.Broadcast(-7.843754042e-8f));
        h = V.MultiplyAdd(h, z, V.Broadcast(1.3484904226e-6f));
        h = V.MultiplyAdd(h, z, V.Broadcast(-1.338402579e-5f));
        h = V.MultiplyAdd(h, z, V.Broadcast(8.209328818e-5f));
        h = V.MultiplyAdd(h, z, V.Broadcast(-2.810574693e-4f));
        h = V.MultiplyAdd(h, z, V.Broadcast(-2.309633042e-5f));
        h = V.MultiplyAdd(h, z, V.Broadcast(6.999189632e-3f));
        h = V.MultiplyAdd(h, z, V.Broadcast(-5.249000763e-2f));
        h = V.MultiplyAdd(h, z, V.Broadcast(-4.592008123e-1f));
        h = V.MultiplyAdd(h, z, V.Broadcast(-1.151107110f));
        h = V.MultiplyAdd(h, z, V.Broadcast(6.363782993e-8f));
        V rounded = h + V.Broadcast(RoundingConstant);
        V n = rounded - V.Broadcast(RoundingConstant);
        V f = h - n;
        V p = V.Broadcast(1.546973464e-4f);
        p = V.MultiplyAdd(p, f, V.Broadcast(1.340043485e-3f));
        p = V.MultiplyAdd(p, f, V.Broadcast(9.618025595e-3f));
        p = V.MultiplyAdd(p, f, V.Broadcast(5.550327208e-2f));
        p = V.MultiplyAdd(p, f, V.Broadcast(2.402265121e-1f));
        p = V.MultiplyAdd(p, f, V.Broadcast(6.931472067e-1f));
        p = V.MultiplyAdd(p, f, V.Broadcast(1f));
        return V.SelectNegative(beyond, V.Zero, V.AddExponent(p, rounded));
    }
}
