namespace GroupViT.Native.Weights;

/// <summary>bfloat16 as bits: the upper half of a float32. (Half is the runtime's own type; bfloat16 has none in .NET 10.)</summary>
internal static class NarrowFloats
{
    /// <summary>Exact.</summary>
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
}
