using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Tools;
using GroupViT.Tool.Converting;

namespace GroupViT.Tests.Converting;

/// <summary>groupvit convert: what is in the folder that it makes.</summary>
[Category("Cpu")]
internal sealed class ConvertCommandTests
{
    private static string Tiny => Fixtures.Path("tiny");

    private static string Nvlabs => Fixtures.Path("tiny", "nvlabs");

    [TestCase("nvlabs/checkpoint.pth", "PyTorch (zip)")]
    [TestCase("nvlabs/checkpoint_legacy.pth", "PyTorch (before 1.6)")]
    [TestCase("nvlabs/model.safetensors", "safetensors")]
    public void NVlabs_to_Hugging_Face_and_back_is_the_same_file(string source, string kind)
    {
        using TemporaryFolder folder = new();
        JsonElement there = ConvertRun.Convert(Fixtures.Path("tiny", source), folder.Join("there"), "--json").Json.Single();
        Assert.That(there.GetProperty("kind").GetString(), Is.EqualTo(kind));
        Assert.That((there.GetProperty("source_layout").GetString(), there.GetProperty("layout").GetString()), Is.EqualTo(("nvlabs", "huggingface")));
        ConvertRun.Convert(folder.Join("there"), folder.Join("back"), "--layout", "nvlabs");
        ConvertRun.Convert(Fixtures.Path("tiny", source), folder.Join("straight"), "--layout", "nvlabs");
        Assert.That(ConvertRun.Weights(folder.Join("back")), Is.EqualTo(ConvertRun.Weights(folder.Join("straight"))));
        if (kind == "safetensors")
        {
            Assert.That(Tensors(Fixtures.Path("tiny", source)), Does.Contain("multi_label_logit_scale"));
            Assert.That(ConvertRun.Weights(folder.Join("back")), Is.EqualTo(ConvertRun.Weights(Nvlabs)));
            Assert.That(Tensors(folder.Join("there/model.safetensors")), Does.Not.Contain("multi_label_logit_scale"));
        }
    }

    [TestCase("f32")]
    [TestCase("f16")]
    [TestCase("bf16")]
    public void Hugging_Face_to_NVlabs_and_back_is_the_same_file(string type)
    {
        using TemporaryFolder folder = new();
        string source = type == "f32" ? Tiny : Fixtures.Path("tiny", type);
        ConvertRun.Convert(source, folder.Join("there"), "--layout", "nvlabs");
        ConvertRun.Convert(folder.Join("there"), folder.Join("back"));
        Assert.That(ConvertRun.Weights(folder.Join("back")), Is.EqualTo(ConvertRun.Weights(source)));
        if (type == "f32")
        {
            // The other two fixtures' configurations say float32, which is corrected.
            Assert.That(File.ReadAllBytes(folder.Join("back/config.json")), Is.EqualTo(File.ReadAllBytes(Path.Combine(source, "config.json"))));
        }
    }

    [TestCase("f16")]
    [TestCase("bf16")]
    public void Rounding_gives_the_bytes_of_the_references_half_and_says_what_it_cost(string type)
    {
        using TemporaryFolder folder = new();
        JsonElement report = ConvertRun.Convert(Fixtures.Path("tiny", "pytorch_model.bin"), folder.Join("out"), "--dtype", type, "--json").Json.Single();
        Assert.That(ConvertRun.Weights(folder.Join("out")), Is.EqualTo(ConvertRun.Weights(Fixtures.Path("tiny", type))));
        JsonElement[] rounded = [.. report.GetProperty("rounded").EnumerateArray()];
        Assert.That(rounded, Has.Length.EqualTo(212), "every tensor but the two counters");
        JsonElement patches = rounded.Single(tensor => tensor.GetProperty("tensor").GetString() == "vision_model.embeddings.patch_embeddings.projection.weight");
        (double error, long overflowed, long flushed) = Cost(Tiny, Fixtures.Path("tiny", type), patches.GetProperty("tensor").GetString()!);
        Assert.That(patches.GetProperty("max_relative_error").GetDouble(), Is.EqualTo(error).Within(1e-15));
        Assert.That((patches.GetProperty("overflowed").GetInt64(), patches.GetProperty("flushed_to_zero").GetInt64()), Is.EqualTo((overflowed, flushed)));
        string config = File.ReadAllText(folder.Join("out/config.json"));
        Assert.That(JsonNode.Parse(config)!["dtype"]!.GetValue<string>(), Is.EqualTo(type == "f16" ? "float16" : "bfloat16"));
    }

