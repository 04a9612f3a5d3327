using GroupViT.Native;

namespace GroupViT.Tests.Engine;

/// <summary>Opening and closing, and many callers at once, on the smallest network.</summary>
[Category("Cpu")]
internal sealed class SessionLifetimeTests
{
    private static readonly SessionOptions Options = new() { Device = "cpu", MaxSize = (96, 96), MaxLabels = 16, Workers = 2, Threads = 2 };

    private readonly SegmentationOptions rules = new() { ShortSide = 48 };

    [Test]
    public void A_model_with_an_open_session_is_not_disposed()
    {
        GroupVitModel model = TestModels.Tiny();
        Session first = model.OpenSession(Options);
        Session second = model.OpenSession(Options);
        Assert.That(Assert.Throws<InvalidOperationException>(model.Dispose)!.Message, Does.Contain("2"));
        first.Dispose();
        first.Dispose();
        Assert.That(Assert.Throws<InvalidOperationException>(model.Dispose)!.Message, Does.Contain("1"), "a second Dispose of a session counts nothing");
        Assert.That(second.Encode(TestModels.Noise(64, 48), rules).GroupCount, Is.EqualTo(4), "the other session goes on");
        second.Dispose();
        model.Dispose();
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.OpenSession(Options));
        Assert.Throws<ObjectDisposedException>(() => model.EstimateMemory(Options));
    }

    [Test]
    public void After_Dispose_every_call_says_so()
    {
        using GroupVitModel model = TestModels.Tiny();
        Session session = model.OpenSession(Options);
        LabelBank bank = TestModels.Bank(model, 3);
        Picture picture = TestModels.Noise(64, 48);
        ImageEncoding encoding = session.Encode(picture, rules);
        session.Dispose();
        Action[] calls =
        [
            () => session.Encode(picture, rules),
            () => session.Encode([picture], rules),
            () => session.Label(encoding, bank, rules),
            () => session.Segment(picture, bank, rules),
            () => session.SegmentAsync(picture, bank, rules).GetAwaiter().GetResult(),
            () => session.Segment(picture.Image.Pixels, 64, 48, 192, PixelFormat.Rgb, bank, new ushort[64 * 48], rules),
            () => session.Classify(picture, bank),
            () => session.EmbedImage(picture),
            () => session.Warmup((64, 48)),
        ];
        foreach (Action call in calls)
        {
            Assert.Throws<ObjectDisposedException>(call);
        }
        Assert.That(session.MemoryInUse, Is.Zero);
    }

    [Test, CancelAfter(60_000)]
    public void Warmups_at_once_and_a_Dispose_among_them_do_not_wait_for_each_other_for_ever()
    {
        using GroupVitModel model = TestModels.Tiny();
        for (int round = 0; round < 20; round++)
        {
            Session session = model.OpenSession(Options with { MaxSize = (448, 448) });
            Task[] tasks =
            [
                .. Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
                {
                    try
                    {
                        session.Warmup((48, 48));
                    }
                    catch (ObjectDisposedException)
                    {
                    }
                })),
            ];
            if (round % 2 == 0)
            {
                session.Dispose();
            }
            Assert.That(Task.WaitAll(tasks, TimeSpan.FromSeconds(30)), $"round {round} hangs");
            session.Dispose();
        }
    }

    [Test]
    public void Null_arguments_are_named()
    {
        using GroupVitModel model = TestModels.Tiny();
        using Session session = model.OpenSession(Options);
        LabelBank bank = TestModels.Bank(model, 3);
        Assert.Throws<ArgumentNullException>(() => session.Encode((Picture)null!));
        Assert.Throws<ArgumentNullException>(() => session.Encode((IReadOnlyList<Picture>)null!));
        Assert.Throws<ArgumentNullException>(() => session.Encode([TestModels.Noise(64, 48), null!], rules));
        Assert.Throws<ArgumentNullException>(() => session.Segment(null!, bank));
        Assert.Throws<ArgumentNullException>(() => session.Segment(TestModels.Noise(64, 48), null!));
        Assert.Throws<ArgumentNullException>(() => session.Label(null!, bank));
        Assert.Throws<ArgumentNullException>(() => session.EncodeLabels(null!));
        Assert.Throws<ArgumentNullException>(() => session.EmbedText(null!));
    }

    [Test]
    public void Masks_and_pixels_that_do_not_fit_are_refused()
    {
        using GroupVitModel model = TestModels.Tiny();
        using Session session = model.OpenSession(Options);
        LabelBank bank = TestModels.Bank(model, 3);
        byte[] pixels = TestModels.Noise(64, 48).Image.Pixels;
        Assert.Throws<ArgumentException>(() => session.Segment(pixels, 64, 48, 192, PixelFormat.Rgb, bank, new ushort[64 * 47], rules));
        Assert.Throws<ArgumentException>(() => session.Segment(pixels, 64, 49, 192, PixelFormat.Rgb, bank, new ushort[64 * 49], rules));
        Assert.Throws<ArgumentException>(() => session.Segment(pixels, 64, 48, 192, PixelFormat.Rgb, bank, new ushort[64 * 48], rules with { Preset = SegmentationPreset.Transformers }));
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Segment(pixels, 64, 48, 192, PixelFormat.Rgb, bank, new ushort[64 * 48], rules with { BackgroundThreshold = double.NaN }));
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Encode(TestModels.Noise(64, 48), new SegmentationOptions { ShortSide = 0 }));
    }
}
