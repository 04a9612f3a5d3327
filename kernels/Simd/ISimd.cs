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

    static abstract void Store(T value, float* destination);

    static abstract T Broadcast(float value);

    static abstract T operator +(T a, T b);

    static abstract T operator -(T a, T b);

    static abstract T operator *(T a, T b);

    static abstract T operator /(T a, T b);

    /// <summary>a·b + c, rounded once where the hardware has the instruction.</summary>
    static abstract T MultiplyAdd(T a, T b, T c);

    static abstract T Max(T a, T b);

    static abstract T Min(T a, T b);

    static abstract T Abs(T a);

    static abstract T Round(T a);

    /// <summary>2^n for integral n in [-126, 127].</summary>
    static abstract T PowerOfTwo(T n);

    /// <summary>Per lane: a where <paramref name="test"/> is below zero, else b.</summary>
    static abstract T SelectNegative(T test, T a, T b);

    static abstract float Sum(T a);

    static abstract float MaxLane(T a);
}
