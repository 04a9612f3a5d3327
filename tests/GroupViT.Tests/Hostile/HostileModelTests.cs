using System.Buffers.Binary;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;

namespace GroupViT.Tests.Hostile;

/// <summary>Models that are damaged or made to hurt, through the public face: a typed error that names what is wrong, never a silent mask.</summary>
[Category("Cpu")]
internal sealed class HostileModelTests
{
    private static readonly SessionOptions Options = new() { Device = "cpu", MaxSize = (168, 168), MaxLabels = 16, Threads = 2 };
    private static readonly SegmentationOptions Rules = new() { ShortSide = 48 };

    [TestCase("vision_model.encoder.stages.0.layers.1.mlp.fc1.weight")]
    [TestCase("vision_model.encoder.stages.1.downsample.assign.k_proj.bias")]
    [TestCase("vision_model.embeddings.position_embeddings")]
    [TestCase("visual_projection.1.running_var")]
    public void Not_a_number_on_the_image_side_is_named(string tensor)
    {
        foreach (float bad in (ReadOnlySpan<float>)[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            using TemporaryFolder folder = Damaged("tiny", tensor, 3, bad);
            using GroupVitModel model = GroupVitModel.Load(folder.Root);
            using Session session = model.OpenSession(Options);
            for (int attempt = 0; attempt < 2; attempt++)
            {
                ModelFileException error = Assert.Throws<ModelFileException>(() => session.Encode(TestModels.Noise(64, 48), Rules))!;
                Assert.That(error.Item, Is.EqualTo(tensor));
                Assert.That(error.Message, Does.Contain("element 3").And.Contain("finite"));
            }
        }
    }

    [Test]
    public void Not_a_number_on_the_text_side_is_named_when_a_text_is_encoded_and_not_before()
    {
        const string tensor = "text_model.encoder.layers.0.mlp.fc1.weight";
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Models("scenes"));
        using (SafetensorsFile file = SafetensorsFile.Open(folder["model.safetensors"]))
        {
            SafetensorsEntry entry = file.Entry(tensor);
            Assert.That(entry.Type, Is.EqualTo(SafetensorsType.F16));
            Write(folder, entry.Offset, [0x00, 0x7E]);
        }
        using GroupVitModel model = GroupVitModel.Load(folder.Root);
        using Session session = model.OpenSession(Options);
        Picture picture = TestModels.Noise(168, 168);
        SegmentationResult result = session.Segment(picture, TestModels.Bank(model, 3));
        ModelFileException error = Assert.Throws<ModelFileException>(() => session.EncodeLabels(["sky"]))!;
        Assert.That(error.Item, Is.EqualTo(tensor));
        Assert.That(session.Segment(picture, TestModels.Bank(model, 3)).Mask.ToArray(), Is.EqualTo(result.Mask.ToArray()), "the image side goes on");
    }

