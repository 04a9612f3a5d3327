using GroupViT.Native;
using GroupViT.Tests.Engine;

namespace GroupViT.Tests.Hostile;

/// <summary>Pictures of odd shapes through the whole engine: a full mask of finite scores, or a typed error.</summary>
[Category("Cpu")]
internal sealed class HostilePictureTests
{
    private GroupVitModel model = null!;
    private Session session = null!;
    private LabelBank bank = null!;

    [OneTimeSetUp]
    public void Open()
    {
        model = TestModels.Tiny();
        session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (96, 192), MaxLabels = 16, Threads = 2 });
        bank = TestModels.Bank(model, 4);
    }

    [OneTimeTearDown]
    public void Close()
    {
        session?.Dispose();
        model?.Dispose();
    }

    [TestCase(1, 1)]
    [TestCase(2, 3)]
    [TestCase(17, 16)]
    [TestCase(3000, 2000)]
    public void Small_and_large_pictures_are_labelled(int width, int height)
    {
        foreach (SegmentationOptions rules in Ways())
        {
            Check(session.Segment(TestModels.Noise(width, height), bank, rules), width, height, $"{rules.Preset}, {rules.Fit}");
        }
    }

    [TestCase(1, 5000)]
    [TestCase(5000, 1)]
    [TestCase(3, 32768)]
    [TestCase(32768, 2)]
    public void A_line_is_refused_by_preset_nvlabs_and_labelled_by_the_other(int width, int height)
    {
        Picture line = TestModels.Noise(width, height);
        ImageFileException error = Assert.Throws<ImageFileException>(() => session.Segment(line, bank, new SegmentationOptions { ShortSide = 96 }))!;
        Assert.That(error.Message, Does.Contain($"{width} x {height}").And.Contain("patch"));
        Check(session.Segment(line, bank, new SegmentationOptions { Preset = SegmentationPreset.Transformers, Fit = PictureFit.Stretch }), width, height, "stretched");
        SegmentationResult cropped = session.Segment(line, bank, new SegmentationOptions { Preset = SegmentationPreset.Transformers });
        Assert.That(cropped.Labels.Sum(label => label.Pixels), Is.InRange(1, Math.Min(width, height) * (long)Math.Min(width, height) * 4), "the crop alone has labels");
        Assert.That(cropped.Mask.ToArray().Count(value => value != SegmentationResult.Unlabelled), Is.EqualTo(cropped.Labels.Sum(label => label.Pixels)));
        Assert.That(session.EmbedImage(line), Has.All.InRange(-1f, 1f));
        Assert.That(session.Classify(line, bank).Sum(score => score.Score), Is.Not.NaN);
    }

    [Test]
    public void Pictures_of_one_colour_are_labelled()
    {
        foreach (byte value in (ReadOnlySpan<byte>)[0, 128, 255])
        {
            byte[] pixels = new byte[3 * 100 * 100];
            pixels.AsSpan().Fill(value);
            foreach (SegmentationOptions rules in Ways())
            {
                Check(session.Segment(Picture.FromPixels(pixels, 100, 100, 300, PixelFormat.Rgb), bank, rules), 100, 100, $"{rules.Preset}, {rules.Fit}, {value}");
            }
        }
    }

    private static SegmentationOptions[] Ways() =>
    [
        new() { ShortSide = 96 },
        new() { Preset = SegmentationPreset.Transformers },
        new() { Preset = SegmentationPreset.Transformers, Fit = PictureFit.Stretch },
    ];

    private static void Check(SegmentationResult result, int width, int height, string way)
    {
        Assert.That((result.Width, result.Height), Is.EqualTo((width, height)), way);
        long labelled = 0;
        foreach (ushort value in result.Mask.Span)
        {
            Assert.That(value is < 4 or SegmentationResult.Unlabelled, way);
            labelled += value < 4 ? 1 : 0;
        }
        Assert.That(labelled, Is.GreaterThan(0).And.EqualTo(result.Labels.Sum(label => label.Pixels)), way);
        Assert.That(result.Labels.Sum(label => label.Share), Is.EqualTo(1).Within(1e-9), way);
        foreach (LabelShare label in result.Labels)
        {
            Assert.That(label.Score ?? 0, Is.InRange(0, 1 + 1e-6), way);
            Assert.That(label.Score is null, Is.EqualTo(label.Pixels == 0), way);
        }
    }
}