    [Test]
    public void The_report_for_people_shows_the_worst_and_nothing_where_nothing_was_rounded()
    {
        using TemporaryFolder folder = new();
        ToolRun narrow = ConvertRun.Convert(Tiny, folder.Join("narrow"), "--dtype", "bf16");
        Assert.That(narrow.Output, Does.Contain("max relative error").And.Contains("3.89E-3").And.Contains("212 tensors were rounded"));
        ToolRun wide = ConvertRun.Convert(folder.Join("narrow"), folder.Join("wide"), "--dtype", "f32");
        Assert.That(wide.Output, Does.Not.Contain("rounded").And.Contains("214 tensors"));
        Assert.That(ConvertRun.Convert(Tiny, folder.Join("quiet"), "--quiet"), Is.EqualTo(new ToolRun(0, "", "")));
    }

    [TestCase("fused", "nvlabs", "F32")]
    [TestCase("f64", "huggingface", "F32")]
    public void Types_that_differ_within_a_fused_tensor_and_f64_become_f32(string what, string layout, string type)
    {
        using TemporaryFolder folder = new();
        File.Copy(Path.Combine(Tiny, "config.json"), folder.Join("config.json"));
        const string name = "vision_model.encoder.stages.0.layers.0.self_attn.k_proj.weight";
        ConvertRun.Rewrite(Path.Combine(what == "f64" ? Tiny : Fixtures.Path("tiny", "f16"), "model.safetensors"), folder.Join("in.safetensors"), (entry, tensor) =>
            entry.Name != name ? tensor
            : what == "f64" ? TensorToWrite.OfBytes(name, SafetensorsType.F64, ConvertRun.Shape(entry), (_, bytes) => Fill(bytes, 1 + 1e-12))
            : TensorToWrite.OfFloats(name, SafetensorsType.F32, ConvertRun.Shape(entry), (_, values) => values.Fill(1.0000001f)));
        ToolRun run = ConvertRun.Convert(folder.Join("in.safetensors"), folder.Join("out"), "--layout", layout, "--json");
        using SafetensorsFile made = SafetensorsFile.Open(folder.Join("out/model.safetensors"));
        SafetensorsEntry written = made.Entry(layout == "nvlabs" ? "img_encoder.layers.0.blocks.0.attn.qkv.weight" : name);
        Assert.That(written.Type.ToString(), Is.EqualTo(type));
        float[] values = new float[1];
        made.ReadFloat32(written, layout == "nvlabs" ? 64 * 64 : 0, values);
        Assert.That(values[0], Is.EqualTo(what == "f64" ? 1f : 1.0000001f));
        Assert.That(run.Json.Single().GetProperty("rounded").GetArrayLength(), Is.EqualTo(what == "f64" ? 1 : 0), "only the float64 lost anything");
    }

    [Test]
    public void Preprocessing_is_the_sources_or_what_was_asked_for_or_follows_the_layout()
    {
        using TemporaryFolder folder = new();
        byte[] Preprocessor(string name) => File.ReadAllBytes(folder.Join($"{name}/preprocessor_config.json"));
        double Mean(string name) => JsonNode.Parse(Preprocessor(name))!["image_mean"]![0]!.GetValue<double>();
        ConvertRun.Convert(Tiny, folder.Join("copied"));
        Assert.That(Preprocessor("copied"), Is.EqualTo(File.ReadAllBytes(Path.Combine(Tiny, "preprocessor_config.json"))));
        ConvertRun.Convert(Tiny, folder.Join("clip"), "--statistics", "clip");
        Assert.That(Mean("clip"), Is.EqualTo(0.48145466));
        Assert.That(JsonNode.Parse(Preprocessor("clip"))!["size"]!["shortest_edge"]!.GetValue<int>(), Is.EqualTo(96), "the rest stays");
        Assert.That(ConvertRun.Convert(folder.Join("clip"), folder.Join("again")).Error, Does.Contain("CLIP's statistics").And.Contains("--statistics imagenet"));
        ConvertRun.Convert(Alone(folder, "huggingface", Path.Combine(Tiny, "model.safetensors")), folder.Join("hf"));
        Assert.That(Mean("hf"), Is.EqualTo(0.48145466));
        ToolRun made = ConvertRun.Convert(Alone(folder, "nvlabs", Path.Combine(Nvlabs, "checkpoint.pth")), folder.Join("nv"));
        Assert.That(Mean("nv"), Is.EqualTo(0.485));
        Assert.That(made.Error, Does.Contain("ImageNet"));
        ConvertRun.Convert(folder.Join("source-nvlabs/checkpoint.pth"), folder.Join("parity"), "--statistics", "clip");
        Assert.That(Mean("parity"), Is.EqualTo(0.48145466));
        using GroupVitModel model = GroupVitModel.Load(folder.Join("nv"));
        Assert.That((model.Preprocessor!.ShortestEdge, model.Preprocessor.CropSize), Is.EqualTo((96, (96, 96))));
    }

