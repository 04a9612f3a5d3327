using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

internal sealed class RgbImageTests
{
    [TestCase(PixelFormat.Rgb, new byte[] { 1, 2, 3, 4, 5, 6 }, new byte[] { 1, 2, 3, 4, 5, 6 })]
    [TestCase(PixelFormat.Bgr, new byte[] { 1, 2, 3, 4, 5, 6 }, new byte[] { 3, 2, 1, 6, 5, 4 })]
    [TestCase(PixelFormat.Gray, new byte[] { 1, 2 }, new byte[] { 1, 1, 1, 2, 2, 2 })]
    [TestCase(PixelFormat.Rgba, new byte[] { 1, 2, 3, 255, 9, 9, 9, 0 }, new byte[] { 1, 2, 3, 255, 255, 255 })]
    [TestCase(PixelFormat.Bgra, new byte[] { 1, 2, 3, 255, 0, 51, 102, 128 }, new byte[] { 3, 2, 1, 178, 153, 127 })]
    public void Formats_are_put_in_order(PixelFormat format, byte[] pixels, byte[] expected) =>
        Assert.That(RgbImage.FromPixels(pixels, 2, 1, pixels.Length, format).Pixels, Is.EqualTo(expected));

    [Test]
    public void Alpha_can_be_dropped() =>
        Assert.That(RgbImage.FromPixels([1, 2, 3, 0], 1, 1, 4, PixelFormat.Bgra, AlphaMode.Drop).Pixels, Is.EqualTo(new byte[] { 3, 2, 1 }));

    [Test]
    public void Composition_is_rounded_exactly_for_every_colour_and_alpha()
    {
        byte[] sample = new byte[1];
        for (int c = 0; c < 256; c++)
        {
            for (int a = 0; a < 256; a++)
            {
                sample[0] = (byte)c;
                RgbImage.ComposeOverWhite(sample, (byte)a);
                if (sample[0] != (int)Math.Round(((c * a) + (255 * (255 - a))) / 255.0))
                {
                    Assert.Fail($"colour {c}, alpha {a}: {sample[0]}");
                }
            }
        }
    }

    [Test]
    public void Rows_may_be_padded_and_the_last_one_need_not_be()
    {
        byte[] pixels = [1, 2, 3, 99, 99, 4, 5, 6];
        Assert.That(RgbImage.FromPixels(pixels, 1, 2, 5, PixelFormat.Rgb).Pixels, Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6 }));
    }

    [Test]
    public void Memory_too_short_names_the_bytes_that_are_needed() => Assert.That(
        () => RgbImage.FromPixels(new byte[7], 1, 2, 5, PixelFormat.Rgb), Throws.TypeOf<ArgumentException>().With.Message.Contains("take 8 bytes, but only 7"));

    [TestCase(0, 1)]
    [TestCase(-1, 1)]
    [TestCase(1, 0)]
    [TestCase(32769, 1)]
    [TestCase(int.MaxValue, int.MaxValue)]
    public void Sides_out_of_range(int width, int height) => Assert.That(
        () => RgbImage.FromPixels(new byte[16], width, height, int.MaxValue, PixelFormat.Gray), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("1 to 32768"));

    [Test]
    public void A_stride_shorter_than_a_row_or_negative([Values(5, 0, -6)] int stride) => Assert.That(
        () => RgbImage.FromPixels(new byte[60], 2, 2, stride, PixelFormat.Rgb), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("takes 6 bytes"));

    [Test]
    public void A_stride_that_would_overflow() => Assert.That(
        () => RgbImage.FromPixels(new byte[60], 2, 30000, int.MaxValue, PixelFormat.Rgb), Throws.TypeOf<ArgumentException>());

    [Test]
    public void More_pixels_than_an_array_holds() => Assert.That(
        () => RgbImage.FromPixels(new byte[60], 32768, 32768, 32768, PixelFormat.Gray), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("one picture can hold"));

    [Test]
    public void Values_that_are_no_format_or_alpha_mode()
    {
        Assert.That(() => RgbImage.FromPixels(new byte[60], 2, 2, 6, (PixelFormat)99), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => RgbImage.FromPixels(new byte[60], 2, 2, 6, PixelFormat.Rgb, (AlphaMode)99), Throws.TypeOf<ArgumentOutOfRangeException>());
    }
}
