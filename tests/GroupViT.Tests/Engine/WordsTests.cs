using GroupViT.Native;
using GroupViT.Native.Text;
using GroupViT.Native.Weights;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Engine;

/// <summary>Synonyms, banks that are combined, and banks without the text side that made them.</summary>
[Category("Cpu")]
internal sealed class WordsTests
{
    private GroupVitModel model = null!;
    private Session session = null!;

    [OneTimeSetUp]
    public void Open()
    {
        model = TestModels.Scenes();
        session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (168, 336) });
    }

    [OneTimeTearDown]
    public void Close()
    {
        session?.Dispose();
        model?.Dispose();
    }

    [TestCase("sofa", "sofa")]
    [TestCase("sofa|couch", "sofa/couch")]
    [TestCase(" sofa | couch |settee ", "sofa/couch/settee")]
    [TestCase("a\\|b", "a|b")]
    [TestCase("a\\|b|c", "a|b/c")]
    public void Synonyms_stand_between_bars(string label, string expected) => Assert.That(string.Join('/', Synonyms.Of(label)), Is.EqualTo(expected));

    [TestCase("sofa|")]
    [TestCase("|sofa")]
    [TestCase("sofa| |couch")]
    [TestCase("sofa|sofa")]
    public void Synonyms_that_are_none_are_refused(string label)
        => Assert.That(() => session.EncodeLabels([label]), Throws.TypeOf<LabelException>().With.Message.Contains("synonym"));

    [Test]
    public void A_label_with_synonyms_is_the_mean_of_its_words_and_templates()
    {
        LabelBank bank = session.EncodeLabels(["horse", "sofa|sofas|sofa bed"], new LabelOptions { Templates = ["{}", "the {}."] });
        Assert.That(bank.Labels, Is.EqualTo((string[])["horse", "sofa"]));
        Assert.That(bank.Texts, Is.EqualTo((string[])["horse", "sofa|sofas|sofa bed"]));
        // The same six sentences as one word in six templates.
        LabelBank same = session.EncodeLabels(["sofa"], new LabelOptions { Templates = ["{}", "the {}.", "{}s", "the {}s.", "{} bed", "the {} bed."] });
        TestModels.AssertSameBits(bank.Embeddings[bank.Width..], same.Embeddings, "synonyms");
        LabelBank alone = session.EncodeLabels(["horse"], new LabelOptions { Templates = ["{}", "the {}."] });
        TestModels.AssertSameBits(bank.Embeddings[..bank.Width], alone.Embeddings, "a label without synonyms");
        Assert.That(() => session.EncodeLabels(["sofa|couch", "sofa"]), Throws.TypeOf<LabelException>().With.Message.Contains("twice"));
    }

    [Test]
    public void Banks_are_combined_saved_and_loaded_and_give_what_one_bank_gives()
    {
        string[] first = ["background", "horse", "tree"];
        string[] second = ["house|castle", "moon"];
        LabelBank combined = LabelBank.Combine(session.EncodeLabels(first), session.EncodeLabels(second));
        LabelBank whole = session.EncodeLabels([.. first, .. second]);
        Assert.That((combined.Labels, combined.Texts, combined.HasBackground), Is.EqualTo((whole.Labels, whole.Texts, true)));
        TestModels.AssertSameBits(combined.Embeddings, whole.Embeddings, "combined");
        using TemporaryFolder folder = new();
        combined.Save(folder["bank.safetensors"]);
        LabelBank loaded = LabelBank.Load(folder["bank.safetensors"]);
        Assert.That((loaded.Labels, loaded.Texts), Is.EqualTo((whole.Labels, whole.Texts)));
        TestModels.AssertSameBits(loaded.Embeddings, whole.Embeddings, "loaded");
    }

    [Test]
    public void Banks_that_do_not_go_together_are_refused()
    {
        LabelBank horse = session.EncodeLabels(["horse"]);
        using GroupVitModel tiny = TestModels.Tiny();
        Assert.That(() => LabelBank.Combine(horse, TestModels.Bank(tiny, 2)), Throws.TypeOf<LabelException>().With.Message.Contains("two models"));
        Assert.That(() => LabelBank.Combine(horse, session.EncodeLabels(["tree", "horse"])), Throws.TypeOf<LabelException>().With.Message.Contains("twice"));
        Assert.That(() => LabelBank.Combine(horse, session.EncodeLabels(["background", "tree"])), Throws.TypeOf<LabelException>().With.Message.Contains("background"));
        Assert.That(() => LabelBank.Combine(horse, session.EncodeLabels(["tree"], new LabelOptions { Normalization = TextNormalization.HuggingFace })), Throws.TypeOf<LabelException>().With.Message.Contains("cleaned"));
        Assert.That(() => LabelBank.Combine(), Throws.ArgumentException);
    }

    /// <summary>What is left of the model has half its size, and gives the same pixels.</summary>
    [Test]
    public void A_bank_is_used_with_the_text_tensors_and_the_tokenizer_deleted()
    {
        using TemporaryFolder folder = new();
        LabelBank bank = session.EncodeLabels(["background", "horse", "tree", "grass|meadow", "sky"]);
        bank.Save(folder["bank.safetensors"]);
        bank = session.EncodeLabels(["moon"]);
        bank.Save(folder["more.safetensors"]);
        string image = Directory.CreateDirectory(folder["image"]).FullName;
        string source = Fixtures.Models("scenes");
        foreach (string name in (string[])["config.json", "preprocessor_config.json"])
        {
            File.Copy(Path.Combine(source, name), Path.Combine(image, name));
        }
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors")))
        {
            TensorToWrite[] kept = [.. file.Tensors.Values.Where(entry => !entry.Name.StartsWith("text_", StringComparison.Ordinal)).Select(entry =>
                TensorToWrite.OfBytes(entry.Name, entry.Type, entry.Shape.ToArray().Select(side => (int)side).ToArray(), (first, bytes) => file.ReadBytes(entry, first * entry.Type.Bits() / 8, bytes)))];
            SafetensorsWriter.Write(Path.Combine(image, "model.safetensors"), kept, null);
            string[] arguments = ["segment", Fixtures.Samples("meadow.png"), "--bank", folder["bank.safetensors"], "--bank", folder["more.safetensors"], "--background-threshold", "0.5", "--write", "rle", "--json", "--out", folder["out"]];
            ToolRun whole = ToolRun.OnCpu([.. arguments, "--model", source]);
            ToolRun without = ToolRun.OnCpu([.. arguments, "--model", image]);
            Assert.That(without.Code, Is.Zero, without.Error);
            Assert.That(without.Json.Single().GetProperty("labels").GetRawText(), Is.EqualTo(whole.Json.Single().GetProperty("labels").GetRawText()));
            Assert.That(without.Json.Single().GetProperty("labels")[1].GetProperty("pixels").GetInt64(), Is.GreaterThan(1000));
        }
        ToolRun combined = ToolRun.OnCpu("labels", "--bank", folder["bank.safetensors"], "--bank", folder["more.safetensors"], "--save", folder["all.safetensors"]);
        Assert.That(combined.Code, Is.Zero, combined.Error);
        Assert.That(LabelBank.Load(folder["all.safetensors"]).Labels, Is.EqualTo((string[])["background", "horse", "tree", "grass", "sky", "moon"]));
        ToolRun text = ToolRun.OnCpu("segment", Fixtures.Samples("meadow.png"), "--labels", "horse", "--model", image, "--out", folder["out"]);
        Assert.That(text.Code, Is.EqualTo(2));
        Assert.That(text.Error, Does.Contain("no text side").And.Contain("--bank").And.Not.Contain("unexpected"));
        Assert.That(ToolRun.Of("info", image).Code, Is.Zero);
    }
}