    [Test]
    public void Missing_and_extra_tensors_are_both_listed()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"));
        byte[] bytes = File.ReadAllBytes(folder["model.safetensors"]);
        int at = bytes.AsSpan().IndexOf("\"vision_model.layernorm.bias\""u8);
        "\"vision_model.layernorm.bios\""u8.CopyTo(bytes.AsSpan(at));
        File.WriteAllBytes(folder["model.safetensors"], bytes);
        ModelFileException error = Assert.Throws<ModelFileException>(() => GroupVitModel.Load(folder.Root))!;
        Assert.That(error.Message, Does.Contain("missing").And.Contain("vision_model.layernorm.bias").And.Contain("vision_model.layernorm.bios"));
    }

    [Test]
    public void A_file_cut_anywhere_is_refused()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"));
        byte[] whole = File.ReadAllBytes(folder["model.safetensors"]);
        foreach (int length in (ReadOnlySpan<int>)[0, 7, 8, 100, 5000, whole.Length / 2, whole.Length - 1])
        {
            File.WriteAllBytes(folder["model.safetensors"], whole[..length]);
            Assert.Throws<ModelFileException>(() => GroupVitModel.Load(folder.Root), $"{length} of {whole.Length} bytes");
        }
    }

    [TestCase("\"hidden_size\": 64", "\"hidden_size\": 2000000000", "hidden_size")]
    [TestCase("\"image_size\": 96", "\"image_size\": 1000000", "image_size")]
    [TestCase("\"patch_size\": 16", "\"patch_size\": 0", "patch_size")]
    [TestCase("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads")]
    [TestCase("\"vocab_size\": 600", "\"vocab_size\": -1", "vocab_size")]
    [TestCase("\"max_position_embeddings\": 24", "\"max_position_embeddings\": 99999999", "max_position_embeddings")]
    [TestCase("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"swish\"", "hidden_act")]
    public void A_configuration_of_absurd_sizes_is_refused_by_its_field(string right, string wrong, string field)
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"));
        string text = File.ReadAllText(folder["config.json"]);
        Assert.That(text, Does.Contain(right));
        File.WriteAllText(folder["config.json"], text.Replace(right, wrong, StringComparison.Ordinal));
        Assert.That(Assert.Throws<ModelFileException>(() => GroupVitModel.Load(folder.Root))!.Message, Does.Contain(field));
    }

    [Test]
    public void Sizes_that_are_allowed_but_not_the_files_are_refused_without_their_memory()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"));
        string text = File.ReadAllText(folder["config.json"]);
        File.WriteAllText(folder["config.json"], text.Replace("\"intermediate_size\": 256", "\"intermediate_size\": 8192", StringComparison.Ordinal));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<ModelFileException>(() => GroupVitModel.Load(folder.Root));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(8 << 20));
    }

    [TestCase("no-such-thing")]
    [TestCase("cuda:99")]
    [TestCase("opencl:99")]
    [TestCase("CPU")]
    public void An_unknown_device_lists_what_was_found(string name)
    {
        using GroupVitModel model = TestModels.Tiny();
        foreach (Action call in (ReadOnlySpan<Action>)[() => model.OpenSession(Options with { Device = name }), () => model.EstimateMemory(Options with { Device = name })])
        {
            DeviceUnavailableException error = Assert.Throws<DeviceUnavailableException>(call)!;
            Assert.That(error.Device, Is.EqualTo(name));
            Assert.That(error.Message, Does.Contain("cpu").And.Contain("simulator"));
        }
    }

    [TestCase("cpu", Precision.TensorFloat32)]
    [TestCase("cpu", Precision.Float16)]
    [TestCase("simulator", Precision.TensorFloat32)]
    public void A_precision_without_kernels_names_what_there_is(string device, Precision precision)
    {
        using GroupVitModel model = TestModels.Tiny();
        SessionOptions options = Options with { Device = device, Precision = precision };
        Assert.That(Assert.Throws<DeviceUnavailableException>(() => model.OpenSession(options))!.Message, Does.Contain("Float32"));
    }

    /// <summary>Finite weights that float32 cannot carry through the network: the sums of squares overflow, and a norm would make zeros of them.</summary>
    [TestCase("vision_model.encoder.stages.0.layers.0.layer_norm1.weight")]
    [TestCase("vision_model.encoder.stages.0.layers.0.layer_norm2.weight")]
    [TestCase("vision_model.encoder.stages.1.downsample.norm_x.weight")]
    [TestCase("vision_model.embeddings.patch_embeddings.projection.weight")]
    [TestCase("vision_model.encoder.stages.2.layers.0.mlp.fc2.weight")]
    [TestCase("vision_model.layernorm.weight")]
    [TestCase("visual_projection.3.weight")]
    public void Huge_weights_end_in_an_error_and_not_in_a_mask(string tensor)
    {
        using TemporaryFolder folder = Damaged("tiny", tensor, 0, 1e30f, all: true);
        using GroupVitModel model = GroupVitModel.Load(folder.Root);
        using Session session = model.OpenSession(Options);
        NumericalException error = Assert.Throws<NumericalException>(() => session.Segment(TestModels.Noise(64, 48), TestModels.Bank(model, 3), Rules))!;
        Assert.That(error.Message, Does.Contain("weights"));
    }

    [TestCase(1e30f, true)]
    [TestCase(1e4f, true)]
    [TestCase(90f, true)]
    [TestCase(80f, false)]
    public void A_huge_temperature_is_an_error_where_it_is_used(float logarithm, bool refused)
    {
        using TemporaryFolder folder = Damaged("tiny", "logit_scale", 0, logarithm);
        using GroupVitModel model = GroupVitModel.Load(folder.Root);
        using Session session = model.OpenSession(Options);
        Picture picture = TestModels.Noise(96, 96);
        LabelBank bank = TestModels.Bank(model, 3);
        SegmentationOptions soft = new() { Preset = SegmentationPreset.Transformers };
        Assert.That(session.Segment(picture, bank, Rules with { ShortSide = 96 }).Mask.ToArray(), Has.All.LessThan(3), "preset nvlabs holds it to 100");
        if (refused)
        {
            Assert.Throws<NumericalException>(() => session.Segment(picture, bank, soft));
            Assert.Throws<NumericalException>(() => session.Classify(picture, bank, SegmentationPreset.Transformers));
        }
        else
        {
            Assert.That(session.Segment(picture, bank, soft).Labels.Sum(label => label.Score ?? 0), Is.GreaterThan(0));
            Assert.That(session.Classify(picture, bank, SegmentationPreset.Transformers).Sum(score => score.Score), Is.EqualTo(1).Within(1e-6));
        }
        Assert.That(() => session.EmbedImage(picture), Throws.Nothing, "an embedding has no temperature");
    }

    private static TemporaryFolder Damaged(string source, string tensor, int element, float value, bool all = false)
    {
        TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path(source));
        using SafetensorsFile file = SafetensorsFile.Open(folder["model.safetensors"]);
        SafetensorsEntry entry = file.Entry(tensor);
        byte[] bytes = new byte[4 * (all ? entry.ElementCount : 1)];
        for (int i = 0; i < bytes.Length; i += 4)
        {
            // Mixed signs, in another pattern for each row: what is equal in all channels the next norm takes out, rightly.
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i), all && i / 4 % 5 is 1 or 3 ? -value : value);
        }
        Write(folder, entry.Offset + 4 * element, bytes);
        return folder;
    }

    private static void Write(TemporaryFolder folder, long offset, byte[] bytes)
    {
        using FileStream stream = new(folder["model.safetensors"], FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        stream.Position = offset;
        stream.Write(bytes);
    }
}
