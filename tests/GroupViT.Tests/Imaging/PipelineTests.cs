using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

internal sealed class PipelineTests
{
    // Spec E.1.
    [TestCase(500, 375, 597, 448)]
    [TestCase(375, 500, 448, 597)]
    [TestCase(333, 500, 448, 673)]
    [TestCase(500, 500, 448, 448)]
    [TestCase(2000, 100, 2048, 102)]
    [TestCase(32768, 1, 2048, 1)]
    public void Nvlabs_sizes(int width, int height, int newWidth, int newHeight) =>
        Assert.That(Pipelines.NvlabsSize(width, height), Is.EqualTo((newWidth, newHeight)));

    [TestCase(451, 300, 336, 224, 56, 0)]
    [TestCase(300, 451, 224, 336, 0, 56)]
    [TestCase(224, 225, 224, 225, 0, 0)]
    [TestCase(20, 900, 224, 10080, 0, 4928)]
    public void Hugging_Face_sizes_are_truncated_and_offsets_rounded_down(int width, int height, int newWidth, int newHeight, int left, int top) =>
        Assert.That(Pipelines.HuggingFaceLayout(width, height, PreprocessorConfig.Default), Is.EqualTo(new Layout(newWidth, newHeight, new(left, top, 224, 224))));

    // 256 + 1 and 256 + 3 pixels leave 33 and 35, whose halves 16.5 and 17.5 go to even numbers.
    [TestCase(257, 256, 257, 256, 16, 16)]
    [TestCase(256, 259, 256, 259, 16, 18)]
    public void ImageNet_offsets_are_rounded_half_to_even(int width, int height, int newWidth, int newHeight, int left, int top) =>
        Assert.That(Pipelines.ImageNetLayout(width, height, 224), Is.EqualTo(new Layout(newWidth, newHeight, new(left, top, 224, 224))));

    [Test]
    public void A_crop_larger_than_the_picture_is_padded_with_zeros_rounding_down()
    {
        PreprocessorConfig config = Parse("""{"do_resize": false, "crop_size": {"height": 4, "width": 5}}""");
        RgbImage image = new(2, 3, [.. Enumerable.Repeat((byte)9, 18)]);
        RgbImage padded = Pipelines.HuggingFace(image, config);
        // Height: floor((3 - 4) / 2) = -1, so one empty row above. Width: floor((2 - 5) / 2) = -2, so two columns before, one after.
        string[] rows = [.. Enumerable.Range(0, 4).Select(y => string.Concat(Enumerable.Range(0, 5).Select(x => padded.Row(y)[3 * x])))];
        Assert.That(rows, Is.EqualTo(["00000", "00990", "00990", "00990"]));
    }

    [Test]
    public void A_window_of_a_resize_equals_that_part_of_the_whole()
    {
        RgbImage image = Noise(61, 47);
        foreach ((int width, int height) in new[] { (20, 90), (61, 13), (200, 47), (7, 5) })
        {
            Window window = new(width / 3, height / 4, width / 2, height / 2);
            RgbImage whole = Resize.PilBicubic(image, width, height), part = Resize.PilBicubic(image, width, height, window);
            for (int y = 0; y < window.Height; y++)
            {
                Assert.That(part.Row(y).SequenceEqual(whole.Row(y + window.Top).Slice(window.Left * 3, window.Width * 3)), $"{width}x{height}, row {y}");
            }
        }
    }

    [Test]
    public void Resizes_keep_plain_colours_and_equal_sizes_as_they_are()
    {
        RgbImage plain = new(5, 3, [.. Enumerable.Repeat((byte)201, 45)]), noise = Noise(9, 6);
        foreach (Func<RgbImage, int, int, RgbImage> resize in new Func<RgbImage, int, int, RgbImage>[] { (i, w, h) => Resize.PilBicubic(i, w, h), (i, w, h) => Resize.PilBilinear(i, w, h), Resize.OpenCvBilinear })
        {
            Assert.That(resize(noise, 9, 6).Pixels, Is.EqualTo(noise.Pixels));
            Assert.That(resize(plain, 17, 2).Pixels, Is.All.InRange(200, 201), "OpenCV's truncation may cost a level at the border");
            Assert.That(() => resize(noise, 0, 6), Throws.InstanceOf<ArgumentException>());
        }
    }

    [Test]
    public void A_picture_stretched_takes_the_asked_size()
    {
        RgbImage image = Pipelines.Stretch(Noise(30, 10), 12, 20, PreprocessorConfig.Default);
        Assert.That((image.Width, image.Height), Is.EqualTo((12, 20)));
    }

    [Test]
    public void A_ribbon_of_a_picture_costs_no_more_than_its_crop()
    {
        // Short edge 1 to 224 makes the other 7,340,032: far too large to hold, but only the crop is computed.
        RgbImage ribbon = new(32768, 1, [.. Enumerable.Repeat((byte)77, 3 * 32768)]);
        RgbImage image = Pipelines.HuggingFace(ribbon, PreprocessorConfig.Default);
        Assert.That((image.Width, image.Height), Is.EqualTo((224, 224)));
        Assert.That(image.Pixels, Is.All.EqualTo(77));
        PreprocessorConfig uncropped = Parse("""{"do_center_crop": false}""");
        Assert.That(() => Pipelines.HuggingFace(ribbon, uncropped), Throws.TypeOf<ImageFileException>().With.Message.Contains("7340032 x 224"));
    }

    [Test]
    public void Normalised_values_are_planar_and_follow_the_formulas()
    {
        RgbImage image = Noise(4, 3);
        float[] nvlabs = new float[36], imageNet = new float[36];
        Normalize.Nvlabs.Apply(image, nvlabs);
        Normalize.ImageNet.Apply(image, imageNet);
        double[] mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225];
        for (int i = 0; i < 36; i++)
        {
            double expected = ((image.Pixels[(i % 12 * 3) + (i / 12)] / 255.0) - mean[i / 12]) / std[i / 12];
            Assert.That(imageNet[i], Is.EqualTo(expected).Within(1e-6));
            Assert.That(nvlabs[i], Is.EqualTo(expected).Within(1e-5), "the same statistics on another scale");
        }
        Assert.That(() => Normalize.Nvlabs.Apply(image, new float[35]), Throws.ArgumentException);
    }

    private static PreprocessorConfig Parse(string json) => PreprocessorConfig.Parse(System.Text.Encoding.UTF8.GetBytes(json), "made.json");

    private static RgbImage Noise(int width, int height)
    {
        RgbImage image = new(width, height);
        new Random(3).NextBytes(image.Pixels);
        return image;
    }
}
