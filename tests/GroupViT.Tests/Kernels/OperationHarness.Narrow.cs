using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>Tensors of 16 bits: in the arena two numbers to a word, everywhere else in the harness the float that each stands for, by its bits, or the integer.</summary>
internal sealed partial class OperationHarness
{
    private static bool IsInteger(Tensor tensor) => tensor.Type is ElementType.Int32 or ElementType.UInt16;

    private static bool IsHalf(Tensor tensor) => tensor.IsNarrow || tensor.Type == ElementType.UInt16;

    private static int Words(Tensor tensor) => (int)((tensor.Bytes + 3) / 4);

    private static void Pack(Tensor tensor, uint[] bits, Span<uint> words)
    {
        if (!IsHalf(tensor))
        {
            bits.CopyTo(words);
            return;
        }
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = Half(bits[2 * i]) | (uint)(2 * i + 1 < bits.Length ? Half(bits[2 * i + 1]) : (ushort)(Poison >> 16)) << 16;
        }

        ushort Half(uint float32)
            => tensor.Type == ElementType.UInt16 ? (ushort)float32
                : tensor.Type == ElementType.BFloat16 ? BFloat16.FromSingle(BitConverter.UInt32BitsToSingle(float32))
                : BitConverter.HalfToUInt16Bits((Half)BitConverter.UInt32BitsToSingle(float32));
    }

    private static uint[] Unpack(Tensor tensor, ReadOnlySpan<uint> words)
    {
        uint[] bits = new uint[tensor.Count];
        for (int i = 0; i < bits.Length; i++)
        {
            bits[i] = IsHalf(tensor) ? Wide(tensor, (ushort)(words[i / 2] >> (i % 2 * 16))) : words[i];
        }
        return bits;
    }

    private static uint Wide(Tensor tensor, ushort half)
        => tensor.Type == ElementType.UInt16 ? half : tensor.Type == ElementType.BFloat16 ? (uint)half << 16 : BitConverter.SingleToUInt32Bits((float)BitConverter.UInt16BitsToHalf(half));

    // What an element reads as where nothing was written.
    private static uint Untouched(Tensor tensor, int index) => IsHalf(tensor) ? Wide(tensor, (ushort)(Poison >> (index % 2 * 16))) : Poison;
}
