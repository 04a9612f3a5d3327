using GroupViT.Native;

namespace GroupViT.Tests.Engine;

/// <summary>Where a device records steps, whole runs are one launch from the second on, and compute what the steps do.</summary>
[Category("Cpu")]
internal sealed class RecordedProgramTests
{
    private static readonly SegmentationOptions Rules = new() { ShortSide = 64 };

    [Test]
    public void From_the_second_run_on_a_program_is_one_launch()
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new() { Records = true };
        using (Session session = model.OpenSession(Options(), device))
        {
            using Session cpu = model.OpenSession(Options());
            for (int run = 0; run < 4; run++)
            {
                int before = device.Steps;
                Picture picture = TestModels.Noise(64, 64, seed: run);
                TestModels.AssertSameBits(session.Encode(picture, Rules), cpu.Encode(picture, Rules), $"run {run}");
                Assert.That(device.Steps > before, Is.EqualTo(run == 0), $"steps one by one in run {run}");
                Assert.That(device.Recordings, Is.EqualTo((Math.Min(run, 1), Math.Min(run, 1), run, 0)));
            }
            // Another size is another program.
            session.Encode(TestModels.Noise(80, 64), Rules);
            session.Encode(TestModels.Noise(80, 64), Rules);
            Assert.That(device.Recordings, Is.EqualTo((2, 2, 4, 0)));
        }
        Assert.That(device.Recordings.Freed, Is.EqualTo(2));
    }

    [Test]
    public void A_device_that_records_nothing_is_asked_once_and_walks()
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new();
        using Session session = model.OpenSession(Options(), device);
        using Session cpu = model.OpenSession(Options());
        Picture picture = TestModels.Noise(64, 64);
        for (int run = 0; run < 3; run++)
        {
            TestModels.AssertSameBits(session.Encode(picture, Rules), cpu.Encode(picture, Rules), $"run {run}");
        }
        Assert.That(device.Recordings, Is.EqualTo((1, 0, 0, 0)));
    }

    [Test]
    public void A_call_that_was_given_up_launches_nothing()
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new() { Records = true };
        using Session session = model.OpenSession(Options(), device);
        Picture picture = TestModels.Noise(64, 64);
        session.Encode(picture, Rules);
        session.Encode(picture, Rules);
        Assert.Throws<OperationCanceledException>(() => session.Encode(picture, Rules, new CancellationToken(canceled: true)));
        Assert.That(device.Recordings.Launched, Is.EqualTo(1));
        session.Encode(picture, Rules);
        Assert.That(device.Recordings.Launched, Is.EqualTo(2));
    }

    private static SessionOptions Options() => new() { Device = "cpu", MaxSize = (80, 80), Threads = 1 };
}
