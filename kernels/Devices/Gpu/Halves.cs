using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels.Devices;

/// <summary>Four 32-bit words: 16 bytes, what one copy moves.</summary>
internal struct Words
{
    public uint X;
    public uint Y;
    public uint Z;
    public uint W;
}

/// <summary>Two 32-bit words: four numbers of 16 bits.</summary>
internal struct WordPair
{
    public uint X;
    public uint Y;
}

/// <summary>Two floats.</summary>
internal struct FloatPair
{
    public float X;
    public float Y;
}

/// <summary>
/// Sixteen-bit numbers in memory, float32 in registers, by shifts and one product: no device needs to know the formats for this.
/// </summary>
internal static class Halves
{
    public static float LowBFloat16(uint pair) => Interop.IntAsFloat(pair << 16);

    public static float HighBFloat16(uint pair) => Interop.IntAsFloat(pair & 0xFFFF0000u);

    public static float LowFloat16(uint pair) => Float16(pair & 0xFFFFu);

    public static float HighFloat16(uint pair) => Float16(pair >> 16);

    // With the exponent moved, a normal number is done. Of a subnormal f / 1024 · 2^-14 this makes (1 + f / 1024) · 2^-15, so 2^-15 is taken
    // away and the rest doubled: exact, and no float32 below the normal ones is met, which a device may flush. No branch, because PoCL
    // makes no vectors of a kernel with branches (9 GFLOP/s instead of 80). Infinity and not-a-number would become finite; the packing
    // refuses weights that are not finite in float16.
    private static float Float16(uint half)
    {
        uint magnitude = half & 0x7FFFu;
        float normal = Interop.IntAsFloat((magnitude << 13) + 0x38000000u);
        float rest = normal - 3.0517578125e-5f;
        uint subnormal = (uint)((int)(magnitude - 0x400u) >> 31);
        return Interop.IntAsFloat((Interop.FloatAsInt(rest + rest) & subnormal) | (Interop.FloatAsInt(normal) & ~subnormal) | ((half & 0x8000u) << 16));
    }
}

/// <summary>Four neighbouring bfloat16 numbers of a packed constant, whose rows are whole quads.</summary>
internal readonly struct BFloat16Quads : IQuadLoad
{
    public static Quad Load(ArrayView<float> data, int index, int step, int count)
    {
        WordPair words = data.Cast<WordPair>()[index >> 2];
        return new Quad
        {
            X = Halves.LowBFloat16(words.X),
            Y = Halves.HighBFloat16(words.X),
            Z = Halves.LowBFloat16(words.Y),
            W = Halves.HighBFloat16(words.Y),
        };
    }
}

/// <summary>As <see cref="BFloat16Quads"/>, for float16.</summary>
internal readonly struct Float16Quads : IQuadLoad
{
    public static Quad Load(ArrayView<float> data, int index, int step, int count)
    {
        WordPair words = data.Cast<WordPair>()[index >> 2];
        return new Quad
        {
            X = Halves.LowFloat16(words.X),
            Y = Halves.HighFloat16(words.X),
            Z = Halves.LowFloat16(words.Y),
            W = Halves.HighFloat16(words.Y),
        };
    }
}
