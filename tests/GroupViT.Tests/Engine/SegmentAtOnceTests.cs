using GroupViT.Native;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Engine;

/// <summary>On GPUs one program goes from pixels to labels; it must be what encoding and labelling give one after the other.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class SegmentAtOnceTests(TestDevice device)
{
    private static readonly SegmentationOptions[] Rules =
    [
        new() { ShortSide = 32 },
        new() { ShortSide = 32, BackgroundThreshold = 0.4, TopClasses = 2 },
        new() { ShortSide = 32, Maps = GroupMapKind.Soft },
        new() { Preset = SegmentationPreset.Transformers },
        new() { Preset = SegmentationPreset.Transformers, Maps = GroupMapKind.Hard },
    ];

    [Test]
    public void Its_labels_and_scores_are_those_of_encoding_and_labelling([ValueSource(nameof(Rules))] SegmentationOptions rules, [Values] bool background)
    {
        if (background && rules.Preset == SegmentationPreset.Transformers)
        {
            Assert.Ignore("preset transformers has no background");
        }
        if (device.IsSlow && rules != Rules[background ? 0 : 3])
        {
            Assert.Ignore("every one takes the simulator ten seconds: one of each preset");
        }
        _ = device.Device;
        using GroupVitModel model = TestModels.Tiny();
        LabelBank bank = TestModels.Bank(model, 5, background);
        using Session session = model.OpenSession(new SessionOptions { Device = device.Name, MaxSize = (96, 96), MaxLabels = 8, Threads = 2 });
        // Two sizes, and each again: the second run of a size is another path where launches are recorded.
        foreach ((int width, int height) in device.IsSlow ? (ReadOnlySpan<(int, int)>)[(48, 40)] : [(48, 40), (75, 50), (48, 40), (75, 50)])
        {
            Picture picture = TestModels.Noise(width, height);
            SegmentationResult whole = session.Segment(picture, bank, rules);
            SegmentationResult parts = session.Label(session.Encode(picture, rules), bank, rules);
            Assert.That(whole.Mask.ToArray(), Is.EqualTo(parts.Mask.ToArray()), $"{width} x {height}");
            Assert.That(whole.Labels, Is.EqualTo(parts.Labels));
            Assert.That(whole.EffectiveThreshold, Is.EqualTo(parts.EffectiveThreshold));
            Assert.That(whole.Timings.Label, device.IsCpu ? Is.Positive : Is.Zero);
        }
    }

    // More pixels than one band holds: the bands after the first run without the network.
    [Test]
    public void A_picture_of_several_bands_is_labelled_whole()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("half a million pixels are too many for the simulator");
        }
        _ = device.Device;
        using GroupVitModel model = TestModels.Tiny();
        LabelBank bank = TestModels.Bank(model, 5, background: true);
        SegmentationOptions rules = new() { ShortSide = 32 };
        using Session session = model.OpenSession(new SessionOptions { Device = device.Name, MaxSize = (96, 96), MaxLabels = 8, Threads = 2 });
        Picture picture = TestModels.Noise(900, 600);
        for (int run = 0; run < 2; run++)
        {
            SegmentationResult whole = session.Segment(picture, bank, rules);
            SegmentationResult parts = session.Label(session.Encode(picture, rules), bank, rules);
            Assert.That(whole.Mask.Span.SequenceEqual(parts.Mask.Span), $"run {run}");
            Assert.That(whole.Labels, Is.EqualTo(parts.Labels));
            Assert.That(whole.Labels.Sum(label => label.Pixels), Is.EqualTo(900 * 600));
        }
    }
}
