using System.Runtime.InteropServices;
using GroupViT.Native;

namespace GroupViT.Kernels;

/// <summary>Weights of fewer bits than float32, as the GPU kernels read them.</summary>
internal static class NarrowWeights
{
    /// <param name="weight">[N, K], as the checkpoint has it.</param>
    /// <param name="format">A 16-bit format.</param>
    /// <param name="transposedStride">0: [N][K] is kept. Else [K][N] is made, in rows of so many numbers; those beyond N are 0.</param>
    /// <param name="destination">Two numbers each.</param>
    /// <exception cref="PrecisionException">A weight is finite, but not in <paramref name="format"/>.</exception>
    public static void Pack(Tensor weight, WeightFormat format, int transposedStride, Span<float> destination)
    {
        (int n, int k) = (weight.Rows, weight.Columns);
        float[] values = new float[n * k];
        weight.Reader!(values);
        Span<ushort> target = MemoryMarshal.Cast<float, ushort>(destination);
        target.Clear();
        for (int row = 0; row < n; row++)
        {
            for (int column = 0; column < k; column++)
            {
                float value = values[row * k + column];
                ushort bits = format == WeightFormat.BFloat16 ? BFloat16.FromSingle(value) : BitConverter.HalfToUInt16Bits((Half)value);
                if ((bits & (format == WeightFormat.BFloat16 ? 0x7F80 : 0x7C00)) == (format == WeightFormat.BFloat16 ? 0x7F80 : 0x7C00))
                {
                    throw new PrecisionException(
                        $"{weight.Name}[{row}, {column}] is {value:G9}, beyond what {format} holds ({(format == WeightFormat.BFloat16 ? "3.39e38" : "65504")}); use another precision");
                }
                target[transposedStride == 0 ? row * k + column : column * transposedStride + row] = bits;
            }
        }
    }

    /// <summary>[N][K] in float32, each to the 11 significant bits that matrix instructions take, ties away from zero as <see cref="Devices.TensorCore.ToTensorFloat32"/>: so that no product rounds them again.</summary>
    public static void PackTensorFloat32(Tensor weight, Span<float> destination)
    {
        weight.Reader!(destination);
        foreach (ref float value in destination)
        {
            value = float.IsFinite(value) ? BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value) + 0x1000) & 0xFFFFE000) : value;
        }
    }
}
