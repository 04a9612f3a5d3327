using System.Text.Json.Nodes;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Tools;
using GroupViT.Tool;
using GroupViT.Tool.Converting;
using GroupViT.Tool.Converting.Sources;

namespace GroupViT.Tests.Converting;

/// <summary>What groupvit convert refuses, with what words, and that it leaves nothing behind.</summary>
[Category("Cpu")]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class ConvertRefusalTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static string Tiny => Fixtures.Path("tiny");

    private string Out => folder.Join("out");

    public void Dispose() => folder.Dispose();

    [TearDown]
    public void Nothing_temporary_is_left() => Assert.That(Directory.GetFileSystemEntries(folder.Path, ".*", SearchOption.AllDirectories), Is.Empty);

    [Test]
    public void An_input_that_is_not_there() => ConvertRun.Refused(2, folder.Join("nowhere.pth"), Out, [], "nowhere.pth", "there is no such file");

    [Test]
    public void A_folder_without_weights_or_with_several()
    {
        string source = Directory.CreateDirectory(folder.Join("source")).FullName;
        ConvertRun.Refused(2, source, Out, [], "there are no weights", ".pth");
        File.WriteAllText(Path.Combine(source, "a.pth"), "");
        File.WriteAllText(Path.Combine(source, "b.pth"), "");
        ConvertRun.Refused(2, source, Out, [], "several files", "a.pth, b.pth");
    }

    [Test]
    public void Files_of_no_known_kind()
    {
        ConvertRun.Refused(2, folder.Write("empty.pth", []), Out, [], "is empty");
        ConvertRun.Refused(2, folder.Write("text.bin", "hello, this is text"u8.ToArray()), Out, [], "begins with the bytes");
        ConvertRun.Refused(2, folder.Write("text.safetensors", "hello, this is text"u8.ToArray()), Out, [], "text.safetensors");
    }

    [Test]
    public void Missing_and_unknown_tensors_are_both_listed()
    {
        string source = Changed("in.safetensors", (entry, tensor) => entry.Name is "logit_scale" or "text_model.final_layer_norm.bias" ? null : tensor, One("surplus"), One("head.weight"));
        ConvertRun.Refused(2, source, Out, [], "missing: text_model.final_layer_norm.bias, logit_scale (2)", "surplus, head.weight (2)");
    }

    [Test]
    public void A_mixture_of_both_layouts()
        => ConvertRun.Refused(2, Changed("in.safetensors", (_, tensor) => tensor, One("img_encoder.pos_embed")), Out, [], "mixes two layouts");

    [Test]
    public void Types_that_no_weights_have()
    {
        string source = Changed("in.safetensors", (entry, tensor) => entry.Name != "logit_scale" ? tensor : TensorToWrite.OfIntegers(entry.Name, SafetensorsType.I32, [], static (_, values) => values.Clear()));
        ConvertRun.Refused(2, source, Out, [], "logit_scale", "has dtype I32");
    }

    [Test]
    public void Weights_that_are_not_the_configurations()
    {
        string source = Changed("in.safetensors", (_, tensor) => tensor);
        JsonNode config = JsonNode.Parse(File.ReadAllText(folder.Join("config.json")))!;
        config["text_config"]!["intermediate_size"] = 200;
        File.WriteAllText(folder.Join("config.json"), config.ToJsonString());
        ConvertRun.Refused(2, source, Out, [], "mlp.fc1.weight", "has shape [192,48]", "[200,48]");
        File.WriteAllText(folder.Join("config.json"), "{");
        ConvertRun.Refused(2, source, Out, [], "config.json", "is not JSON");
    }

    [Test]
    public void A_broken_preprocessor()
    {
        string source = Changed("in.safetensors", (_, tensor) => tensor);
        File.WriteAllText(folder.Join("preprocessor_config.json"), """{"image_mean": "grey"}""");
        ConvertRun.Refused(2, source, Out, [], "preprocessor_config.json", "image_mean");
    }

    [Test]
    public void A_configuration_that_Hugging_Faces_layout_cannot_have()
    {
        JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(Tiny, "config.json")))!;
        config["vision_config"]!["depths"] = new JsonArray(1, 1, 1);
        config["vision_config"]!["num_group_tokens"] = new JsonArray(8, 4, 0);
        config["vision_config"]!["num_output_groups"] = new JsonArray(6, 4, 4);
        string source = Directory.CreateDirectory(folder.Join("source")).FullName;
        File.WriteAllText(Path.Combine(source, "config.json"), config.ToJsonString());
        FormulaWeights.Synthesize(GroupVitConfig.Load(Path.Combine(source, "config.json")), KeyLayout.Nvlabs, SafetensorsType.F32, Path.Combine(source, "model.safetensors"));
        ConvertRun.Refused(2, source, Out, [], "num_output_groups", "NVlabs");
        ConvertRun.Convert(source, Out, "--layout", "nvlabs");
        Assert.That(ConvertRun.Weights(Out), Is.EqualTo(ConvertRun.Weights(source)));
    }

    [Test]
    public void A_value_too_large_for_the_type_unless_that_is_allowed()
    {
        string source = Changed("in.safetensors", (entry, tensor) => entry.Name switch
        {
            "text_model.final_layer_norm.bias" => TensorToWrite.OfFloats(entry.Name, SafetensorsType.F32, [48], (_, values) =>
            {
                values.Clear();
                (values[0], values[1], values[2], values[3]) = (70000, -80000, 1e-9f, 1);
            }),
            "logit_scale" => TensorToWrite.OfFloats(entry.Name, SafetensorsType.F32, [], (_, values) => values.Fill(1e9f)),
            _ => tensor,
        });
        ConvertRun.Refused(1, source, Out, ["--dtype", "f16"], "too large for F16", "text_model.final_layer_norm.bias (2 of 48, up to -80000)", "logit_scale (1 of 1, up to 1E+09)", "--allow-overflow");
        ConvertRun.Convert(source, Out, "--dtype", "bf16");
        Assert.That(ConvertRun.Convert(source, folder.Join("allowed"), "--dtype", "f16", "--allow-overflow").Error, Does.Contain("too large for F16"));
        using SafetensorsFile made = SafetensorsFile.Open(folder.Join("allowed/model.safetensors"));
        float[] values = new float[48];
        made.ReadFloat32(made.Entry("text_model.final_layer_norm.bias"), 0, values);
        Assert.That(values[..4], Is.EqualTo((float[])[65504, -65504, 0, 1]));
        ToolRun json = ConvertRun.Convert(source, folder.Join("json"), "--dtype", "f16", "--allow-overflow", "--json");
        Assert.That(json.Json.Single().GetProperty("rounded").EnumerateArray().Single(tensor => tensor.GetProperty("overflowed").GetInt64() == 2).GetProperty("flushed_to_zero").GetInt64(), Is.EqualTo(1));
    }

    [Test]
    public void NaN_is_kept_and_said()
    {
        string source = Changed("in.safetensors", (entry, tensor) => entry.Name != "logit_scale" ? tensor : TensorToWrite.OfFloats(entry.Name, SafetensorsType.F32, [], (_, values) => values.Fill(float.NaN)));
        Assert.That(ConvertRun.Convert(source, Out).Error, Does.Contain("NaN or infinity is in logit_scale (1)"));
    }

    [Test]
    public void A_folder_that_is_not_empty_unless_forced()
    {
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Out).FullName, "notes.txt"), "mine");
        ConvertRun.Refused(2, Tiny, Out, [], "not empty", "notes.txt", "--force");
        File.WriteAllText(Path.Combine(Out, "vocab.json"), "another model's");
        File.WriteAllText(Path.Combine(Out, "model.safetensors"), "another model");
        ConvertRun.Convert(Tiny, Out, "--force");
        Assert.That(ConvertRun.Weights(Out), Is.EqualTo(ConvertRun.Weights(Tiny)));
        Assert.That(Directory.GetFileSystemEntries(Out).Select(Path.GetFileName), Is.EquivalentTo((string[])["config.json", "model.safetensors", "notes.txt", "preprocessor_config.json"]));
        Assert.That(File.ReadAllText(Path.Combine(Out, "notes.txt")), Is.EqualTo("mine"));
    }

    [Test]
    public void A_failure_leaves_the_model_that_was_to_be_replaced()
    {
        ConvertRun.Convert(Tiny, Out);
        string source = Changed("in.safetensors", (entry, tensor) => entry.Name != "logit_scale" ? tensor : TensorToWrite.OfFloats(entry.Name, SafetensorsType.F32, [], (_, values) => values.Fill(1e9f)));
        ConvertRun.Refused(1, source, Out, ["--dtype", "f16", "--force"], "logit_scale");
        Assert.That(ConvertRun.Weights(Out), Is.EqualTo(ConvertRun.Weights(Tiny)));
        Assert.That(Directory.GetFileSystemEntries(Out), Has.Length.EqualTo(3));
    }

    [Test]
    public void A_place_that_cannot_be_written()
    {
        ConvertRun.Refused(2, Tiny, folder.Write("file", [1]), [], "is a file");
        ConvertRun.Refused(2, Tiny, folder.Join("file/below"), [], "cannot be written");
        Directory.CreateDirectory(Path.Combine(Out, "model.safetensors"));
        ConvertRun.Refused(2, Tiny, Out, ["--force"], "model.safetensors is a folder");
    }

    [Test]
    public void A_target_that_the_source_lies_in()
    {
        string source = Directory.CreateDirectory(folder.Join("a/b")).FullName;
        File.Copy(Path.Combine(Tiny, "config.json"), Path.Combine(source, "config.json"));
        File.Copy(Path.Combine(Tiny, "model.safetensors"), Path.Combine(source, "model.safetensors"));
        foreach (string target in (string[])[source, folder.Join("a"), folder.Join("a/../a/b/")])
        {
            ConvertRun.Refused(2, source, target, ["--force"], "lies in it");
            ConvertRun.Refused(2, Path.Combine(source, "model.safetensors"), target, ["--force"], "lies in it");
        }
        Directory.CreateSymbolicLink(folder.Join("link"), source);
        ConvertRun.Refused(2, source, folder.Join("link"), ["--force"], "lies in it");
        ConvertRun.Convert(source, Path.Combine(source, "f16"), "--dtype", "f16");
        ConvertRun.Convert(source, folder.Join("a/b2"));
    }

    [Test]
    public void Parents_are_made_and_unmade()
    {
        ConvertRun.Refused(2, folder.Write("text.pth", "80"u8.ToArray()), folder.Join("x/y/z"), [], "begins with");
        string source = Changed("in.safetensors", (entry, tensor) => entry.Name == "logit_scale" ? null : tensor);
        ConvertRun.Refused(2, source, folder.Join("x/y/z"), [], "logit_scale");
        Assert.That(Directory.Exists(folder.Join("x")), Is.False);
        ConvertRun.Convert(Tiny, folder.Join("x/y/z"));
    }

    /// <summary>Disk full in the weights' last bytes, in their first, and in a small file.</summary>
    [TestCase(1 << 20)]
    [TestCase(3000)]
    [TestCase(0)]
    public void A_full_disk(long room)
    {
        using CheckpointFile file = CheckpointFile.Open(Tiny);
        using (TargetFolder target = new(Out, force: false, CompanionFiles.Names))
        {
            ConversionFolder full = new(target.Temporary, Out, path => new FullDisk(path, () => room, bytes => room -= bytes));
            IOException error = Assert.Throws<IOException>(() => ModelConversion.Run(file, full, new ConversionOptions(), static () => { }, CancellationToken.None))!;
            Assert.That(error.Message, Does.StartWith(Out).And.Contains("No space left on device"));
        }
        Assert.That(Directory.Exists(Out), Is.False);
    }

    [Test]
    public void Cancellation_in_the_middle_leaves_nothing_and_is_130()
    {
        using CancellationTokenSource source = new();
        using CheckpointFile file = CheckpointFile.Open(Fixtures.Path("tiny", "nvlabs", "checkpoint.pth"));
        int written = 0;
        using (TargetFolder target = new(Out, force: false, CompanionFiles.Names))
        {
            Assert.Throws<OperationCanceledException>(() => ModelConversion.Run(file, new ConversionFolder(target.Temporary, Out), new ConversionOptions(), Step, source.Token));
            Assert.That(written, Is.EqualTo(20));
            Assert.That(new FileInfo(Path.Combine(target.Temporary, "model.safetensors")).Length, Is.Positive, "it was at work");
        }
        Assert.That(Directory.Exists(Out), Is.False);
        using StringWriter output = new();
        using StringWriter error = new();
        Assert.That(GroupVitProgram.Run(["convert", Tiny, "--out", Out], output, error, source.Token), Is.EqualTo(130));
        Assert.That(Directory.Exists(Out), Is.False);

        void Step()
        {
            if (++written == 20)
            {
                source.Cancel();
            }
        }
    }

    [TestCase("model.safetensors")]
    [TestCase("pytorch_model.bin")]
    public void A_source_that_is_cut_while_it_is_read(string name)
    {
        string source = folder.Write(name, File.ReadAllBytes(Fixtures.Path("tiny", name)));
        File.Copy(Path.Combine(Tiny, "config.json"), folder.Join("config.json"));
        using (CheckpointFile file = CheckpointFile.Open(source))
        using (TargetFolder target = new(Out, force: false, CompanionFiles.Names))
        {
            using (FileStream cut = new(source, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                cut.SetLength(1_000_000);
            }
            Assert.That(() => ModelConversion.Run(file, new ConversionFolder(target.Temporary, Out), new ConversionOptions(), static () => { }, CancellationToken.None),
                Throws.TypeOf<ModelFileException>().With.Message.Contains("cut"));
        }
        Assert.That(Directory.Exists(Out), Is.False);
    }

    [Test]
    public void What_must_be_converted_first_is_said_where_a_model_is_asked_for()
    {
        string source = Directory.CreateDirectory(folder.Join("source")).FullName;
        File.Copy(Path.Combine(Tiny, "config.json"), Path.Combine(source, "config.json"));
        File.Copy(Path.Combine(Tiny, "pytorch_model.bin"), Path.Combine(source, "pytorch_model.bin"));
        foreach (string model in (string[])[source, Path.Combine(source, "pytorch_model.bin"), Fixtures.Path("tiny", "nvlabs", "checkpoint_legacy.pth")])
        {
            ToolRun run = ToolRun.Of("classify", Fixtures.Samples("meadow.png"), "--model", model, "--labels", "a");
            Assert.That((run.Code, run.Error), Is.EqualTo((2, run.Error)));
            Assert.That(run.Error, Does.Contain($"groupvit convert {model} --out"));
        }
    }

    [Test]
    public void Options_that_there_are_not()
    {
        ConvertRun.Refused(2, Tiny, Out, ["--dtype", "f8"], "--dtype takes f32, f16, bf16, not 'f8'");
        ConvertRun.Refused(2, Tiny, Out, ["--layout", "onnx"], "--layout takes huggingface, nvlabs, not 'onnx'");
        ConvertRun.Refused(2, Tiny, Out, ["--statistics", "none"], "--statistics takes imagenet, clip");
        Assert.That(ToolRun.Of("convert", Tiny).Code, Is.EqualTo(2));
    }

    private static TensorToWrite One(string name) => TensorToWrite.OfFloats(name, SafetensorsType.F32, [1], static (_, values) => values.Clear());

    private string Changed(string name, Func<SafetensorsEntry, TensorToWrite, TensorToWrite?> change, params ReadOnlySpan<TensorToWrite> added)
    {
        File.Copy(Path.Combine(Tiny, "config.json"), folder.Join("config.json"), overwrite: true);
        ConvertRun.Rewrite(Path.Combine(Tiny, "model.safetensors"), folder.Join(name), change, added);
        return folder.Join(name);
    }

    /// <summary>A file on a disk with so many bytes left.</summary>
    private sealed class FullDisk(string path, Func<long> room, Action<long> take) : FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0)
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (buffer.Length > room())
            {
                throw new IOException("No space left on device");
            }
            take(buffer.Length);
            base.Write(buffer);
        }
    }
}
