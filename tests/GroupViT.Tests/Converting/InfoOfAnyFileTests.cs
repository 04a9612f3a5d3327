using System.Text.Json;
using GroupViT.Native;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Converting;

/// <summary>groupvit info on every kind of file that weights come in.</summary>
[Category("Cpu")]
internal sealed class InfoOfAnyFileTests
{
    [TestCase("tiny/nvlabs/checkpoint.pth", "PyTorch (zip)", "nvlabs")]
    [TestCase("tiny/nvlabs/checkpoint_legacy.pth", "PyTorch (before 1.6)", "nvlabs")]
    [TestCase("tiny/pytorch_model.bin", "PyTorch (zip)", "huggingface")]
    [TestCase("tiny/nvlabs/model.safetensors", "safetensors", "nvlabs")]
    public void A_file_with_its_configuration_beside_it(string file, string container, string layout)
    {
        ToolRun run = ToolRun.Of("info", Fixtures.Path(file.Split('/')), "--check", "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement json = run.Json.Single();
        GroupVitConfig tiny = GroupVitConfig.Load(Fixtures.Path("tiny", "config.json"));
        Assert.That((json.GetProperty("container").GetString(), json.GetProperty("layout").GetString()), Is.EqualTo((container, layout)));
        Assert.That(json.GetProperty("parameters").GetProperty("total").GetInt64(), Is.EqualTo(tiny.CountParameters().Total));
        Assert.That(json.GetProperty("config_file").GetString(), Does.EndWith("config.json"));
        Assert.That(json.GetProperty("types").EnumerateArray().Select(type => type.GetProperty("type").GetString()), Does.Contain("F32"));
        Assert.That(json.GetProperty("damaged").GetArrayLength(), Is.Zero);
        // 48 channels of text are no heads of 64.
        Assert.That(json.GetProperty("notes").EnumerateArray().Single().GetString(), Does.Contain("text encoder"));
        string[] others = [.. json.GetProperty("others").EnumerateArray().Select(name => name.GetString()!)];
        Assert.That(others, file.EndsWith(".pth", StringComparison.Ordinal) ? Does.Contain("optimizer").And.Contain("config") : Has.None.EqualTo("optimizer"));
    }

    [Test]
    public void Weights_without_a_configuration_tell_theirs()
    {
        using TemporaryFolder folder = new();
        folder.Write("alone.safetensors", File.ReadAllBytes(Path.Combine(Fixtures.Models("scenes"), "model.safetensors")));
        ToolRun run = ToolRun.Of("info", folder.Join("alone.safetensors"), "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement json = run.Json.Single();
        Assert.That(json.GetProperty("config_file").ValueKind, Is.EqualTo(JsonValueKind.Null));
        Assert.That(json.GetProperty("notes").EnumerateArray().Select(note => note.GetString()), Has.Some.Contains("heads of the image encoder"));
        Assert.That(GroupVitConfig.Parse(System.Text.Encoding.UTF8.GetBytes(json.GetProperty("config").GetRawText()), "config"), Is.EqualTo(GroupVitConfig.Load(Path.Combine(Fixtures.Models("scenes"), "config.json"))));
        Assert.That(ToolRun.Of("info", folder.Join("alone.safetensors")).Output, Does.Contain("told from the tensors"));
    }

    [Test]
    public void A_configuration_that_the_tensors_do_not_tell_is_named_where_it_differs()
    {
        using TemporaryFolder folder = new();
        folder.Write("model.safetensors", File.ReadAllBytes(Path.Combine(Fixtures.Models("scenes"), "model.safetensors")));
        File.Copy(Path.Combine(Fixtures.Models("scenes"), "config.json"), folder.Join("config.json"));
        string text = File.ReadAllText(folder.Join("config.json"));
        File.WriteAllText(folder.Join("config.json"), text.Replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 4", StringComparison.Ordinal));
        JsonElement json = ToolRun.Of("info", folder.Path, "--json").Json.Single();
        Assert.That(json.GetProperty("notes").EnumerateArray().Select(note => note.GetString()), Has.Some.EqualTo("vision_config.num_attention_heads is 4, the tensors tell 2"));
    }
}
