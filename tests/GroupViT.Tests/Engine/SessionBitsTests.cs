using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Kernels;
// Program alone would be the tool's entry point.
using ModelProgram = GroupViT.Native.Program;

namespace GroupViT.Tests.Engine;

/// <summary>The same picture gives the same bits, however it is run; and runs allocate nothing. The smallest network, on every device.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class SessionBitsTests(TestDevice device)
{
    private readonly SegmentationOptions rules = new() { ShortSide = 48 };
    private readonly Picture[] pictures = [.. Enumerable.Range(0, 4).Select(i => TestModels.Noise(64, 48, i))];
    private GroupVitModel model = null!;
    private IReadOnlyList<ImageEncoding> expected = null!;

    [OneTimeSetUp]
    public void Encode_each_alone()
    {
        model = TestModels.Tiny();
        using Session session = Open();
        expected = [.. pictures.Select(picture => session.Encode(picture, rules))];
    }

    [OneTimeTearDown]
    public void Close() => model?.Dispose();

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(5)]
    public void Results_do_not_depend_on_the_number_of_threads(int threads)
    {
        using Session session = Open(threads: threads);
        for (int i = 0; i < pictures.Length; i++)
        {
            TestModels.AssertSameBits(session.Encode(pictures[i], rules), expected[i], $"picture {i} with {threads} threads");
        }
    }

    [Test]
    public void A_picture_alone_and_in_a_batch_gives_the_same_bits()
    {
        using Session session = Open(batch: 3);
        // Three together, one left over; then a size of its own between two equal ones.
        IReadOnlyList<ImageEncoding> together = session.Encode(pictures, rules);
        Picture wide = TestModels.Noise(90, 48, 9);
        IReadOnlyList<ImageEncoding> mixed = session.Encode([pictures[0], wide, pictures[1]], rules);
        for (int i = 0; i < pictures.Length; i++)
        {
            TestModels.AssertSameBits(together[i], expected[i], $"picture {i} of four");
        }
        TestModels.AssertSameBits(mixed[0], expected[0], "the first of a mixed list");
        TestModels.AssertSameBits(mixed[2], expected[1], "the last of a mixed list");
        TestModels.AssertSameBits(mixed[1], session.Encode(wide, rules), "the wide picture");
    }

    [Test]
    public void Run_after_run_gives_the_same_bits_with_other_work_between()
    {
        using Session session = Open();
        LabelBank bank = TestModels.Bank(model, 5);
        for (int round = 0; round < 3; round++)
        {
            session.Encode(TestModels.Noise(48, 90, round), rules);
            session.Segment(pictures[1], bank, rules);
            TestModels.AssertSameBits(session.Encode(pictures[0], rules), expected[0], $"round {round}");
        }
    }

    [TestCase(1)]
    [TestCase(2)]
    public void Eight_threads_at_once_get_the_bits_of_one(int workers)
    {
        using Session session = Open(workers: workers);
        LabelBank bank = TestModels.Bank(model, 5, background: true);
        ushort[][] masks = [.. expected.Select(encoding => session.Label(encoding, bank, rules).Mask.ToArray())];
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            for (int run = 0; run < (device.IsSlow ? 1 : 10); run++)
            {
                int i = (thread + run) % pictures.Length;
                TestModels.AssertSameBits(session.Encode(pictures[i], rules), expected[i], $"thread {thread}, run {run}");
                Assert.That(session.Segment(pictures[i], bank, rules).Mask.ToArray(), Is.EqualTo(masks[i]), $"thread {thread}, run {run}");
            }
        });
    }

    [Test]
    public void Asynchronous_and_buffered_segmentation_give_the_same_mask()
    {
        using Session session = Open();
        LabelBank bank = TestModels.Bank(model, 5);
        SegmentationResult plain = session.Segment(pictures[0], bank, rules);
        SegmentationResult awaited = session.SegmentAsync(pictures[0], bank, rules).GetAwaiter().GetResult();
        ushort[] mask = new ushort[64 * 48];
        session.Segment(pictures[0].Image.Pixels, 64, 48, 3 * 64, PixelFormat.Rgb, bank, mask, rules);
        Assert.That(awaited.Mask.ToArray(), Is.EqualTo(plain.Mask.ToArray()));
        Assert.That(mask, Is.EqualTo(plain.Mask.ToArray()));
        Assert.That(plain.Labels.Sum(label => label.Pixels), Is.EqualTo(64 * 48));
    }

    [Test]
    public void A_thousand_runs_of_a_program_allocate_no_managed_bytes()
    {
        SkipSimulator();
        using Checkpoint checkpoint = TestModels.Open(Fixtures.Path("tiny"));
        Graph graph = new();
        ImageFeatures features = new ImageEncoder(new ModelWeights(checkpoint)).Describe(graph, 1, 48, 64);
        GroupViT.Kernels.Devices.MemoryAccount account = new();
        using GroupViT.Kernels.Devices.ConstantPool constants = device.Device.CreateConstants(account);
        using GroupViT.Kernels.Devices.Worker worker = device.Device.CreateWorker(account, constants, 2);
        MemoryPlan plan = MemoryPlan.For(graph);
        worker.AllocateArena(plan.Bytes);
        ModelProgram program = new(graph, plan, worker);
        float[] pixels = new float[3 * 48 * 64];
        float[] embedding = new float[features.Embedding.Count];
        FormulaWeights.Image(48, 64, pixels);

        void Runs(int count)
        {
            for (int i = 0; i < count; i++)
            {
                program.Upload<float>(features.Pixels, pixels);
                program.Run();
                program.Download<float>(features.Embedding, embedding);
            }
        }

        Runs(50);
        Assert.That(TestModels.AllocatedBytes(() => Runs(10)), Is.Zero);
    }

    [Test]
    public void A_thousand_segmentations_into_the_callers_mask_allocate_no_managed_bytes()
    {
        SkipSimulator();
        using Session session = Open();
        LabelBank bank = TestModels.Bank(model, 5, background: true);
        byte[] pixels = pictures[0].Image.Pixels;
        ushort[] mask = new ushort[64 * 48];

        void Runs(int count)
        {
            for (int i = 0; i < count; i++)
            {
                session.Segment(pixels, 64, 48, 3 * 64, PixelFormat.Rgb, bank, mask, rules);
            }
        }

        Runs(50);
        Assert.That(TestModels.AllocatedBytes(() => Runs(10)), Is.Zero);
    }

    private Session Open(int threads = 2, int batch = 1, int workers = 1)
        => model.OpenSession(new SessionOptions { Device = device.Name, MaxSize = (96, 96), MaxBatch = batch, MaxLabels = 16, Workers = workers, Threads = threads });

    private void SkipSimulator()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator is exempt: its own threads allocate");
        }
    }
}
