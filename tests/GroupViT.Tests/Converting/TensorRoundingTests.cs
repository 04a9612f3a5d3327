using System.Buffers.Binary;
using GroupViT.Native.Weights;
using GroupViT.Tool.Converting;

namespace GroupViT.Tests.Converting;

/// <summary>Elements from one type to another: rounded once, to nearest even, and counted.</summary>
[Category("Cpu")]
internal sealed class TensorRoundingTests
{
    [Test]
    public void Equal_types_are_copied_bit_by_bit_NaN_payloads_included()
    {
        byte[] source = [0x01, 0x00, 0xA0, 0x7F, 0x00, 0x00, 0x80, 0xFF, 0x00, 0x00, 0x00, 0x80];
        byte[] written = new byte[12];
        TensorRounding rounding = new("t", SafetensorsType.F32);
        rounding.Convert(SafetensorsType.F32, source, written);
        Assert.That(written, Is.EqualTo(source));
        Assert.That((rounding.Narrows, rounding.NotFinite, rounding.MaxRelativeError), Is.EqualTo((false, 2L, 0d)));
    }

    [TestCase(65504d, 0x7BFF, 0)]
    [TestCase(65519.996, 0x7BFF, 0)]
    [TestCase(65520d, 0x7BFF, 1)]
    [TestCase(-1e9, 0xFBFF, 1)]
    [TestCase(1e-8, 0x0000, 0)]
    [TestCase(-1e-8, 0x8000, 0)]
    [TestCase(6e-8, 0x0001, 0)]
    [TestCase(1.00048828125, 0x3C00, 0)]
    [TestCase(1.00146484375, 0x3C02, 0)]
    public void Float16_rounds_saturates_and_counts(double value, int bits, int overflowed)
    {
        TensorRounding rounding = Half(value, out ushort written);
        Assert.That(written, Is.EqualTo(bits));
        Assert.That(rounding.Overflowed, Is.EqualTo(overflowed));
        Assert.That(rounding.Flushed, Is.EqualTo((bits & 0x7FFF) == 0 ? 1 : 0));
        Assert.That(rounding.Narrows);
        double kept = (double)BitConverter.UInt16BitsToHalf(written);
        double expected = overflowed > 0 || rounding.Flushed > 0 ? 0 : Math.Abs(kept - value) / Math.Abs(value);
        Assert.That(rounding.MaxRelativeError, Is.EqualTo(expected).Within(1e-15));
        Assert.That(rounding.Largest, Is.EqualTo(overflowed > 0 ? value : 0));
    }

    [Test]
    public void NaN_and_infinity_stay_and_are_counted_but_do_not_overflow()
    {
        foreach (double value in (double[])[double.NaN, double.PositiveInfinity, double.NegativeInfinity])
        {
            foreach (SafetensorsType type in (SafetensorsType[])[SafetensorsType.F32, SafetensorsType.F16, SafetensorsType.BF16])
            {
                TensorRounding rounding = new("t", type);
                byte[] written = new byte[type.Bits() / 8];
                rounding.Convert(SafetensorsType.F64, Double(value), written);
                double kept = type switch
                {
                    SafetensorsType.F32 => BinaryPrimitives.ReadSingleLittleEndian(written),
                    SafetensorsType.F16 => (double)BinaryPrimitives.ReadHalfLittleEndian(written),
                    _ => NarrowFloats.FromBFloat16(BinaryPrimitives.ReadUInt16LittleEndian(written)),
                };
                Assert.That(kept, Is.EqualTo(value), $"{value} as {type}");
                Assert.That((rounding.NotFinite, rounding.Overflowed, rounding.Flushed), Is.EqualTo((1L, 0L, 0L)));
            }
        }
    }

    /// <summary>Through float32 the first would come to lie on the middle between two, and go to the even one, 1.</summary>
    [TestCase(1.00390625 + 1e-12, 0x3F81)]
    [TestCase(1.00390625, 0x3F80)]
    [TestCase(1.00390625 - 1e-12, 0x3F80)]
    [TestCase(-1.00390625 - 1e-12, 0xBF81)]
    [TestCase(3.3895313892515355e38, 0x7F7F)]
    [TestCase(3.396e38, 0x7F7F)]
    [TestCase(3.397e38, 0x7F7F)]
    [TestCase(-1e300, 0xFF7F)]
    [TestCase(1e-300, 0x0000)]
    public void Float64_becomes_bfloat16_in_one_rounding(double value, int bits)
    {
        TensorRounding rounding = new("t", SafetensorsType.BF16);
        byte[] written = new byte[2];
        rounding.Convert(SafetensorsType.F64, Double(value), written);
        Assert.That(BinaryPrimitives.ReadUInt16LittleEndian(written), Is.EqualTo(bits));
        Assert.That(rounding.Overflowed, Is.EqualTo(Math.Abs(value) > 3.3961775292304e38 ? 1 : 0));
        Assert.That(rounding.Flushed, Is.EqualTo(value == 1e-300 ? 1 : 0));
    }

    [Test]
    public void Widening_is_exact_for_every_half()
    {
        byte[] all = new byte[2 * 65536];
        for (int bits = 0; bits < 65536; bits++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(all.AsSpan(2 * bits), (ushort)bits);
        }
        foreach (SafetensorsType type in (SafetensorsType[])[SafetensorsType.F16, SafetensorsType.BF16])
        {
            TensorRounding widening = new("t", SafetensorsType.F32);
            byte[] wide = new byte[4 * 65536];
            widening.Convert(type, all, wide);
            Assert.That((widening.Narrows, widening.MaxRelativeError, widening.Overflowed, widening.Flushed), Is.EqualTo((false, 0d, 0L, 0L)));
            TensorRounding back = new("t", type);
            byte[] narrow = new byte[all.Length];
            back.Convert(SafetensorsType.F32, wide, narrow);
            Assert.That(back.MaxRelativeError, Is.Zero);
            for (int bits = 0; bits < 65536; bits++)
            {
                bool isNaN = type == SafetensorsType.F16 ? (bits & 0x7FFF) > 0x7C00 : (bits & 0x7FFF) > 0x7F80;
                ushort kept = BinaryPrimitives.ReadUInt16LittleEndian(narrow.AsSpan(2 * bits));
                // A signalling NaN comes back quiet.
                Assert.That(kept == bits || isNaN, $"{type} {bits:X4} came back as {kept:X4}");
            }
        }
    }

    private static TensorRounding Half(double value, out ushort written)
    {
        TensorRounding rounding = new("t", SafetensorsType.F16);
        byte[] bytes = new byte[2];
        rounding.Convert(SafetensorsType.F64, Double(value), bytes);
        written = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        return rounding;
    }

    private static byte[] Double(double value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteDoubleLittleEndian(bytes, value);
        return bytes;
    }
}
