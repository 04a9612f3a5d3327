using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace GroupViT.Kernels.Simd;

/// <summary>Four lanes: SSE, AdvSimd, and whatever the runtime maps Vector128 to. 6 rows of two vectors take 12 of 16 registers.</summary>
internal readonly unsafe struct V128(Vector128<float> value) : ISimd<V128>
{
    private readonly Vector128<float> value = value;

    public static int Width => 4;

    public static int TileRows => 6;

    public static V128 Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 LoadBFloat16(ushort* source)
        => new(Vector128.ShiftLeft(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16()), 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(V128 value, float* destination) => value.value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Broadcast(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator +(V128 a, V128 b) => new(a.value + b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator -(V128 a, V128 b) => new(a.value - b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator *(V128 a, V128 b) => new(a.value * b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 operator /(V128 a, V128 b) => new(a.value / b.value);

    // MultiplyAddEstimate is one FMA where there is one, else a product and a sum; on one machine it is always the same one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 MultiplyAdd(V128 a, V128 b, V128 c) => new(Vector128.MultiplyAddEstimate(a.value, b.value, c.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Max(V128 a, V128 b) => new(Vector128.MaxNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Min(V128 a, V128 b) => new(Vector128.MinNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 Abs(V128 a) => new(Vector128.Abs(a.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 AddExponent(V128 a, V128 rounded)
        => new((a.value.AsInt32() + Vector128.ShiftLeft(rounded.value.AsInt32(), 23)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128 SelectNegative(V128 test, V128 a, V128 b)
        => new(Vector128.ConditionalSelect(Vector128.LessThan(test.value, Vector128<float>.Zero), a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V128 a) => Vector128.Sum(a.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(V128 a)
        => MathF.Max(MathF.Max(a.value.GetElement(0), a.value.GetElement(1)), MathF.Max(a.value.GetElement(2), a.value.GetElement(3)));
}
