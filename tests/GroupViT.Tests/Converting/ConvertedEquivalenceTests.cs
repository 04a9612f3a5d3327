using System.Security.Cryptography;
using GroupViT.Native.Weights;
using GroupViT.Tests.Equivalence;
using GroupViT.Tests.Kernels;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Converting;

/// <summary>Every converted form of a model computes what the reference does, on every device.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class ConvertedEquivalenceTests(TestDevice device)
{
    private static IEnumerable<TestCaseData> Forms =>
        from source in (string[])["model.safetensors", "shards", "pytorch_model.bin", "nvlabs/model.safetensors", "nvlabs/checkpoint.pth", "nvlabs/checkpoint_legacy.pth"]
        from layout in (string[])["huggingface", "nvlabs"]
        select new TestCaseData(source, layout);

    [TestCaseSource(nameof(Forms))]
    public void Every_converted_form_of_tiny_is_the_references(string source, string layout)
    {
        if (device.IsSlow && source != "nvlabs/checkpoint.pth")
        {
            Assert.Ignore("on the simulator one source is enough: the others become the same bytes");
        }
        using TemporaryFolder folder = new();
        ConvertRun.Convert(Source(source, folder), folder.Join("out"), "--layout", layout, "--dtype", "f32");
        Verification.Check(device, folder.Join("out"), Fixtures.Path("tiny"), device.IsSlow ? "image64x48*" : null);
    }

    [TestCase("f16", "huggingface")]
    [TestCase("f16", "nvlabs")]
    [TestCase("bf16", "huggingface")]
    [TestCase("bf16", "nvlabs")]
    public void Tiny_rounded_to_half_the_size_is_the_references(string type, string layout)
    {
        using TemporaryFolder folder = new();
        ConvertRun.Convert(Fixtures.Path("tiny", "nvlabs", "checkpoint.pth"), folder.Join("out"), "--layout", layout, "--dtype", type);
        Verification.Check(device, folder.Join("out"), Fixtures.Path("tiny", type), device.IsSlow ? "image64x48*" : null);
    }

    /// <summary>Its weights are float16: widened they compute the same, and narrowed again they are the same bytes.</summary>
    [Test]
    public void The_demonstration_model_converted_to_f16_and_back_is_the_references()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("a whole scene takes the simulator minutes");
        }
        using TemporaryFolder folder = new();
        ConvertRun.Convert(Fixtures.Models("scenes"), folder.Join("wide"), "--dtype", "f32", "--layout", "nvlabs");
        Verification.Check(device, folder.Join("wide"), Fixtures.Path("scenes"), null);
        ConvertRun.Convert(folder.Join("wide"), folder.Join("half"), "--dtype", "f16");
        Assert.That(ConvertRun.Weights(folder.Join("half")), Is.EqualTo(ConvertRun.Weights(Fixtures.Models("scenes"))));
        Verification.Check(device, folder.Join("half"), Fixtures.Path("scenes"), null);
    }

    /// <summary>Both ways at full size: the same bytes as synthesised in that layout, and both of them run.</summary>
    [Test, Category("FullSize")]
    public void The_full_size_model_in_both_layouts_is_the_references()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator takes the full network hours");
        }
        using TemporaryFolder folder = new();
        ConvertRun.Convert(FullModel.Folder, folder.Join("nvlabs"), "--layout", "nvlabs");
        FormulaWeights.Synthesize(FullModel.Config, KeyLayout.Nvlabs, SafetensorsType.F32, folder.Join("synth.safetensors"));
        AssertSameFile(folder.Join("synth.safetensors"), folder.Join("nvlabs/model.safetensors"));
        using RecordedSubset recorded = new("image224x224*");
        Verification.Check(device, folder.Join("nvlabs"), recorded.Folder, null);
        ConvertRun.Convert(folder.Join("nvlabs"), folder.Join("huggingface"));
        AssertSameFile(Path.Combine(FullModel.Folder, "model.safetensors"), folder.Join("huggingface/model.safetensors"));
        Verification.Check(device, folder.Join("huggingface"), recorded.Folder, null);
    }

    private static void AssertSameFile(string expected, string actual)
    {
        using FileStream first = File.OpenRead(expected);
        using FileStream second = File.OpenRead(actual);
        Assert.That(SHA256.HashData(second), Is.EqualTo(SHA256.HashData(first)));
    }

    private static string Source(string name, TemporaryFolder folder)
    {
        if (name != "shards")
        {
            return Fixtures.Path("tiny", name);
        }
        string shards = Directory.CreateDirectory(folder.Join("shards")).FullName;
        File.Copy(Fixtures.Path("tiny", "config.json"), Path.Combine(shards, "config.json"));
        ConvertRun.Shard(Fixtures.Path("tiny", "model.safetensors"), shards, 3);
        return shards;
    }
}
