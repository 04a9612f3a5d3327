using System.Text.Json;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Equivalence;

/// <summary>The demonstration model, real trained weights, through the public face: its label maps are the reference's.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class ScenesTests(TestDevice device)
{
    private static readonly JsonElement Answers = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Path("scenes", "answers.json"))).RootElement;

    private GroupVitModel model = null!;
    private Session session = null!;

    private static IEnumerable<string> Scenes => Answers.GetProperty("pictures").EnumerateObject().Select(picture => picture.Name);

    [OneTimeSetUp]
    public void Open()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("a whole scene takes the simulator minutes");
        }
        model = GroupVitModel.Load(Fixtures.Models("scenes"));
        session = model.OpenSession(new SessionOptions { Device = device.Name, MaxSize = (168, 448) });
    }

    [OneTimeTearDown]
    public void Close()
    {
        session?.Dispose();
        model?.Dispose();
    }

    [Test]
    public void Label_maps_of_preset_nvlabs_are_the_references()
        => CompareAll("nvlabs", Strings("labels"), new SegmentationOptions());

    [Test]
    public void Label_maps_with_background_are_the_references()
        => CompareAll("background", Strings("background_labels"), new SegmentationOptions { BackgroundThreshold = 0.35 });

    [Test]
    public void Label_maps_of_preset_transformers_are_the_references()
        => CompareAll("transformers", Strings("labels"), new SegmentationOptions { Preset = SegmentationPreset.Transformers });

    [Test]
    public void Label_maps_of_the_sliding_window_are_the_references()
        => CompareAll("sliding", Strings("labels"), new SegmentationOptions { Mode = SegmentationMode.Slide });

    [TestCase("meadow")]
    [TestCase("harbour")]
    [TestCase("desert")]
    [TestCase("night")]
    [TestCase("kitchen")]
    [TestCase("street")]
    public void The_mean_IoU_of_a_sample_is_the_references(string sample)
    {
        LabelBank bank = session.EncodeLabels(Strings("labels"));
        SegmentationResult result = session.Segment(Picture.FromFile(Fixtures.Samples($"{sample}.png")), bank);
        (_, _, int[] truth) = PngDecoder.DecodeLabels(File.ReadAllBytes(Fixtures.Samples($"{sample}.truth.png")), sample);
        JsonElement expected = Answers.GetProperty("samples").GetProperty(sample);
        // A single pixel of a small thing is worth 0.02 (the moon of "night" has one at a tie); the first sample is held to the digits.
        Assert.That(MeanIoU(result.Mask.Span, truth, bank.Labels.Count), Is.EqualTo(expected.GetProperty("mIoU").GetDouble()).Within(sample == "meadow" ? 0.0001 : 0.02));
        foreach (JsonProperty share in expected.GetProperty("nvlabs").EnumerateObject())
        {
            LabelShare ours = result.Labels.Single(label => label.Label == share.Name);
            Assert.That(100 * ours.Share, Is.EqualTo(share.Value.GetDouble()).Within(0.06), share.Name);
        }
    }

    private static string[] Strings(string name) => [.. Answers.GetProperty(name).EnumerateArray().Select(text => text.GetString()!)];

    /// <summary>Mean over the labels of the truth and the prediction of intersection over union, in percent (spec F.1, Metric).</summary>
    private static double MeanIoU(ReadOnlySpan<ushort> mask, int[] truth, int labels)
    {
        long[] both = new long[labels];
        long[] either = new long[labels];
        for (int i = 0; i < truth.Length; i++)
        {
            if (mask[i] == truth[i])
            {
                both[truth[i]]++;
                either[truth[i]]++;
            }
            else
            {
                either[mask[i]]++;
                either[truth[i]]++;
            }
        }
        return 100 * Enumerable.Range(0, labels).Where(label => either[label] > 0).Average(label => (double)both[label] / either[label]);
    }

    private void CompareAll(string way, string[] labels, SegmentationOptions rules)
    {
        LabelBank bank = session.EncodeLabels(labels, new LabelOptions
        {
            Normalization = rules.Preset == SegmentationPreset.Nvlabs ? TextNormalization.OpenAI : TextNormalization.HuggingFace,
        });
        int compared = 0;
        foreach (string scene in Scenes)
        {
            string expectedFile = Fixtures.Path("scenes", $"{scene}.{way}.png");
            if (!File.Exists(expectedFile))
            {
                continue;
            }
            SegmentationResult result = session.Segment(Picture.FromFile(Fixtures.Path("scenes", $"{scene}.picture.png")), bank, rules);
            (int width, int height, int[] expected) = PngDecoder.DecodeLabels(File.ReadAllBytes(expectedFile), scene);
            Assert.That((result.Width, result.Height), Is.EqualTo((width, height)));
            int different = 0;
            for (int i = 0; i < expected.Length; i++)
            {
                different += result.Mask.Span[i] == expected[i] ? 0 : 1;
            }
            TestContext.Out.WriteLine($"{scene}: {different} of {expected.Length} pixels differ");
            // Pixels may differ only where two labels' scores are a rounding apart; on 24 scenes those are a handful.
            Assert.That(different, Is.LessThanOrEqualTo(expected.Length / 5000), scene);
            compared++;
        }
        Assert.That(compared, Is.GreaterThan(9));
    }
}
