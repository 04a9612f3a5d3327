using System.Buffers.Binary;
using GroupViT.Native.Weights;

namespace GroupViT.Tool.Converting;

/// <summary>Brings elements from one floating-point type to another, and counts what that cost a tensor.</summary>
/// <param name="name">Of the tensor as it is written.</param>
/// <param name="type">What it is written as: F32, F16 or BF16.</param>
internal sealed class TensorRounding(string name, SafetensorsType type)
{
    public string Name { get; } = name;

    /// <summary>What the tensor was; of a fused tensor, its first part.</summary>
    public SafetensorsType From { get; private set; }

    public SafetensorsType To { get; } = type;

    public long Elements { get; private set; }

    /// <summary>The largest |written - read| / |read| among values that neither overflowed nor were flushed.</summary>
    public double MaxRelativeError { get; private set; }

    /// <summary>How many finite values were too large; the type's largest stands for each.</summary>
    public long Overflowed { get; private set; }

    /// <summary>The first of them, or the next that is farther from zero.</summary>
    public double Largest { get; private set; }

    /// <summary>How many values other than zero became zero.</summary>
    public long Flushed { get; private set; }

    /// <summary>How many values were NaN or infinite, and still are.</summary>
    public long NotFinite { get; private set; }

    /// <summary>Whether some value may not have been held exactly.</summary>
    public bool Narrows { get; private set; }

    /// <summary>True where every value of one type is one of the other.</summary>
    public static bool IsExact(SafetensorsType from, SafetensorsType to)
        => from == to || to == SafetensorsType.F64 || to == SafetensorsType.F32 && from is SafetensorsType.F16 or SafetensorsType.BF16;

    /// <summary>Rounds to nearest, ties to even. Equal types are copied bit by bit.</summary>
    /// <param name="from">The type of <paramref name="source"/>: F64, F32, F16 or BF16.</param>
    /// <param name="source">Little-endian elements.</param>
    /// <param name="destination">As many elements of <see cref="To"/>.</param>
    public void Convert(SafetensorsType from, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int sourceSize = from.Bits() / 8;
        int size = To.Bits() / 8;
        if (Elements == 0)
        {
            From = from;
        }
        int count = source.Length / sourceSize;
        Elements += count;
        Narrows |= !IsExact(from, To);
        for (int i = 0; i < count; i++)
        {
            double value = Read(from, source[(i * sourceSize)..]);
            if (!double.IsFinite(value))
            {
                NotFinite++;
            }
            if (from != To)
            {
                Write(value, destination.Slice(i * size, size));
            }
        }
        if (from == To)
        {
            source.CopyTo(destination);
        }
    }

    private static double Read(SafetensorsType type, ReadOnlySpan<byte> bytes) => type switch
    {
        SafetensorsType.F32 => BinaryPrimitives.ReadSingleLittleEndian(bytes),
        SafetensorsType.F16 => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
        SafetensorsType.BF16 => NarrowFloats.FromBFloat16(BinaryPrimitives.ReadUInt16LittleEndian(bytes)),
        SafetensorsType.F64 => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "no type of weights"),
    };

    private void Write(double value, Span<byte> bytes)
    {
        long overflowed = Overflowed;
        double written;
        switch (To)
        {
            case SafetensorsType.F32:
                float single = Limit(value, (float)value, float.MaxValue);
                BinaryPrimitives.WriteSingleLittleEndian(bytes, single);
                written = single;
                break;
            case SafetensorsType.F16:
                Half half = Limit(value, (Half)value, Half.MaxValue);
                BinaryPrimitives.WriteHalfLittleEndian(bytes, half);
                written = (double)half;
                break;
            default:
                ushort bits = NarrowFloats.ToBFloat16(ToOdd(value));
                float brain = NarrowFloats.FromBFloat16(bits);
                if (float.IsInfinity(brain) && double.IsFinite(value))
                {
                    bits--;
                    brain = Limit(value, brain, NarrowFloats.FromBFloat16(0x7F7F));
                }
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, bits);
                written = brain;
                break;
        }
        if (Overflowed == overflowed)
        {
            Count(value, written);
        }
    }

    private T Limit<T>(double value, T rounded, T largest)
        where T : System.Numerics.IFloatingPointIeee754<T>
    {
        if (!T.IsInfinity(rounded) || !double.IsFinite(value))
        {
            return rounded;
        }
        Overflowed++;
        Largest = Math.Abs(value) > Math.Abs(Largest) ? value : Largest;
        return T.CopySign(largest, rounded);
    }

    /// <summary>Half of a rounding to bfloat16: what float32 cannot hold stays visible in its last bit, so that the second half rounds as one step would.</summary>
    private static float ToOdd(double value)
    {
        float rounded = (float)value;
        if (rounded == value || double.IsNaN(value))
        {
            return rounded;
        }
        int bits = BitConverter.SingleToInt32Bits(rounded);
        bits -= Math.Abs((double)rounded) > Math.Abs(value) ? 1 : 0;
        return BitConverter.Int32BitsToSingle(bits | 1);
    }

    private void Count(double value, double written)
    {
        if (value == 0 || !double.IsFinite(value) || written == value)
        {
            return;
        }
        if (written == 0)
        {
            Flushed++;
            return;
        }
        // Most values are no new maximum, and a division takes longer than all else here.
        double error = Math.Abs(written - value);
        double size = Math.Abs(value);
        if (error > MaxRelativeError * size)
        {
            MaxRelativeError = error / size;
        }
    }
}
