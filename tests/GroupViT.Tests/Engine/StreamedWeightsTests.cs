using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tests.Equivalence;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Engine;

/// <summary>Sessions whose limit does not hold their weights compute the same bits from less memory.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class StreamedWeightsTests(TestDevice device)
{
    private const int Side = 56;

    private GroupVitModel model = null!;

    [OneTimeSetUp]
    public void Open()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the demonstration model takes the simulator minutes");
        }
        if (device.Kind == DeviceKind.Cpu)
        {
            Assert.Ignore("weights on the cpu device are in host memory already");
        }
        model = TestModels.Scenes();
    }

    [OneTimeTearDown]
    public void Close() => model?.Dispose();

    [TestCase(Precision.Float32)]
    [TestCase(Precision.TensorFloat32)]
    [TestCase(Precision.BFloat16)]
    [TestCase(Precision.Float16)]
    public void Every_limit_between_the_least_and_the_whole_gives_the_same_bits(Precision precision)
    {
        if (!device.Device.Supports(precision.WeightFormat()))
        {
            Assert.Ignore($"{device} has no kernels for {precision}");
        }
        MemoryEstimate all = model.EstimateMemory(Options(precision));
        Assert.That(all.Windows, Is.Zero);
        (float[] Texts, ushort[] Mask) expected = Run(precision, long.MaxValue, StreamedWeights.None);
        foreach ((long limit, StreamedWeights streamed) in (ReadOnlySpan<(long, StreamedWeights)>)
            [(all.Total, StreamedWeights.None), (all.Total - 1, StreamedWeights.Text), (all.LeastLimit + 100_000, StreamedWeights.All), (all.LeastLimit, StreamedWeights.All)])
        {
            (float[] texts, ushort[] mask) = Run(precision, limit, streamed);
            Assert.That(texts, Is.EqualTo(expected.Texts), $"texts with {limit} bytes");
            Assert.That(mask, Is.EqualTo(expected.Mask), $"labels with {limit} bytes");
        }
        TestContext.Out.WriteLine($"{precision}: {all.Total} bytes with all weights, {all.LeastLimit} at least");
        Assert.That(all.LeastLimit, Is.LessThan(all.Total / 2));
    }

    [Test]
    public void Two_workers_stream_at_the_same_time()
    {
        SessionOptions options = Options(Precision.Float32) with { Workers = 2 };
        long least = model.EstimateMemory(options).LeastLimit;
        using Session session = model.OpenSession(options with { MemoryLimit = least });
        Picture[] pictures = [.. Enumerable.Range(0, 6).Select(i => TestModels.Noise(Side, Side + i, seed: i))];
        using Session whole = model.OpenSession(Options(Precision.Float32));
        float[][] alone = [.. pictures.Select(picture => whole.EmbedImage(picture))];
        float[][] together = new float[pictures.Length][];
        Parallel.For(0, pictures.Length, new ParallelOptions { MaxDegreeOfParallelism = 2 }, i => together[i] = session.EmbedImage(pictures[i]));
        Assert.That(together, Is.EqualTo(alone));
        Assert.That(session.MemoryPeak, Is.LessThanOrEqualTo(least));
    }

    [Test]
    public void A_run_that_was_given_up_leaves_a_session_that_computes_right()
    {
        SessionOptions options = Options(Precision.Float32);
        using Session session = model.OpenSession(options with { MemoryLimit = model.EstimateMemory(options).LeastLimit });
        Picture picture = TestModels.Noise(Side, Side);
        float[] expected;
        using (Session whole = model.OpenSession(options))
        {
            expected = whole.EmbedImage(picture);
        }
        for (int i = 0; i < 20; i++)
        {
            using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(i));
            try
            {
                session.EmbedImage(picture, cancellation: soon.Token);
            }
            catch (OperationCanceledException)
            {
            }
        }
        Assert.That(session.EmbedImage(picture), Is.EqualTo(expected));
    }

    [Test]
    public void A_limit_below_the_least_is_refused_with_the_least()
    {
        long least = model.EstimateMemory(Options(Precision.Float32)).LeastLimit;
        OutOfDeviceMemoryException error = Assert.Throws<OutOfDeviceMemoryException>(() => model.OpenSession(Options(Precision.Float32) with { MemoryLimit = least - 1 }))!;
        Assert.That(error.Asked, Is.EqualTo(least));
        Assert.That(error.Message, Does.Contain($"{least:N0} would do"));
    }

    [Test]
    public void The_full_size_image_side_computes_in_32_megabytes()
    {
        using GroupVitModel full = GroupVitModel.Load(FullModel.Folder);
        SessionOptions options = new() { Device = device.Name, Precision = Precision.Float16, MaxSize = (224, 224), Threads = 2 };
        Picture picture = TestModels.Noise(224, 224);
        float[] expected;
        using (Session whole = full.OpenSession(options))
        {
            expected = whole.EmbedImage(picture);
        }
        using Session streaming = full.OpenSession(options with { MemoryLimit = 32_000_000 });
        Assert.That(streaming.StreamedWeights, Is.EqualTo(StreamedWeights.All));
        Assert.That(streaming.EmbedImage(picture), Is.EqualTo(expected));
        Assert.That(streaming.MemoryPeak, Is.LessThanOrEqualTo(32_000_000));
        TestContext.Out.WriteLine($"{streaming.MemoryPeak} bytes at most");
    }

    private (float[] Texts, ushort[] Mask) Run(Precision precision, long limit, StreamedWeights streamed)
    {
        SessionOptions options = Options(precision) with { MemoryLimit = limit };
        MemoryEstimate estimate = model.EstimateMemory(options);
        using Session session = model.OpenSession(options);
        Assert.That(session.StreamedWeights, Is.EqualTo(streamed));
        float[] texts = session.EmbedText("a photo of the sea");
        LabelBank bank = session.EncodeLabels(["sky", "sea"]);
        ushort[] mask = [];
        // Again, and at another size between: segments begin anew each time.
        foreach ((int width, int height) in (ReadOnlySpan<(int, int)>)[(Side, Side), (Side, Side - 8), (Side, Side)])
        {
            mask = session.Segment(TestModels.Noise(width, height), bank, new SegmentationOptions { ShortSide = Math.Min(width, height) }).Mask.ToArray();
        }
        if (streamed != StreamedWeights.None)
        {
            Assert.That(session.MemoryPeak, Is.LessThanOrEqualTo(limit));
            Assert.That(session.MemoryInUse, Is.InRange(estimate.Total - estimate.TextWeights - estimate.ImageWeights, estimate.Total), "as foretold");
        }
        return (texts, mask);
    }

    private SessionOptions Options(Precision precision) => new() { Device = device.Name, Precision = precision, MaxSize = (112, 112), Threads = 2 };
}
