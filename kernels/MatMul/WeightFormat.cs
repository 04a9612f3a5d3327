using System.Runtime.CompilerServices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

/// <summary>How a constant factor is kept. Products are summed in float32 in each.</summary>
internal enum WeightFormat
{
    Float32,

    /// <summary>The upper half of a float32, rounded to nearest even: half the bytes, 8 significant bits.</summary>
    BFloat16,

    /// <summary>IEEE binary16, rounded to nearest even: half the bytes, 11 significant bits, at most 65,504.</summary>
    Float16,

    /// <summary>Kept as float32; tensor cores round both factors to 11 significant bits.</summary>
    TensorFloat32,
}

/// <summary>What a format does to a number.</summary>
internal static class WeightFormats
{
    /// <summary>The number as it is kept.</summary>
    public static double Kept(this WeightFormat format, double value) => format switch
    {
        WeightFormat.BFloat16 => BFloat16.ToSingle(BFloat16.FromSingle((float)value)),
        WeightFormat.Float16 => (double)(Half)(float)value,
        _ => value,
    };

    /// <summary>Half the distance of 1 and the next number: by how much a factor is off that is rounded to the format. 0 for float32, which is not rounded.</summary>
    public static double UnitRoundoff(this WeightFormat format) => format switch
    {
        WeightFormat.BFloat16 => Math.ScaleB(1, -8),
        WeightFormat.Float16 or WeightFormat.TensorFloat32 => Math.ScaleB(1, -11),
        _ => 0,
    };

    /// <summary>
    /// By how much, relative to |a·b|, a product may be off because the device rounds its factors (A always, B where it is kept in
    /// float32) before it multiplies: tensor cores take no float32.
    /// </summary>
    public static double FactorRounding(this WeightFormat format) => format switch
    {
        WeightFormat.BFloat16 => Math.ScaleB(1, -8) * 1.004,
        // Below 2^-14 a float16 has fewer bits: MatMul.Evaluate adds that part.
        WeightFormat.Float16 => Math.ScaleB(1, -11) * 1.001,
        WeightFormat.TensorFloat32 => Math.ScaleB(1, -10) * 1.001,
        _ => 0,
    };
}

/// <summary>A format as a type, so that the product is compiled with its load inlined.</summary>
internal unsafe interface IPanelFormat
{
    static abstract WeightFormat Format { get; }

    /// <summary>Bytes of one value.</summary>
    static abstract int Bytes { get; }

    static abstract V Load<V>(byte* source)
        where V : struct, ISimd<V>;

    static abstract void Store(float* source, byte* target, nint count);
}

internal readonly unsafe struct FloatPanel : IPanelFormat
{
    public static WeightFormat Format => WeightFormat.Float32;

    public static int Bytes => sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(byte* source)
        where V : struct, ISimd<V> => V.Load((float*)source);

    public static void Store(float* source, byte* target, nint count)
        => Buffer.MemoryCopy(source, target, count * sizeof(float), count * sizeof(float));
}

internal readonly unsafe struct BFloat16Panel : IPanelFormat
{
    public static WeightFormat Format => WeightFormat.BFloat16;

    public static int Bytes => sizeof(ushort);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(byte* source)
        where V : struct, ISimd<V> => V.LoadBFloat16((ushort*)source);

    public static void Store(float* source, byte* target, nint count)
    {
        ushort* to = (ushort*)target;
        for (nint i = 0; i < count; i++)
        {
            to[i] = BFloat16.FromSingle(source[i]);
        }
    }
}

/// <summary>bfloat16 bits.</summary>
internal static class BFloat16
{
    /// <summary>To nearest, ties to even. Not-a-number stays so; above the largest bfloat16 the result is infinite.</summary>
    public static ushort FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>Exact.</summary>
    public static float ToSingle(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
