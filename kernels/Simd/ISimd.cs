namespace GroupViT.Kernels.Simd;

/// <summary>
/// One register's worth of floats. A kernel is written once over <typeparamref name="T"/>; the JIT compiles it per width, because
/// the widths are structs.
/// </summary>
/// <remarks>Lane order is memory order. Sums and maxima over lanes run in a fixed order that depends on the width alone.</remarks>
internal unsafe interface ISimd<T>
    where T : struct, ISimd<T>
{
    static abstract int Width { get; }

    /// <summary>Output rows of the matrix-product tile that fits this instruction set's registers beside two columns of vectors.</summary>
    static abstract int TileRows { get; }

    static abstract T Zero { get; }

    static abstract T Load(float* source);

    /// <summary>As many bfloat16 values, widened.</summary>
    static abstract T LoadBFloat16(ushort* source);

    static abstract void Store(T value, float* destination);

    static abstract T Broadcast(float value);

    static abstract T operator +(T a, T b);

    static abstract T operator -(T a, T b);

    static abstract T operator *(T a, T b);

    static abstract T operator /(T a, T b);

    /// <summary>a·b + c, rounded once where the hardware has the instruction.</summary>
    static abstract T MultiplyAdd(T a, T b, T c);

    /// <summary>The larger one. Where either is not a number the result is b or not a number: one instruction, not IEEE's four.</summary>
    static abstract T Max(T a, T b);

    /// <summary>The smaller one; not-a-number as for <see cref="Max"/>.</summary>
    static abstract T Min(T a, T b);

    static abstract T Abs(T a);

    /// <summary>
    /// a·2^n, where n is the integer in the low bits of <paramref name="rounded"/>, a value of <see cref="SimdMath.RoundingConstant"/> + n. The
    /// exponents are added as integers: a and the result must be normal numbers.
    /// </summary>
    static abstract T AddExponent(T a, T rounded);

    /// <summary>Per lane: a where <paramref name="test"/> is below zero, else b.</summary>
    static abstract T SelectNegative(T test, T a, T b);

    static abstract float Sum(T a);

    static abstract float MaxLane(T a);
}
