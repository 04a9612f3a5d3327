using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit labels and groupvit devices.</summary>
internal sealed class LabelsCommandTests
{
    [Test]
    public void Without_a_word_the_sets_are_listed()
    {
        ToolRun run = ToolRun.Of("labels", "--json");
        JsonElement json = run.Json.Single();
        Assert.That(json.GetProperty("label_sets").EnumerateArray().Select(set => set.GetProperty("labels").GetInt32()), Is.EqualTo((int[])[21, 60, 81, 1000]));
        Assert.That(json.GetProperty("template_sets").EnumerateArray().Select(set => set.GetProperty("templates").GetInt32()), Is.EqualTo((int[])[1, 7, 80, 1]));
        Assert.That(ToolRun.Of("labels").Output, Does.Contain("imagenet").And.Contain("subset"));
    }

    [Test]
    public void A_set_is_shown_with_its_colours_and_a_template_set_with_its_templates()
    {
        JsonElement voc = ToolRun.Of("labels", "voc", "--json").Json.Single();
        JsonElement[] labels = [.. voc.GetProperty("labels").EnumerateArray()];
        Assert.That(labels.Select(label => label.GetProperty("label").GetString()), Is.EqualTo(ClassNames.Get("voc")));
        Assert.That(labels[1].GetProperty("color").GetString(), Is.EqualTo("#800000"));
        Assert.That(ToolRun.Of("labels", "voc").Lines, Has.Length.EqualTo(22));
        Assert.That(ToolRun.Of("labels", "imagenet").Code, Is.Zero);
        Assert.That(ToolRun.Of("labels", "subset").Lines, Is.EqualTo(PromptTemplates.Subset));
    }

    [Test]
    public void A_models_own_labels_are_shown()
    {
        string[] expected = [.. File.ReadAllLines(Path.Combine(Fixtures.Models("scenes"), "labels.txt")).Where(line => line.Length > 0)];
        JsonElement json = ToolRun.Of("labels", "--model", "scenes", "--json").Json.Single();
        Assert.That(json.GetProperty("labels").EnumerateArray().Select(label => label.GetProperty("label").GetString()), Is.EqualTo(expected));
    }

    [Test]
    public void Labels_are_encoded_into_a_bank_that_is_shown_again()
    {
        using TemporaryFolder folder = new();
        string file = folder.Join("bank.safetensors");
        ToolRun saved = ToolRun.OnCpu("labels", "--labels", "background, a horse, a tree", "--templates", "subset", "--save", file);
        Assert.That(saved.Code, Is.Zero, saved.Error);
        Assert.That(folder.Files, Is.EqualTo((string[])["bank.safetensors"]));
        JsonElement shown = ToolRun.Of("labels", "--bank", file, "--json").Json.Single();
        Assert.That(shown.GetProperty("labels").EnumerateArray().Select(label => label.GetProperty("label").GetString()), Is.EqualTo((string[])["background", "a horse", "a tree"]));
        Assert.That(shown.GetProperty("background").GetBoolean());
        Assert.That(shown.GetProperty("normalization").GetString(), Is.EqualTo("openai"));
        Assert.That(shown.GetProperty("templates").GetArrayLength(), Is.EqualTo(7));

        using GroupVitModel model = GroupVitModel.Load(Fixtures.Models("scenes"));
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", Threads = 1 });
        LabelBank expected = session.EncodeLabels(["background", "a horse", "a tree"], new LabelOptions { Templates = PromptTemplates.Subset });
        LabelBank bank = LabelBank.Load(file);
        Assert.That(bank.Embeddings, Is.EqualTo(expected.Embeddings));
        Assert.That(shown.GetProperty("fingerprint").GetString(), Is.EqualTo(model.Fingerprint));
    }

    [Test]
    public void With_preset_transformers_texts_are_cleaned_as_Hugging_Face_does_and_background_is_a_text()
    {
        using TemporaryFolder folder = new();
        string file = folder.Join("bank.safetensors");
        Assert.That(ToolRun.OnCpu("labels", "--labels", "background, a tree", "--preset", "transformers", "--save", file).Code, Is.Zero);
        LabelBank bank = LabelBank.Load(file);
        Assert.That((bank.HasBackground, bank.Normalization, bank.Count), Is.EqualTo((false, TextNormalization.HuggingFace, 2)));
    }

    [Test]
    public void Bad_input_is_a_usage_error_and_leaves_no_file()
    {
        using TemporaryFolder folder = new();
        string file = folder.Join("bank.safetensors");
        Refused("no set 'vocc'", "labels", "vocc");
        Refused("shown alone", "labels", "voc", "--save", file);
        Refused("give one of them", "labels", "--bank", "x", "--save", file);
        Refused("occurs twice", "labels", "--labels", "a, a", "--save", file);
        Refused("which labels", "labels", "--model", Fixtures.Path("tiny"));
        Refused("no tokenizer", "labels", "--model", Fixtures.Path("tiny"), "--labels", "a", "--save", file);
        Refused("nowhere", "labels", "--labels", "a", "--save", folder.Join("nowhere/bank.safetensors"), "--device", "cpu");
        Refused("no label bank", "labels", "--bank", Path.Combine(Fixtures.Models("scenes"), "model.safetensors"));
        Refused("cuda:99", "labels", "--labels", "a", "--save", file, "--device", "cuda:99");
        Assert.That(folder.Files, Is.Empty);
    }

    [Test]
    public void Devices_are_listed_with_one_default()
    {
        ToolRun run = ToolRun.Of("devices", "--json", "--verbose");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement json = run.Json.Single();
        JsonElement[] devices = [.. json.GetProperty("devices").EnumerateArray()];
        Assert.That(devices.Select(device => device.GetProperty("device").GetString()), Is.EqualTo(DeviceCatalog.List().Select(device => device.Name)));
        Assert.That(devices.Count(device => device.GetProperty("default").GetBoolean()), Is.EqualTo(1));
        Assert.That(devices.Select(device => device.GetProperty("memory").GetInt64()), Is.All.InRange(0, 1L << 50));
        Assert.That(json.GetProperty("facts").GetProperty("ILGPU").GetString(), Does.StartWith("1."));
        Assert.That(ToolRun.Of("devices").Output, Does.Contain("simulator"));
        Assert.That(ToolRun.Of("devices", "--nonsense").Code, Is.EqualTo(2));
    }

    private static void Refused(string message, params string[] arguments)
    {
        ToolRun run = ToolRun.Of(arguments);
        Assert.That((run.Code, run.Output), Is.EqualTo((2, "")), run.Error);
        Assert.That(run.Error, Does.Contain(message));
    }
}
