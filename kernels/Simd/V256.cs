using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace GroupViT.Kernels.Simd;

/// <summary>Eight lanes: AVX2 with FMA. 6 rows of two vectors take 12 of 16 registers.</summary>
internal readonly unsafe struct V256(Vector256<float> value) : ISimd<V256>
{
    private readonly Vector256<float> value = value;

    public static int Width => 8;

    public static int TileRows => 6;

    public static V256 Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V256 value, float* destination) => value.value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Broadcast(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator +(V256 a, V256 b) => new(a.value + b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator -(V256 a, V256 b) => new(a.value - b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator *(V256 a, V256 b) => new(a.value * b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 operator /(V256 a, V256 b) => new(a.value / b.value);

    // MultiplyAddEstimate is one FMA where there is one, else a product and a sum; on one machine it is always the same one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 MultiplyAdd(V256 a, V256 b, V256 c) => new(Vector256.MultiplyAddEstimate(a.value, b.value, c.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Max(V256 a, V256 b) => new(Vector256.Max(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Min(V256 a, V256 b) => new(Vector256.Min(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Abs(V256 a) => new(Vector256.Abs(a.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 Round(V256 a) => new(Vector256.Round(a.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 PowerOfTwo(V256 n)
        => new(Vector256.ShiftLeft(Vector256.ConvertToInt32(n.value) + Vector256.Create(127), 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256 SelectNegative(V256 test, V256 a, V256 b)
        => new(Vector256.ConditionalSelect(Vector256.LessThan(test.value, Vector256<float>.Zero), a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V256 a) => Vector256.Sum(a.value);

    public static float MaxLane(V256 a)
    {
        float max = a.value.GetElement(0);
        for (int i = 1; i < Width; i++)
        {
            max = MathF.Max(max, a.value.GetElement(i));
        }
        return max;
    }
}
