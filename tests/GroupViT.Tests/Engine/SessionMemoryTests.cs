using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Engine;

/// <summary>What a session asks for is what was foretold, and stays so.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class SessionMemoryTests(TestDevice device)
{
    private const int Side = 168;

    private GroupVitModel model = null!;

    [OneTimeSetUp]
    public void Open()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the demonstration model takes the simulator minutes");
        }
        model = TestModels.Scenes();
    }

    [OneTimeTearDown]
    public void Close() => model?.Dispose();

    [TestCase(1, 1, 1)]
    [TestCase(3, 1, 2)]
    [TestCase(1, 2, 5)]
    public void The_estimate_is_what_is_used_to_the_byte(int batch, int workers, int threads)
    {
        SessionOptions options = Options() with { MaxBatch = batch, Workers = workers, Threads = threads };
        MemoryEstimate estimate = model.EstimateMemory(options);
        using Session session = model.OpenSession(options);
        session.Warmup((Side, Side));
        Assert.That(session.MemoryInUse, Is.EqualTo(estimate.WithoutText), "without the text side");
        Assert.That(session.WeightBytes, Is.EqualTo(estimate.ImageWeights));
        LabelBank bank = session.EncodeLabels(["sky", "sea"]);
        Assert.That(session.MemoryInUse, Is.EqualTo(estimate.Total), "with the text side");
        Picture picture = TestModels.Noise(Side, Side);
        session.Encode([.. Enumerable.Repeat(picture, batch)]);
        session.Segment(picture, bank);
        session.Segment(picture, bank, new SegmentationOptions { Preset = SegmentationPreset.Transformers, Fit = PictureFit.Stretch });
        // The square of preset transformers is another size: its table of positions comes on top, as the estimate says.
        int table = Square() == Side / 8 ? 0 : (Square() * Square() * 128 * 4) + 128;
        Assert.That(session.MemoryInUse, Is.InRange(estimate.Total, estimate.Total + table));
        Assert.That(session.MemoryPeak, Is.EqualTo(session.MemoryInUse));
        TestContext.Out.WriteLine($"{estimate}, peak {session.MemoryPeak}");
    }

    [Test]
    public void A_limit_of_the_estimate_is_enough_for_any_size_and_one_byte_less_is_not()
    {
        MemoryEstimate estimate = model.EstimateMemory(Options());
        using (Session session = model.OpenSession(Options() with { MemoryLimit = estimate.Total }))
        {
            LabelBank bank = session.EncodeLabels(["sky", "sea"]);
            // Square, lying, standing, smaller: whatever is prepared last takes the place of the oldest.
            foreach ((int width, int height) in (ReadOnlySpan<(int, int)>)[(Side, Side), (170, 168), (168, 172), (Side, Side)])
            {
                session.Segment(TestModels.Noise(width, height), bank);
            }
            session.Segment(TestModels.Noise(200, 100), bank, new SegmentationOptions { ShortSide = 100 });
            session.Segment(TestModels.Noise(100, 90), bank, new SegmentationOptions { Preset = SegmentationPreset.Transformers });
            session.Segment(TestModels.Noise(Side, Side), bank);
            Assert.That(session.MemoryPeak, Is.LessThanOrEqualTo(estimate.Total));
        }
        Session? short1 = null;
        OutOfDeviceMemoryException error = Assert.Throws<OutOfDeviceMemoryException>(() =>
        {
            short1 = model.OpenSession(Options() with { MemoryLimit = estimate.LeastLimit - 1 });
            short1.Warmup((Side, Side));
            LabelBank bank = short1.EncodeLabels(["sky", "sea"]);
            short1.Segment(TestModels.Noise(Side, Side), bank);
        })!;
        Assert.That(error.Limit, Is.EqualTo(estimate.LeastLimit - 1));
        Assert.That(error.InUse + error.Asked, Is.GreaterThan(error.Limit));
        short1?.Dispose();
        Assert.That(short1?.MemoryInUse ?? 0, Is.Zero, "memory after the end");
    }

    [Test]
    public void After_a_refused_text_the_session_goes_on()
    {
        MemoryEstimate estimate = model.EstimateMemory(Options());
        if (estimate.LeastLimit < estimate.WithoutText)
        {
            Assert.Ignore("this device streams what does not fit: no text is refused");
        }
        LabelBank bank;
        using (Session session = model.OpenSession(Options()))
        {
            bank = session.EncodeLabels(["sky", "sea"]);
        }
        using Session tight = model.OpenSession(Options() with { MemoryLimit = estimate.WithoutText + 1000 });
        ushort[] before = tight.Segment(TestModels.Noise(Side, Side), bank).Mask.ToArray();
        Assert.Throws<OutOfDeviceMemoryException>(() => tight.EncodeLabels(["sky", "sea"]));
        Assert.That(tight.Segment(TestModels.Noise(Side, Side), bank).Mask.ToArray(), Is.EqualTo(before));
    }

    [Test]
    public void A_limit_below_the_arena_is_refused_at_opening_and_leaves_nothing()
    {
        using GroupVitModel other = TestModels.Scenes();
        Assert.Throws<OutOfDeviceMemoryException>(() => other.OpenSession(Options() with { MemoryLimit = 1000, Workers = 2 }));
        Assert.That(other.Dispose, Throws.Nothing, "no session is left open");
    }

    [Test]
    public void Many_sizes_do_not_add_up()
    {
        SessionOptions options = Options() with { MaxSize = (Side, 2 * Side) };
        MemoryEstimate estimate = model.EstimateMemory(options);
        using Session session = model.OpenSession(options);
        LabelBank bank = session.EncodeLabels(["sky", "sea"]);
        long table = 21 * 42 * 128 * 4 + 128;
        for (int i = 0; i < 30; i++)
        {
            (int width, int height) = i % 2 == 0 ? (Side + 5 * i, Side) : (Side, Side + 5 * i);
            session.Segment(TestModels.Noise(width, height), bank);
            Assert.That(session.MemoryInUse, Is.LessThanOrEqualTo(estimate.Total + 8 * table), $"after {i + 1} sizes");
        }
        Assert.That(session.MemoryPeak, Is.LessThanOrEqualTo(estimate.Total + 8 * table));
        session.Dispose();
        Assert.That(session.MemoryInUse, Is.Zero);
    }

    [Test]
    public void A_long_thin_picture_keeps_to_the_estimate()
    {
        MemoryEstimate estimate = model.EstimateMemory(Options());
        using Session session = model.OpenSession(Options());
        LabelBank bank = TestModels.Bank(model, 3);
        session.Segment(TestModels.Noise(1600, 16), bank, new SegmentationOptions { ShortSide = 16 });
        session.Segment(TestModels.Noise(Side, Side), bank);
        Assert.That(session.MemoryInUse, Is.LessThanOrEqualTo(estimate.WithoutText + 21 * 21 * 128 * 4 + 128));
    }

    private SessionOptions Options() => new() { Device = device.Name, MaxSize = (Side, Side), MaxLabels = 64, Threads = 2 };

    private int Square() => model.Config.Vision.ImageSize / model.Config.Vision.PatchSize;
}
