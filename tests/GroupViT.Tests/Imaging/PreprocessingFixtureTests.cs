using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>What Pillow, OpenCV and Hugging Face's processor made of the same pictures.</summary>
internal sealed class PreprocessingFixtureTests
{
    private static readonly string[] Names = ["chelsea", "coffee", "wide_17x300", "tall_301x41", "dot_1x1", "odd_225x223", "long_20x900"];

    [Test]
    public void The_decoded_pictures_have_the_recorded_sizes()
    {
        using JsonDocument sizes = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Path("preprocess", "sizes.json")));
        Assert.That(sizes.RootElement.EnumerateObject().Select(p => p.Name), Is.EquivalentTo(Names));
        foreach (JsonProperty size in sizes.RootElement.EnumerateObject())
        {
            RgbImage image = Load($"{size.Name}.png");
            Assert.That((image.Height, image.Width), Is.EqualTo((size.Value[0].GetInt32(), size.Value[1].GetInt32())), size.Name);
        }
    }

    [TestCaseSource(nameof(Names))]
    public void Hugging_Face_rasters_are_exact_to_the_byte(string name) =>
        AssertSame(Pipelines.HuggingFace(Load($"{name}.png"), PreprocessorConfig.Default), Load($"{name}.huggingface.png"));

    [TestCaseSource(nameof(Names))]
    public void ImageNet_rasters_are_exact_to_the_byte(string name) =>
        AssertSame(Pipelines.ImageNet(Load($"{name}.png"), 224), Load($"{name}.imagenet.png"));

    [TestCaseSource(nameof(Names))]
    public void Nvlabs_rasters_are_exact_to_the_byte(string name) =>
        AssertSame(Pipelines.Nvlabs(Load($"{name}.png")), Load($"{name}.nvlabs.png"));

    [Test]
    public void Pixel_values_of_Hugging_Face_are_met_to_a_millionth()
    {
        byte[] file = File.ReadAllBytes(Fixtures.Path("preprocess", "pixel_values.safetensors"));
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using JsonDocument json = JsonDocument.Parse(file.AsMemory(8, header));
        JsonElement tensor = json.RootElement.GetProperty("chelsea.huggingface.pixel_values");
        Assert.That(tensor.GetProperty("shape").GetRawText(), Is.EqualTo("[3,224,224]"));
        ReadOnlySpan<float> expected = MemoryMarshal.Cast<byte, float>(file.AsSpan(8 + header));
        float[] actual = new float[3 * 224 * 224];

        PreprocessorConfig.Default.Normalization.Apply(Pipelines.HuggingFace(Load("chelsea.png"), PreprocessorConfig.Default), actual);

        float largest = 0;
        for (int i = 0; i < actual.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs(actual[i] - expected[i]));
        }
        TestContext.Out.WriteLine($"largest difference {largest:E2}");
        Assert.That(largest, Is.LessThanOrEqualTo(1e-6f));
    }

    private static RgbImage Load(string file) => ImageDecoder.DecodeFile(Fixtures.Path("preprocess", file));

    private static void AssertSame(RgbImage actual, RgbImage expected)
    {
        Assert.That((actual.Width, actual.Height), Is.EqualTo((expected.Width, expected.Height)));
        Assert.That(actual.Pixels.AsSpan().CommonPrefixLength(expected.Pixels), Is.EqualTo(expected.Pixels.Length), "the first sample that differs");
    }
}
