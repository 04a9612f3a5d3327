using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;
using GroupViT.Native;

namespace GroupViT.Tests.Engine;

/// <summary>Above a session's maxima: a typed error, and the number that it names would do.</summary>
[Category("Cpu")]
internal sealed class SessionLimitsTests
{
    private readonly SegmentationOptions rules = new() { ShortSide = 48 };
    private GroupVitModel model = null!;

    [OneTimeSetUp]
    public void Open() => model = TestModels.Tiny();

    [OneTimeTearDown]
    public void Close() => model.Dispose();

    [TestCase(200, 48)]
    [TestCase(48, 200)]
    [TestCase(500, 49)]
    [TestCase(111, 63)]
    public void A_picture_that_is_too_large_is_refused_with_the_size_that_would_do(int width, int height)
    {
        LabelBank bank = TestModels.Bank(model, 4);
        Picture picture = TestModels.Noise(width, height);
        using Session small = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64), MaxLabels = 16 });
        int[] needed = [];
        foreach (Action call in (ReadOnlySpan<Action>)[() => small.Encode(picture, rules), () => small.Segment(picture, bank, rules), () => small.Encode([picture], rules)])
        {
            needed = Numbers(Assert.Throws<SessionLimitException>(call)!, @"MaxSize = \((\d+), (\d+)\)");
        }
        Assert.That(small.Segment(TestModels.Noise(64, 48), bank, rules).Width, Is.EqualTo(64), "the session goes on");
        using Session large = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (needed[0], needed[1]), MaxLabels = 16 });
        Assert.That(large.Segment(picture, bank, rules).Mask.Length, Is.EqualTo(width * height));
    }

    [Test]
    public void Warmup_above_the_maximum_is_refused()
    {
        using Session small = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64) });
        int[] needed = Numbers(Assert.Throws<SessionLimitException>(() => small.Warmup((640, 480)))!, @"MaxSize = \((\d+), (\d+)\)");
        using Session large = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (needed[0], needed[1]) });
        Assert.That(() => large.Warmup((640, 480)), Throws.Nothing);
    }

    [Test]
    public void More_labels_than_the_maximum_are_refused_with_the_number_that_would_do()
    {
        LabelBank bank = TestModels.Bank(model, 20, background: true);
        using Session small = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64), MaxLabels = 20 });
        ImageEncoding encoding = small.Encode(TestModels.Noise(64, 48), rules);
        int[] needed = [];
        foreach (Action call in (ReadOnlySpan<Action>)[() => small.Segment(TestModels.Noise(64, 48), bank, rules), () => small.Label(encoding, bank, rules)])
        {
            needed = Numbers(Assert.Throws<SessionLimitException>(call)!, @"MaxLabels = (\d+)");
        }
        using Session large = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64), MaxLabels = needed[0] });
        Assert.That(large.Segment(TestModels.Noise(64, 48), bank, rules).Labels, Has.Count.EqualTo(21));
    }

    [Test]
    public void Labels_into_the_callers_mask_keep_to_the_maximum_as_well()
    {
        LabelBank bank = TestModels.Bank(model, 20);
        using Session small = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64), MaxLabels = 7 });
        byte[] pixels = TestModels.Noise(64, 48).Image.Pixels;
        Assert.Throws<SessionLimitException>(() => small.Segment(pixels, 64, 48, 192, PixelFormat.Rgb, bank, new ushort[64 * 48], rules));
    }

    [Test]
    public void Lists_longer_than_the_batch_are_split()
    {
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64), MaxBatch = 2 });
        Assert.That(session.Encode([.. Enumerable.Range(0, 5).Select(i => TestModels.Noise(64, 48, i))], rules), Has.Count.EqualTo(5));
        Assert.That(session.Encode([], rules), Is.Empty);
    }

    [TestCase(SegmentationPreset.Nvlabs)]
    [TestCase(SegmentationPreset.Transformers)]
    public void An_encoding_from_a_session_with_larger_maxima_is_refused(SegmentationPreset preset)
    {
        SegmentationOptions own = rules with { Preset = preset };
        using Session large = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (96, 640) });
        using Session small = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 64), MaxLabels = 16 });
        ImageEncoding encoding = large.Encode(TestModels.Noise(600, 48), own);
        LabelBank bank = TestModels.Bank(model, 4);
        int[] needed = Numbers(Assert.Throws<SessionLimitException>(() => small.Label(encoding, bank, own))!, @"MaxSize = \((\d+), (\d+)\)");
        using Session enough = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (needed[0], needed[1]), MaxLabels = 16 });
        Assert.That(enough.Label(encoding, bank, own).Mask.ToArray(), Is.EqualTo(large.Label(encoding, bank, own).Mask.ToArray()));
    }

    [Test]
    public void A_processor_that_does_not_crop_is_within_the_plan()
    {
        using TemporaryFolder folder = TemporaryFolder.CopyOf(Fixtures.Path("tiny"));
        string file = folder["preprocessor_config.json"];
        File.WriteAllText(file, File.ReadAllText(file).Replace("\"do_center_crop\": true", "\"do_center_crop\": false", StringComparison.Ordinal));
        using GroupVitModel uncropped = GroupVitModel.Load(folder.Root);
        using Session session = uncropped.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (96, 192), MaxLabels = 16 });
        SegmentationResult result = session.Segment(TestModels.Noise(190, 100), TestModels.Bank(uncropped, 4), new SegmentationOptions { Preset = SegmentationPreset.Transformers });
        Assert.That(result.Mask.ToArray(), Has.All.LessThan(4), "every pixel has a label");
    }

    [TestCase(0, 1, 1, 0)]
    [TestCase(1, 0, 1, 0)]
    [TestCase(1, 1, 0, 0)]
    [TestCase(1, 1, 1, -1)]
    [TestCase(1025, 1, 1, 0)]
    public void Options_out_of_range_are_refused(int batch, int labels, int workers, int threads)
        => Assert.Throws<ArgumentOutOfRangeException>(() => model.OpenSession(new SessionOptions { Device = "cpu", MaxBatch = batch, MaxLabels = labels, Workers = workers, Threads = threads }));

    [TestCase(15, 64)]
    [TestCase(64, 0)]
    [TestCase(16384, 16384)]
    [TestCase(20000, 64)]
    public void Sizes_out_of_range_are_refused(int height, int width)
        => Assert.Throws<ArgumentOutOfRangeException>(() => model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (height, width) }));

    private static int[] Numbers(SessionLimitException error, [StringSyntax("Regex")] string pattern)
    {
        Match match = Regex.Match(error.Message, pattern);
        Assert.That(match.Success, error.Message);
        return [.. match.Groups.Values.Skip(1).Select(group => int.Parse(group.Value, CultureInfo.InvariantCulture))];
    }
}
