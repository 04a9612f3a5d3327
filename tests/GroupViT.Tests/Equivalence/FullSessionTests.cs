using System.Diagnostics;
using GroupViT.Native;
using GroupViT.Tests.Engine;

namespace GroupViT.Tests.Equivalence;

/// <summary>A session of the full-size network, where a run takes long enough to be interrupted; and its memory plan.</summary>
[Category("Cpu"), Category("FullSize")]
internal sealed class FullSessionTests
{
    private readonly Picture picture = TestModels.Noise(448, 448);
    private GroupVitModel model = null!;

    [OneTimeSetUp]
    public void Open() => model = GroupVitModel.Load(FullModel.Folder);

    [OneTimeTearDown]
    public void Close() => model?.Dispose();

    [TestCase(1, 224, 224)]
    [TestCase(1, 448, 448)]
    [TestCase(1, 448, 608)]
    [TestCase(4, 448, 448)]
    public void The_memory_plan_is_near_the_least_that_any_plan_needs(int batch, int height, int width)
    {
        Graph graph = new();
        new ImageEncoder(model.Weights).Describe(graph, batch, height, width);
        MemoryPlan plan = MemoryPlan.For(graph);
        double ratio = (double)plan.Bytes / plan.LowerBound;
        TestContext.Out.WriteLine($"batch {batch}, {height} x {width}: {plan.Bytes} bytes, {ratio:F4} of the lower bound");
        Assert.That(new Liveness(graph).Faults(plan), Is.Empty);
        Assert.That(ratio, Is.LessThanOrEqualTo(1.15));
    }

    [TestCase(1)]
    [TestCase(2)]
    public void The_estimate_holds_at_full_size(int threads)
    {
        SessionOptions options = Options() with { Threads = threads };
        MemoryEstimate estimate = model.EstimateMemory(options);
        using Session session = model.OpenSession(options);
        session.Warmup((448, 448));
        Assert.That(session.MemoryInUse, Is.EqualTo(estimate.WithoutText));
        foreach (int side in (ReadOnlySpan<int>)[224, 448])
        {
            long start = Stopwatch.GetTimestamp();
            session.Encode(picture, new SegmentationOptions { ShortSide = side });
            TestContext.Out.WriteLine($"{side} x {side}, {threads} threads: {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms with preparation");
            start = Stopwatch.GetTimestamp();
            session.Encode(picture, new SegmentationOptions { ShortSide = side });
            TestContext.Out.WriteLine($"{side} x {side}, {threads} threads: {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");
        }
        TestContext.Out.WriteLine($"{estimate}");
    }

    [Test]
    public void A_cancelled_run_ends_within_a_second_and_the_session_stays_usable()
    {
        using Session session = model.OpenSession(Options());
        ImageEncoding expected = session.Encode(picture);
        using CancellationTokenSource already = new();
        already.Cancel();
        Assert.That(() => session.Encode(picture, null, already.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(() => session.SegmentAsync(picture, TestModels.Bank(model, 3), null, already.Token).GetAwaiter().GetResult(), Throws.InstanceOf<OperationCanceledException>());

        using CancellationTokenSource later = new();
        long cancelled = 0;
        using Timer timer = new(_ =>
        {
            Interlocked.Exchange(ref cancelled, Stopwatch.GetTimestamp());
            later.Cancel();
        }, null, 50, Timeout.Infinite);
        // Enough runs that the token comes in the middle on any machine.
        Assert.That(() => session.Encode([.. Enumerable.Repeat(picture, 100)], null, later.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Stopwatch.GetElapsedTime(Interlocked.Read(ref cancelled)), Is.LessThan(TimeSpan.FromSeconds(1)));
        TestModels.AssertSameBits(session.Encode(picture), expected, "after cancelling");
    }

    [Test]
    public void Whoever_waits_for_a_worker_can_be_cancelled()
    {
        using Session session = model.OpenSession(Options());
        session.Encode(picture);
        Task running = Busy(session, out ManualResetEventSlim started);
        started.Wait();
        Thread.Sleep(50);
        using CancellationTokenSource soon = new(100);
        Assert.That(() => session.Encode(picture, null, soon.Token), Throws.InstanceOf<OperationCanceledException>());
        running.Wait();
    }

    [Test]
    public void Dispose_waits_for_the_running_call_and_lets_the_waiting_ones_go()
    {
        Session session = model.OpenSession(Options());
        session.Encode(picture);
        Task running = Busy(session, out ManualResetEventSlim started);
        started.Wait();
        Thread.Sleep(50);
        Task[] waiting = [.. Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(() => session.Encode(picture), TaskCreationOptions.LongRunning))];
        Task awaiting = session.SegmentAsync(picture, TestModels.Bank(model, 3));
        Thread.Sleep(50);
        Assert.That(running.IsCompleted, Is.False, "the machine is too fast for this test: more pictures are needed");
        session.Dispose();
        Assert.That(running.Wait(TimeSpan.FromSeconds(10)) && running.IsCompletedSuccessfully, "the running call was cut off");
        foreach (Task task in waiting.Append(awaiting))
        {
            Assert.That(() => task.GetAwaiter().GetResult(), Throws.TypeOf<ObjectDisposedException>());
        }
        Assert.That(session.MemoryInUse, Is.Zero);
        Assert.That(session.Dispose, Throws.Nothing);
        Assert.That(() => session.Encode(picture), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => session.Warmup(), Throws.TypeOf<ObjectDisposedException>());
    }

    private Task Busy(Session session, out ManualResetEventSlim started)
    {
        ManualResetEventSlim begun = started = new();
        return Task.Factory.StartNew(
            () =>
            {
                begun.Set();
                session.Encode([.. Enumerable.Repeat(picture, 4)]);
            },
            TaskCreationOptions.LongRunning);
    }

    private static SessionOptions Options() => new() { Device = "cpu", MaxSize = (448, 448), MaxLabels = 64 };
}
