using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit synth, groupvit verify and groupvit info, alone and after one another.</summary>
internal sealed class VerifyCommandTests
{
    private static readonly string Expected = Fixtures.Path("tiny", "expected.safetensors");

    [TestCase("huggingface", "f32", "tiny")]
    [TestCase("nvlabs", "f32", "tiny")]
    [TestCase("huggingface", "f16", "tiny/f16")]
    [TestCase("nvlabs", "f16", "tiny/f16")]
    [TestCase("huggingface", "bf16", "tiny/bf16")]
    [TestCase("nvlabs", "bf16", "tiny/bf16")]
    public void A_synthesised_model_is_the_references(string layout, string type, string reference)
    {
        using TemporaryFolder folder = new();
        string model = folder.Join("model");
        ToolRun synth = ToolRun.Of("synth", "--config", Fixtures.Path("tiny", "config.json"), "--layout", layout, "--dtype", type, "--out", model, "--json");
        Assert.That(synth.Code, Is.Zero, synth.Error);
        Assert.That(Directory.GetFiles(model).Select(Path.GetFileName).Order(StringComparer.Ordinal), Is.EqualTo((string[])["config.json", "model.safetensors"]));
        Assert.That(synth.Json.Single().GetProperty("bytes").GetInt64(), Is.EqualTo(new FileInfo(Path.Combine(model, "model.safetensors")).Length));

        ToolRun verify = ToolRun.OnCpu("verify", "--model", model, "--reference", Fixtures.Path(reference, "expected.safetensors"), "--json");
        Assert.That(verify.Code, Is.Zero, verify.Output + verify.Error);
        JsonElement json = verify.Json.Single();
        Assert.That(json.GetProperty("passed").GetBoolean());
        Assert.That(json.GetProperty("values").GetArrayLength(), Is.GreaterThan(40));

        JsonElement info = ToolRun.Of("info", model, "--json").Json.Single();
        Assert.That((info.GetProperty("layout").GetString(), info.GetProperty("weight_type").GetString()), Is.EqualTo((layout, type.ToUpperInvariant())));
    }

    [Test]
    public void Synth_replaces_what_is_there_and_a_refused_one_leaves_it_alone()
    {
        using TemporaryFolder folder = new();
        string weights = folder.Write("model.safetensors", [1, 2, 3]);
        string broken = folder.Write("broken.json", "{\"vision_config\": {\"hidden_size\": 0}}"u8.ToArray());
        string[] before = folder.Files;
        Assert.That(ToolRun.Of("synth", "--config", broken, "--out", folder.Path).Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("synth", "--config", folder.Join("missing.json"), "--out", folder.Join("new")).Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("synth", "--config", Fixtures.Path("tiny", "config.json"), "--out", weights).Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("synth", "--config", Fixtures.Path("tiny", "config.json"), "--out", folder.Path, "--dtype", "f64").Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("synth", "--out", folder.Path).Code, Is.EqualTo(2));
        Assert.That(folder.Files, Is.EqualTo(before));
        Assert.That(new FileInfo(weights).Length, Is.EqualTo(3));
        Assert.That(ToolRun.Of("synth", "--config", Fixtures.Path("tiny", "config.json"), "--out", folder.Path).Code, Is.Zero);
        Assert.That(File.ReadAllBytes(weights), Is.EqualTo(File.ReadAllBytes(Fixtures.Path("tiny", "model.safetensors"))));
    }

    [Test]
    public void A_cancelled_synth_leaves_nothing()
    {
        using TemporaryFolder folder = new();
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        int code = Tool.GroupVitProgram.Run(["synth", "--config", Fixtures.Path("tiny", "config.json"), "--out", folder.Path], TextWriter.Null, TextWriter.Null, cancelled.Token);
        Assert.That(code, Is.EqualTo(130));
        Assert.That(folder.Files, Is.Empty);
    }