    [Test]
    public void Tokenizer_files_and_labels_come_along()
    {
        using TemporaryFolder folder = new();
        ConvertRun.Convert(Fixtures.Models("scenes"), folder.Join("out"), "--layout", "nvlabs");
        foreach (string file in (string[])["vocab.json", "merges.txt", "tokenizer_config.json", "labels.txt", "preprocessor_config.json", "config.json"])
        {
            Assert.That(File.ReadAllBytes(folder.Join($"out/{file}")), Is.EqualTo(File.ReadAllBytes(Path.Combine(Fixtures.Models("scenes"), file))), file);
        }
        using GroupVitModel model = GroupVitModel.Load(folder.Join("out"));
        Assert.That(model.Tokenizer.VocabularySize, Is.EqualTo(768));
        Assert.That(model.Labels, Has.Count.EqualTo(68));
    }

    [Test]
    public void A_model_with_the_public_vocabulary_gets_it()
    {
        using TemporaryFolder folder = new();
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(Tiny, "config.json")))!;
        config["text_config"]!["vocab_size"] = 49408;
        config["text_config"]!["eos_token_id"] = 49407;
        string source = Directory.CreateDirectory(folder.Join("source")).FullName;
        File.WriteAllText(Path.Combine(source, "config.json"), config.ToJsonString());
        FormulaWeights.Synthesize(GroupVitConfig.Load(Path.Combine(source, "config.json")), KeyLayout.Nvlabs, SafetensorsType.F16, Path.Combine(source, "model.safetensors"));
        ConvertRun.Convert(source, folder.Join("out"));
        using GroupVitModel model = GroupVitModel.Load(folder.Join("out"));
        Assert.That(model.Tokenizer.VocabularySize, Is.EqualTo(49408));
        Assert.That(new FileInfo(folder.Join("out/bpe_simple_vocab_16e6.txt.gz")).Length, Is.EqualTo(1356917));
    }

    /// <summary>Nothing beside the file: the architecture from the shapes, preprocessing of its size, and no companion of some other model's.</summary>
    [Test]
    public void A_lone_file_becomes_a_whole_model()
    {
        using TemporaryFolder folder = new();
        ConvertRun.Convert(Fixtures.Models("scenes"), folder.Join("nvlabs"), "--layout", "nvlabs");
        Directory.CreateDirectory(folder.Join("downloads"));
        File.Copy(folder.Join("nvlabs/model.safetensors"), folder.Join("downloads/weights"));
        File.WriteAllText(folder.Join("downloads/labels.txt"), "another model's");
        File.WriteAllText(folder.Join("config.json"), """{"model_type": "bert"}""");
        ToolRun run = ConvertRun.Convert(folder.Join("downloads/weights"), folder.Join("out"));
        Assert.That(run.Output, Does.Contain("inferred from the tensors"));
        Assert.That(run.Error, Does.Contain("number of heads").And.Contains("ImageNet").And.Contains("no tokenizer"));
        Assert.That(ConvertRun.Weights(folder.Join("out")), Is.EqualTo(ConvertRun.Weights(Fixtures.Models("scenes"))));
        using GroupVitModel model = GroupVitModel.Load(folder.Join("out"));
        Assert.That(model.Config, Is.EqualTo(GroupVitConfig.Load(Path.Combine(Fixtures.Models("scenes"), "config.json"))));
        Assert.That(model.Preprocessor!.ShortestEdge, Is.EqualTo(112));
        Assert.That(model.Labels, Is.Empty);
    }

    [Test]
    public void What_no_model_reads_is_named_and_left_out()
    {
        using TemporaryFolder folder = new();
        File.Copy(Path.Combine(Tiny, "config.json"), folder.Join("config.json"));
        ConvertRun.Rewrite(Path.Combine(Tiny, "model.safetensors"), folder.Join("old.safetensors"), (_, tensor) => tensor,
            TensorToWrite.OfIntegers("text_model.embeddings.position_ids", SafetensorsType.I64, [1, 24], static (_, values) => values.Clear()));
        ToolRun run = ConvertRun.Convert(folder.Join("old.safetensors"), folder.Join("out"));
        Assert.That(run.Error, Does.Contain("text_model.embeddings.position_ids"));
        Assert.That(ConvertRun.Weights(folder.Join("out")), Is.EqualTo(ConvertRun.Weights(Tiny)));
    }

    [TestCase("F32", "", "D03A2A40")]
    [TestCase("F32", "1", "FFFF7FFF")]
    [TestCase("F32", "", "01000000")]
    [TestCase("F16", "", "5241")]
    [TestCase("BF16", "1", "2A40")]
    [TestCase("F64", "", "182D4454FB210940")]
    public void The_multi_label_temperature_survives_as_text(string type, string shape, string hex)
    {
        byte[] data = Convert.FromHexString(hex);
        byte[] stored = Weights.SafetensorsBytes.File(
            Encoding.UTF8.GetBytes($$$"""{"multi_label_logit_scale":{"dtype":"{{{type}}}","shape":[{{{shape}}}],"data_offsets":[0,{{{data.Length}}}]}}"""), data);
        using SafetensorsFile tensor = Weights.SafetensorsBytes.Open(stored);
        string text = MultiLabelTemperature.Find(tensor)!.ToString();
        using SafetensorsFile metadata = Weights.SafetensorsBytes.Open(
            Weights.SafetensorsBytes.File($$$"""{"__metadata__":{"groupvit.multi_label_logit_scale":"{{{text}}}"}}"""));
        MultiLabelTemperature restored = MultiLabelTemperature.Find(metadata)!;
        Assert.That(Convert.ToHexString(restored.ToBytes()), Is.EqualTo(hex));
        Assert.That((restored.Type.ToString(), string.Join(',', restored.Shape)), Is.EqualTo((type, shape)));
    }

    [TestCase("F32[] ")]
    [TestCase("F32[2] 1")]
    [TestCase("I64[] 1")]
    [TestCase("2.65")]
    [TestCase("F32[] 1 2")]
    public void A_temperature_that_is_none_is_named_and_left_out(string text)
    {
        using TemporaryFolder folder = new();
        File.Copy(Path.Combine(Tiny, "config.json"), folder.Join("config.json"));
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Tiny, "model.safetensors")))
        {
            SafetensorsWriter.Write(folder.Join("in.safetensors"), [.. file.Tensors.Values.Select(entry => ConvertRun.Copy(file, entry))],
                new Dictionary<string, string> { [MultiLabelTemperature.Key] = text });
        }
        Assert.That(ConvertRun.Convert(folder.Join("in.safetensors"), folder.Join("out"), "--layout", "nvlabs").Error, Does.Contain("multi_label_logit_scale is not kept"));
    }

    private static void Fill(Span<byte> bytes, double value)
    {
        for (int i = 0; i < bytes.Length; i += sizeof(double))
        {
            BinaryPrimitives.WriteDoubleLittleEndian(bytes[i..], value);
        }
    }

    /// <summary>A folder with the configuration and that file alone.</summary>
    private static string Alone(TemporaryFolder folder, string name, string file)
    {
        string source = Directory.CreateDirectory(folder.Join($"source-{name}")).FullName;
        File.Copy(Path.Combine(Tiny, "config.json"), Path.Combine(source, "config.json"));
        File.Copy(file, Path.Combine(source, Path.GetFileName(file)));
        return source;
    }

    private static (double Error, long Overflowed, long Flushed) Cost(string exact, string rounded, string name)
    {
        using SafetensorsFile before = SafetensorsFile.Open(Path.Combine(exact, "model.safetensors"));
        using SafetensorsFile after = SafetensorsFile.Open(Path.Combine(rounded, "model.safetensors"));
        float[] a = new float[before.Entry(name).ElementCount];
        float[] b = new float[a.Length];
        before.ReadFloat32(before.Entry(name), 0, a);
        after.ReadFloat32(after.Entry(name), 0, b);
        double error = 0;
        long flushed = 0;
        for (int i = 0; i < a.Length; i++)
        {
            flushed += a[i] != 0 && b[i] == 0 ? 1 : 0;
            error = a[i] == 0 || b[i] == 0 ? error : Math.Max(error, Math.Abs((double)b[i] - a[i]) / Math.Abs((double)a[i]));
        }
        return (error, b.Count(float.IsInfinity), flushed);
    }

    private static HashSet<string> Tensors(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return [.. file.Tensors.Keys];
    }
}
