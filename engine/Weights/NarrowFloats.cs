using System.Numerics;

namespace GroupViT.Native.Weights;

/// <summary>
/// float16 and bfloat16 as they are stored. Widening is exact, and vectorised: the runtime's own conversion of one Half at a time took
/// most of the time of reading a float16 checkpoint.
/// </summary>
internal static class NarrowFloats
{
    /// <summary>Exact: bfloat16 is the upper half of a float32.</summary>
    public static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>Rounded to nearest, ties to even, as PyTorch does; NaN stays NaN, values above the largest bfloat16 become infinity.</summary>
    public static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
        {
            // Rounding could carry a NaN's payload over into infinity.
            return (ushort)((bits >> 16) | 0x0040);
        }
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The source may be the upper half of the destination's own memory: every element is read before it is written over.</summary>
    public static void WidenBFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        int i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(source[i..]), out Vector<uint> low, out Vector<uint> high);
            Vector.AsVectorSingle(low << 16).CopyTo(destination[i..]);
            Vector.AsVectorSingle(high << 16).CopyTo(destination[(i + Vector<uint>.Count)..]);
        }
        for (; i < source.Length; i++)
        {
            destination[i] = FromBFloat16(source[i]);
        }
    }

    /// <inheritdoc cref="WidenBFloat16"/>
    public static void WidenHalf(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        int i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(source[i..]), out Vector<uint> low, out Vector<uint> high);
            WidenHalf(low).CopyTo(destination[i..]);
            WidenHalf(high).CopyTo(destination[(i + Vector<uint>.Count)..]);
        }
        for (; i < source.Length; i++)
        {
            destination[i] = (float)BitConverter.UInt16BitsToHalf(source[i]);
        }
    }

    /// <summary>
    /// With exponent and fraction moved to their places in a float32 only the exponent's bias is wrong, by 127 - 15: multiplying by 2^112
    /// sets it right, for subnormal numbers too. Infinity and NaN get their exponent, NaN its quiet bit, as the runtime does.
    /// </summary>
    private static Vector<float> WidenHalf(Vector<uint> half)
    {
        Vector<uint> magnitude = (half & new Vector<uint>(0x7FFF)) << 13;
        Vector<uint> scaled = Vector.AsVectorUInt32(Vector.AsVectorSingle(magnitude) * new Vector<float>(5192296858534827628530496329220096f));
        Vector<uint> special = Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(0x0F80_0000)) & new Vector<uint>(0x7F80_0000);
        Vector<uint> quiet = Vector.GreaterThan(magnitude, new Vector<uint>(0x0F80_0000)) & new Vector<uint>(0x0040_0000);
        Vector<uint> sign = (half & new Vector<uint>(0x8000)) << 16;
        return Vector.AsVectorSingle(scaled | special | quiet | sign);
    }
}