    [Test]
    public void A_value_that_differs_is_named_with_its_place_and_both_numbers()
    {
        using TemporaryFolder folder = new();
        const string name = "image64x48.last_hidden_state";
        string reference = Perturbed(folder, name, element: 2 * 64 + 5, by: 0.25f);
        ToolRun run = ToolRun.OnCpu("verify", "--model", Fixtures.Path("tiny"), "--reference", reference, "--only", "image64x48*");
        Assert.That(run.Code, Is.EqualTo(1), run.Error);
        string line = run.Lines.Single(text => text.StartsWith("differs:", StringComparison.Ordinal));
        Assert.That(line, Does.Contain($"{name}[0, 2, 5]: the reference has "));
        JsonElement failed = ToolRun.OnCpu("verify", "--model", Fixtures.Path("tiny"), "--reference", reference, "--json").Json.Single()
            .GetProperty("values").EnumerateArray().Single(value => !value.GetProperty("passed").GetBoolean());
        Assert.That(failed.GetProperty("name").GetString(), Is.EqualTo(name));
        Assert.That(failed.GetProperty("index").EnumerateArray().Select(axis => axis.GetInt32()), Is.EqualTo((int[])[0, 2, 5]));
        Assert.That(failed.GetProperty("expected").GetDouble() - failed.GetProperty("actual").GetDouble(), Is.EqualTo(0.25).Within(1e-4));
    }

    [Test]
    public void The_built_in_model_is_the_references_and_a_wrong_assignment_is_no_tie()
    {
        string expected = Fixtures.Path("scenes", "expected.safetensors");
        ToolRun right = ToolRun.OnCpu("verify", "--reference", expected, "--json");
        Assert.That(right.Code, Is.Zero, right.Output + right.Error);
        JsonElement json = right.Json.Single();
        // Soft maps are recorded here, no logits: by those, too, hardly an assignment is a tie.
        Assert.That(json.GetProperty("in_tie_band").GetInt32(), Is.LessThan(json.GetProperty("assignments").GetInt32() / 100));

        using TemporaryFolder folder = new();
        const string name = "image112x112.stages.0.hard_index";
        byte[] bytes = File.ReadAllBytes(expected);
        using (SafetensorsFile file = SafetensorsFile.Open(expected))
        {
            Span<byte> at = bytes.AsSpan((int)file.Entry(name).Offset);
            BitConverter.TryWriteBytes(at, BitConverter.ToInt32(at) == 0 ? 1 : 0);
        }
        folder.Write("reference_error.json", File.ReadAllBytes(Fixtures.Path("scenes", "reference_error.json")));
        ToolRun wrong = ToolRun.OnCpu("verify", "--reference", folder.Write("expected.safetensors", bytes));
        Assert.That(wrong.Code, Is.EqualTo(1), wrong.Error);
        Assert.That(wrong.Output, Does.Contain($"differs: {name}[0, 0]"));
    }

