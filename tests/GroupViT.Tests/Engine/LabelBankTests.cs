using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tests.Engine;

/// <summary>Labels encoded once, kept in a file, used without the text side.</summary>
[Category("Cpu")]
internal sealed class LabelBankTests
{
    private TemporaryFolder folder = null!;
    private GroupVitModel model = null!;
    private Session session = null!;
    private LabelBank bank = null!;

    [OneTimeSetUp]
    public void Open()
    {
        folder = TemporaryFolder.Empty();
        model = TestModels.Scenes();
        session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (168, 168), MaxLabels = 64 });
        bank = session.EncodeLabels(["background", "sky", "sea, blue", "Été \"quoted\" 海"], new LabelOptions { Templates = ["a photo of a {}.", "art of the {}."] });
        bank.Save(folder["bank.safetensors"]);
    }

    [OneTimeTearDown]
    public void Close()
    {
        session?.Dispose();
        model?.Dispose();
        folder?.Dispose();
    }

    [Test]
    public void What_is_saved_is_loaded_bit_for_bit()
    {
        LabelBank loaded = LabelBank.Load(folder["bank.safetensors"]);
        TestModels.AssertSameBits(loaded.Embeddings, bank.Embeddings, "embeddings");
        Assert.That(loaded.Labels, Is.EqualTo(bank.Labels));
        Assert.That(loaded.Templates, Is.EqualTo(bank.Templates));
        Assert.That((loaded.HasBackground, loaded.Normalization, loaded.Fingerprint, loaded.Width), Is.EqualTo((true, bank.Normalization, bank.Fingerprint, bank.Width)));
        loaded.Save(folder["again.safetensors"]);
        Assert.That(File.ReadAllBytes(folder["again.safetensors"]), Is.EqualTo(File.ReadAllBytes(folder["bank.safetensors"])));
        Assert.That(Directory.GetFiles(folder.Root, "*.tmp"), Is.Empty);
    }

    [Test]
    public void A_model_folder_without_tokenizer_files_works_with_a_bank_and_packs_no_text_weights()
    {
        using TemporaryFolder bare = TemporaryFolder.CopyOf(Fixtures.Models("scenes"), "vocab.json", "merges.txt", "tokenizer_config.json");
        using GroupVitModel other = GroupVitModel.Load(bare.Root);
        using Session without = other.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (168, 168), MaxLabels = 64 });
        Picture picture = TestModels.Noise(168, 168);
        SegmentationResult result = without.Segment(picture, LabelBank.Load(folder["bank.safetensors"]));
        Assert.That(result.Mask.ToArray(), Is.EqualTo(session.Segment(picture, bank).Mask.ToArray()));
        Assert.That(without.WeightBytes, Is.EqualTo(other.EstimateMemory(new SessionOptions { Device = "cpu", MaxSize = (168, 168), MaxLabels = 64 }).ImageWeights));
        ModelFileException error = Assert.Throws<ModelFileException>(() => without.EncodeLabels(["sky"]))!;
        Assert.That(error.Message, Does.Contain("vocab.json").And.Contain("bank"));
    }

    [Test]
    public void A_bank_of_another_model_is_refused_by_both_names()
    {
        using GroupVitModel tiny = TestModels.Tiny();
        using Session other = tiny.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (96, 96), MaxLabels = 64 });
        Picture picture = TestModels.Noise(96, 96);
        foreach (Action call in (ReadOnlySpan<Action>)[() => other.Segment(picture, bank), () => other.Classify(picture, bank), () => other.Segment(picture.Image.Pixels, 96, 96, 288, PixelFormat.Rgb, bank, new ushort[96 * 96])])
        {
            Assert.That(Assert.Throws<LabelException>(call)!.Message, Does.Contain(bank.Fingerprint).And.Contain(tiny.Fingerprint));
        }
    }

    [Test]
    public void A_bank_of_another_width_is_refused_even_under_the_models_fingerprint()
        => Assert.Throws<LabelException>(() => session.Segment(TestModels.Noise(168, 168), TestModels.Bank(model, 3, width: 64)));

    [Test]
    public void Background_is_a_threshold_only_where_it_comes_first_and_is_asked_for()
    {
        LabelBank asText = session.EncodeLabels(["background", "sky"], new LabelOptions { Background = false });
        LabelBank later = session.EncodeLabels(["sky", "background"]);
        LabelBank threshold = session.EncodeLabels(["background", "sky"]);
        Assert.That((asText.HasBackground, asText.Count), Is.EqualTo((false, 2)));
        Assert.That((later.HasBackground, later.Count), Is.EqualTo((false, 2)));
        Assert.That((threshold.HasBackground, threshold.Count), Is.EqualTo((true, 1)));
        Assert.That(threshold.Embeddings, Is.EqualTo(later.Embeddings[..threshold.Width]));
        Picture picture = TestModels.Noise(168, 168);
        Assert.Throws<LabelException>(() => session.Segment(picture, threshold, new SegmentationOptions { Preset = SegmentationPreset.Transformers }));
        Assert.Throws<LabelException>(() => session.Classify(picture, threshold));
        Assert.Throws<LabelException>(() => session.EncodeLabels(["background"]));
        Assert.That(double.IsNaN(session.Segment(picture, later).EffectiveThreshold));
    }

    [Test]
    public void A_label_is_the_same_alone_and_among_others()
    {
        string[] labels = ["sky", "a very small house beside the sea", "sea", "tree", "sun", "boat", "cloud", "grass", "road", "moon"];
        LabelBank all = session.EncodeLabels(labels);
        for (int i = 0; i < labels.Length; i++)
        {
            TestModels.AssertSameBits(session.EncodeLabels([labels[i]]).Embeddings, all.Embeddings[(i * all.Width)..((i + 1) * all.Width)], labels[i]);
        }
    }

    [Test]
    public void Labels_that_are_no_labels_are_refused()
    {
        Assert.That(Assert.Throws<LabelException>(() => session.EncodeLabels([]))!.Message, Is.Not.Empty);
        Assert.That(Assert.Throws<LabelException>(() => session.EncodeLabels(["sky", ""]))!.Message, Does.Contain("2"));
        Assert.That(Assert.Throws<LabelException>(() => session.EncodeLabels(["sky", "  "]))!.Message, Does.Contain("2"));
        Assert.That(Assert.Throws<LabelException>(() => session.EncodeLabels(["sky", "sea", "sky"]))!.Message, Does.Contain("sky").And.Contain("3"));
        string longest = string.Join(' ', Enumerable.Repeat("sky", 200));
        Assert.That(Assert.Throws<LabelException>(() => session.EncodeLabels(["sea", longest]))!.Message, Does.Contain("tokens").And.Contain("32"));
        Assert.Throws<LabelException>(() => session.EmbedText(longest));
        Assert.Throws<ArgumentException>(() => session.EncodeLabels(["sky"], new LabelOptions { Templates = [] }));
        Assert.That(session.EncodeLabels(["sky"]).Count, Is.EqualTo(1), "the session goes on");
    }

    [Test]
    public void A_label_as_long_as_the_context_is_taken()
    {
        LabelOptions bare = new() { Templates = ["{}"] };
        int words = 1;
        while (Takes(words + 1, bare))
        {
            words++;
        }
        Assert.That(words, Is.InRange(5, 30), "one token a word and two for the ends, in a context of 32");
    }

    [Test]
    public void A_cut_bank_is_refused_at_every_length()
    {
        byte[] whole = File.ReadAllBytes(folder["bank.safetensors"]);
        string cut = folder["cut.safetensors"];
        for (int length = 0; length < whole.Length; length += length < 1200 ? 37 : 211)
        {
            File.WriteAllBytes(cut, whole[..length]);
            Assert.Throws<ModelFileException>(() => LabelBank.Load(cut), $"{length} of {whole.Length} bytes");
        }
    }

    [TestCase("format", "GroupViT.Native label bank 9")]
    [TestCase("labels", "[\"sky\"]")]
    [TestCase("labels", "[\"sky\",\"sky\",\"sea\"]")]
    [TestCase("labels", "[\"sky\",null,\"sea\"]")]
    [TestCase("labels", "no json")]
    [TestCase("templates", "{}")]
    [TestCase("normalization", "Other")]
    [TestCase("normalization", "7")]
    [TestCase("background", "true")]
    public void Metadata_that_do_not_fit_are_refused(string key, string value)
        => Refused(metadata => metadata[key] = value, values => { }, 3);

    /// <summary>Found by fuzzing: the label stood in the message in full.</summary>
    [Test]
    public void A_message_shows_only_the_beginning_of_a_long_label()
    {
        ModelFileException error = Refused(metadata => (metadata["labels"], metadata["background"]) = ($"[\"{new string('n', 100_000)}\",\"sky\",\"sea\",\"sun\"]", "true"), values => { }, 3);
        Assert.That(error.Message, Does.Contain("there is a background").And.Length.LessThan(400));
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(2f)]
    [TestCase(0f)]
    public void Embeddings_that_are_not_of_length_one_are_refused(float value)
        => Refused(_ => { }, values => values.AsSpan(8, 8).Fill(value), 3);

    [Test]
    public void A_file_of_something_else_is_no_bank()
    {
        Assert.Throws<ModelFileException>(() => LabelBank.Load(Fixtures.Path("tiny", "model.safetensors")));
        Assert.Throws<ModelFileException>(() => LabelBank.Load(folder["not there"]));
        Assert.Throws<ModelFileException>(() => LabelBank.Load(folder.Root));
    }

    private ModelFileException Refused(Action<Dictionary<string, string>> edit, Action<float[]> damage, int rows)
    {
        Dictionary<string, string> metadata = new()
        {
            ["format"] = "GroupViT.Native label bank 1", ["fingerprint"] = model.Fingerprint, ["labels"] = "[\"sky\",\"sea\",\"sun\"]",
            ["templates"] = "[\"{}\"]", ["normalization"] = "OpenAI", ["background"] = "false",
        };
        float[] values = [.. Enumerable.Range(0, rows * 8).Select(i => i % 8 == 0 ? 1f : 0f)];
        string file = folder["edited.safetensors"];

        void Write() => SafetensorsWriter.Write(file, [TensorToWrite.OfFloats("embeddings", SafetensorsType.F32, [rows, 8], (first, span) => values.AsSpan((int)first, span.Length).CopyTo(span))], metadata);

        Write();
        Assert.That(LabelBank.Load(file).Labels, Has.Count.EqualTo(3), "before the damage");
        edit(metadata);
        damage(values);
        Write();
        return Assert.Throws<ModelFileException>(() => LabelBank.Load(file))!;
    }

    private bool Takes(int words, LabelOptions how)
    {
        try
        {
            return session.EncodeLabels([string.Join(' ', Enumerable.Repeat("sky", words))], how).Count == 1;
        }
        catch (LabelException)
        {
            return false;
        }
    }
}
