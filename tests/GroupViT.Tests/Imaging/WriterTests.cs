using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>What the writers write, read back by the decoder (which other tests hold to Pillow's files).</summary>
internal sealed class WriterTests
{
    [TestCase(1, 1)]
    [TestCase(7, 3)]
    [TestCase(300, 200)]
    public void Rgb_comes_back_as_it_was(int width, int height)
    {
        RgbImage image = new(width, height);
        new Random(5).NextBytes(image.Pixels);
        Assert.That(ImageDecoder.Decode(Written(s => PngWriter.WriteRgb(s, image))).Pixels, Is.EqualTo(image.Pixels));
    }

    [Test]
    public void A_photograph_comes_back_as_it_was_and_is_compressed()
    {
        RgbImage image = ImageDecoder.DecodeFile(Fixtures.Path("preprocess", "chelsea.png"));
        byte[] file = Written(s => PngWriter.WriteRgb(s, image));
        Assert.That(ImageDecoder.Decode(file).Pixels, Is.EqualTo(image.Pixels));
        TestContext.Out.WriteLine($"{file.Length} bytes, where the original took {new FileInfo(Fixtures.Path("preprocess", "chelsea.png")).Length}");
        Assert.That(file, Has.Length.LessThan(image.Pixels.Length * 3 / 4));
    }

    [Test]
    public void Grey_of_8_and_16_bits_comes_back_as_it_was()
    {
        byte[] gray8 = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        Assert.That(PngDecoder.DecodeLabels(Written(s => PngWriter.WriteGray8(s, 32, 8, gray8)), "made").Labels, Is.EqualTo(gray8));
        ushort[] gray16 = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        Assert.That(PngDecoder.DecodeLabels(Written(s => PngWriter.WriteGray16(s, 1024, 64, (ReadOnlyMemory<ushort>)gray16)), "made").Labels, Is.EqualTo(gray16));
    }

    [Test]
    public void Indexed_pictures_keep_indices_and_colours()
    {
        byte[] file = Written(s => PngWriter.WriteIndexed(s, 3, 1, [1, 0, 1], [10, 20, 30, 40, 50, 60]));
        Assert.That(PngDecoder.DecodeLabels(file, "made").Labels, Is.EqualTo<int[]>([1, 0, 1]));
        Assert.That(ImageDecoder.Decode(file).Pixels, Is.EqualTo(new byte[] { 40, 50, 60, 10, 20, 30, 40, 50, 60 }));
    }

    [Test]
    public void A_mask_of_few_labels_is_indexed_with_255_for_none()
    {
        byte[] file = Written(s => MaskWriter.Write(s, 4, 1, (ushort[])[0, 254, MaskWriter.Ignored, 7], 255, LabelColors.Default));
        Assert.That(PngDecoder.DecodeLabels(file, "made").Labels, Is.EqualTo<int[]>([0, 254, 255, 7]));
        RgbImage shown = ImageDecoder.Decode(file);
        (byte r, byte g, byte b) = LabelColors.Default[7];
        Assert.That(shown.Row(0)[9..].ToArray(), Is.EqualTo(new[] { r, g, b }));
        Assert.That(shown.Row(0)[6..9].ToArray(), Is.All.EqualTo(255));
    }

    [Test]
    public void A_mask_of_many_labels_is_16_bit_grey_with_65535_for_none()
    {
        byte[] file = Written(s => MaskWriter.Write(s, 4, 1, (ushort[])[0, 255, MaskWriter.Ignored, 65534], 65535, LabelColors.Default));
        Assert.That(PngDecoder.DecodeLabels(file, "made").Labels, Is.EqualTo<int[]>([0, 255, 65535, 65534]));
    }

    [Test]
    public void Arguments_that_do_not_fit_write_nothing()
    {
        using MemoryStream stream = new();
        Assert.That(() => PngWriter.WriteGray8(stream, 2, 2, new byte[3]), Throws.ArgumentException);
        Assert.That(() => PngWriter.WriteGray8(stream, 0, 2, []), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => PngWriter.WriteIndexed(stream, 1, 1, [0], []), Throws.ArgumentException);
        Assert.That(() => PngWriter.WriteIndexed(stream, 1, 1, [2], new byte[6]), Throws.ArgumentException.With.Message.Contains("past the palette"));
        Assert.That(() => MaskWriter.Write(stream, 1, 1, (ushort[])[3], 3, LabelColors.Default), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => MaskWriter.Write(stream, 1, 1, (ushort[])[65534], 3, LabelColors.Default), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => MaskWriter.Write(stream, 1, 1, (ushort[])[0], 65536, LabelColors.Default), Throws.InstanceOf<ArgumentException>());
        Assert.That(stream.Length, Is.Zero);
    }

    [Test]
    public void As_many_labels_as_an_indexed_mask_holds_have_colours_of_their_own()
    {
        LabelColors colors = LabelColors.Default;
        Assert.That(colors.Count, Is.GreaterThanOrEqualTo(MaskWriter.MaxLabels8));
        Assert.That(Enumerable.Range(0, colors.Count).Select(i => colors[i]), Is.Unique);
        Assert.That(colors[colors.Count + 3], Is.EqualTo(colors[3]), "then they repeat");
        for (int i = 0; i < 40; i++)
        {
            for (int j = 0; j < i; j++)
            {
                (int r, int g, int b) = (colors[i].R - colors[j].R, colors[i].G - colors[j].G, colors[i].B - colors[j].B);
                Assert.That((r * r) + (g * g) + (b * b), Is.GreaterThan(40 * 40), $"labels {j} and {i} look alike");
            }
        }
    }

    private static byte[] Written(Action<Stream> write)
    {
        using MemoryStream stream = new();
        write(stream);
        return stream.ToArray();
    }
}