    [Test]
    public void Only_what_was_asked_for_is_compared()
    {
        using TemporaryFolder folder = new();
        string reference = Perturbed(folder, "image64x48.last_hidden_state", element: 0, by: 1);
        ToolRun run = ToolRun.OnCpu("verify", "--model", Fixtures.Path("tiny"), "--reference", reference, "--only", "text.*", "--errors", Fixtures.Path("tiny", "reference_error.json"), "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Json.Single().GetProperty("values").EnumerateArray().Select(value => value.GetProperty("name").GetString()), Is.All.StartsWith("text."));
    }

    [Test]
    public void What_cannot_be_compared_is_exit_code_2()
    {
        using TemporaryFolder folder = new();
        string tiny = Fixtures.Path("tiny");
        Refused("another model", "verify", "--model", "scenes", "--reference", Expected, "--device", "cpu");
        Refused("--reference", "verify", "--model", tiny);
        Refused("missing.safetensors", "verify", "--model", tiny, "--reference", folder.Join("missing.safetensors"));
        Refused("missing.json", "verify", "--model", tiny, "--reference", Expected, "--errors", folder.Join("missing.json"));
        Refused("no recorded value", "verify", "--model", tiny, "--reference", Expected, "--only", "nothing*", "--device", "cpu");
        Refused("nothing to compare", "verify", "--model", tiny, "--reference", Path.Combine(tiny, "model.safetensors"), "--device", "cpu");
        Refused("cuda:99", "verify", "--model", tiny, "--reference", Expected, "--device", "cuda:99");
        Refused("no-such-model", "verify", "--model", "no-such-model", "--reference", Expected);
        Refused("fp32", "verify", "--model", tiny, "--reference", Expected, "--device", "cpu", "--precision", "fp16");
    }

    [TestCase("tiny", "huggingface", "F32")]
    [TestCase("tiny/nvlabs", "nvlabs", "F32")]
    [TestCase("tiny/f16", "huggingface", "F16")]
    [TestCase("tiny/bf16", "huggingface", "BF16")]
    [TestCase("scenes", "huggingface", null)]
    public void Info_says_what_a_model_is(string name, string layout, string? type)
    {
        string path = name == "scenes" ? name : Fixtures.Path(name);
        ToolRun run = ToolRun.Of("info", path, "--size", "64x48", "--size", "224x224", "--check", "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement json = run.Json.Single();
        using GroupVitModel model = GroupVitModel.Load(name == "scenes" ? Fixtures.Models(name) : path);
        Assert.That(json.GetProperty("layout").GetString(), Is.EqualTo(layout));
        Assert.That(json.GetProperty("weight_type").GetString(), Is.EqualTo(type ?? model.Checkpoint.WeightType.ToString()));
        Assert.That(json.GetProperty("fingerprint").GetString(), Is.EqualTo(model.Fingerprint));
        Assert.That(json.GetProperty("parameters").GetProperty("total").GetInt64(), Is.EqualTo(model.Config.CountParameters().Total));
        Assert.That(json.GetProperty("damaged").GetArrayLength(), Is.Zero);
        JsonElement memory = json.GetProperty("memory")[1];
        Assert.That(memory.GetProperty("total").GetInt64(), Is.EqualTo(model.EstimateMemory(new SessionOptions { Device = "cpu", MaxSize = (64, 48) }).Total));
        Assert.That(json.GetProperty("memory").GetArrayLength(), Is.EqualTo(2 * 3), "two precisions");
        Assert.That(json.GetProperty("tokenizer_entries").ValueKind, Is.EqualTo(name == "scenes" ? JsonValueKind.Number : JsonValueKind.Null));
        Assert.That(ToolRun.Of("info", path).Output, Does.Contain(model.Fingerprint));
    }

    // The second tensor is longer than what is read at once, and its first bad value lies behind that.
    [TestCase("vision_model.layernorm.weight", 3)]
    [TestCase("vision_model.embeddings.patch_embeddings.projection.weight", 40_000)]
    public void The_check_counts_what_is_not_a_number_and_says_where(string name, int first)
    {
        using TemporaryFolder folder = new();
        folder.Write("config.json", File.ReadAllBytes(Fixtures.Path("tiny", "config.json")));
        byte[] weights = File.ReadAllBytes(Fixtures.Path("tiny", "model.safetensors"));
        using (SafetensorsFile file = SafetensorsFile.Open(Fixtures.Path("tiny", "model.safetensors")))
        {
            int offset = (int)file.Entry(name).Offset + sizeof(float) * first;
            BitConverter.TryWriteBytes(weights.AsSpan(offset), float.NaN);
            BitConverter.TryWriteBytes(weights.AsSpan(offset + 4), float.NegativeInfinity);
        }
        folder.Write("model.safetensors", weights);
        ToolRun run = ToolRun.Of("info", folder.Path, "--check", "--json");
        Assert.That(run.Code, Is.EqualTo(1), run.Error);
        JsonElement damaged = run.Json.Single().GetProperty("damaged").EnumerateArray().Single();
        Assert.That(
            (damaged.GetProperty("tensor").GetString(), damaged.GetProperty("nan").GetInt64(), damaged.GetProperty("infinite").GetInt64(), damaged.GetProperty("first").GetInt64()),
            Is.EqualTo((name, 1, 1, first)));
        Refused(name, "verify", "--model", folder.Path, "--reference", Expected, "--device", "cpu");
    }

    [Test]
    public void Info_refuses_what_is_no_model()
    {
        using TemporaryFolder folder = new();
        Refused("there are no weights", "info", folder.Path);
        Refused("no-such-model", "info", "no-such-model");
        Refused("--size takes", "info", "scenes", "--size", "big");
        Refused("smaller than one patch", "info", "scenes", "--size", "4x4");
    }

    /// <summary>A copy of the tiny network's reference, with its errors, in which one element is off.</summary>
    private static string Perturbed(TemporaryFolder folder, string name, int element, float by)
    {
        byte[] bytes = File.ReadAllBytes(Expected);
        using (SafetensorsFile file = SafetensorsFile.Open(Expected))
        {
            Span<byte> at = bytes.AsSpan((int)file.Entry(name).Offset + element * sizeof(float));
            BitConverter.TryWriteBytes(at, BitConverter.ToSingle(at) + by);
        }
        folder.Write("reference_error.json", File.ReadAllBytes(Fixtures.Path("tiny", "reference_error.json")));
        return folder.Write("expected.safetensors", bytes);
    }

    private static void Refused(string message, params string[] arguments)
    {
        ToolRun run = ToolRun.Of(arguments);
        Assert.That((run.Code, run.Output), Is.EqualTo((2, "")), run.Error);
        Assert.That(run.Error, Does.Contain(message));
    }
}
