using System.Runtime.CompilerServices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

/// <summary>An activation as a type, so that a kernel is compiled with it inlined.</summary>
internal interface IActivation
{
    static abstract V Apply<V>(V x)
        where V : struct, ISimd<V>;
}

internal readonly struct NoActivation : IActivation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, ISimd<V> => x;
}

internal readonly struct Gelu : IActivation
{
    // With E = erfc(|x|/√2): ½·x·(1 + erf(x/√2)) is ½·x·E below zero, which keeps its relative accuracy, and x − ½·x·E above.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, ISimd<V>
    {
        V half = V.Broadcast(0.5f) * x * SimdMath.ErfcOfRoot2(V.Abs(x));
        return V.SelectNegative(x, half, x - half);
    }
}

internal readonly struct QuickGelu : IActivation
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, ISimd<V>
        => x / (V.Broadcast(1f) + SimdMath.Exp(V.Broadcast(-1.702f) * x));
}

internal readonly struct Relu : IActivation
{
    // In this order not-a-number stays what it is.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x)
        where V : struct, ISimd<V> => V.Max(V.Zero, x);
}
