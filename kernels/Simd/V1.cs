namespace GroupViT.Kernels.Simd;

/// <summary>One lane: plain floats, for machines without vectors and for the ends of rows.</summary>
internal readonly unsafe struct V1(float value) : ISimd<V1>
{
    private readonly float value = value;

    public static int Width => 1;

    public static int TileRows => 6;

    public static V1 Zero => default;

    public static V1 Load(float* source) => new(*source);

    public static V1 LoadBFloat16(ushort* source) => new(BFloat16.ToSingle(*source));

    public static void Store(V1 value, float* destination) => *destination = value.value;

    public static V1 Broadcast(float value) => new(value);

    public static V1 operator +(V1 a, V1 b) => new(a.value + b.value);

    public static V1 operator -(V1 a, V1 b) => new(a.value - b.value);

    public static V1 operator *(V1 a, V1 b) => new(a.value * b.value);

    public static V1 operator /(V1 a, V1 b) => new(a.value / b.value);

    public static V1 MultiplyAdd(V1 a, V1 b, V1 c) => new(float.MultiplyAddEstimate(a.value, b.value, c.value));

    public static V1 Max(V1 a, V1 b) => new(MathF.Max(a.value, b.value));

    public static V1 Min(V1 a, V1 b) => new(MathF.Min(a.value, b.value));

    public static V1 Abs(V1 a) => new(MathF.Abs(a.value));

    public static V1 AddExponent(V1 a, V1 rounded)
        => new(BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(a.value) + (BitConverter.SingleToInt32Bits(rounded.value) << 23)));

    public static V1 SelectNegative(V1 test, V1 a, V1 b) => test.value < 0 ? a : b;

    public static float Sum(V1 a) => a.value;

    public static float MaxLane(V1 a) => a.value;
}
