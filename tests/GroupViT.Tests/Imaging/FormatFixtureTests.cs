using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>One raster in many file kinds, against what Pillow makes of them.</summary>
internal sealed class FormatFixtureTests
{
    [TestCase("bilevel.png")]
    [TestCase("gray.png")]
    [TestCase("palette.png")]
    public void Png_kinds_equal_Pillow_to_the_byte(string file) =>
        Assert.That(Load(file).Pixels, Is.EqualTo(Load($"{file}.rgb.png").Pixels));

    [Test]
    public void Rgba_with_alpha_dropped_equals_Pillow_to_the_byte() =>
        Assert.That(Load("rgba.png", AlphaMode.Drop).Pixels, Is.EqualTo(Load("rgba.png.rgb.png").Pixels));

    [Test]
    public void Rgba_is_composed_over_white()
    {
        RgbImage dropped = Load("rgba.png", AlphaMode.Drop), composed = Load("rgba.png");
        Assert.That(composed.Pixels, Is.Not.EqualTo(dropped.Pixels));
        for (int i = 0; i < composed.Pixels.Length; i++)
        {
            Assert.That(composed.Pixels[i], Is.GreaterThanOrEqualTo(dropped.Pixels[i]), "white only lightens");
        }
    }

    [Test]
    public void Gray16_is_shifted_where_Pillow_clips()
    {
        // Pillow's convert clips everything above 255, so wherever the upper byte is not zero it gives white.
        RgbImage ours = Load("gray16.png"), pillow = Load("gray16.png.rgb.png");
        (_, _, int[] samples) = PngDecoder.DecodeLabels(File.ReadAllBytes(Fixtures.Path("preprocess", "formats", "gray16.png")), "gray16.png");
        Assert.That(samples.Max(), Is.GreaterThan(255));
        for (int i = 0; i < samples.Length; i++)
        {
            Assert.That(ours.Pixels[3 * i], Is.EqualTo(samples[i] >> 8));
            Assert.That(pillow.Pixels[3 * i], Is.EqualTo(Math.Min(samples[i], 255)));
        }
    }

    [TestCase("gray.jpg")]
    [TestCase("progressive.jpg")]
    public void Jpeg_kinds_differ_from_Pillow_by_less_than_one_level(string file) => AssertNear(Load(file), Load($"{file}.rgb.png"));

    [TestCase("cmyk.jpg", "four components")]
    [TestCase("bmp.bmp", "a BMP file")]
    [TestCase("gif.gif", "a GIF file")]
    [TestCase("webp.webp", "a WebP file")]
    public void Other_kinds_are_refused_by_name(string file, string kind) =>
        Assert.That(() => Load(file), Throws.TypeOf<ImageFileException>().With.Message.Contains(kind).And.Message.Contains(file));

    [Test]
    public void All_eight_orientations_come_out_upright([Range(1, 8)] int orientation) =>
        AssertNear(
            ImageDecoder.DecodeFile(Fixtures.Path("preprocess", "orientation", $"orientation{orientation}.jpg")),
            ImageDecoder.DecodeFile(Fixtures.Path("preprocess", "orientation", "upright.png")));

    private static RgbImage Load(string file, AlphaMode alpha = AlphaMode.White) =>
        ImageDecoder.DecodeFile(Fixtures.Path("preprocess", "formats", file), new ImageDecodeOptions { Alpha = alpha });

    private static void AssertNear(RgbImage actual, RgbImage expected)
    {
        Assert.That((actual.Width, actual.Height), Is.EqualTo((expected.Width, expected.Height)));
        int largest = 0;
        long sum = 0;
        for (int i = 0; i < expected.Pixels.Length; i++)
        {
            int difference = Math.Abs(actual.Pixels[i] - expected.Pixels[i]);
            largest = Math.Max(largest, difference);
            sum += difference;
        }
        double mean = (double)sum / expected.Pixels.Length;
        TestContext.Out.WriteLine($"mean difference {mean:F4}, largest {largest}");
        Assert.That(mean, Is.LessThan(1));
    }
}
