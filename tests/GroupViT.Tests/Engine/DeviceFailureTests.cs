using GroupViT.Kernels.Devices;
using GroupViT.Native;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Tests.Engine;

/// <summary>What callers meet when the driver fails: once a typed error with the driver's words, then the same at once, and a new session works.</summary>
[Category("Cpu")]
internal sealed class DeviceFailureTests
{
    private static readonly SegmentationOptions Rules = new() { ShortSide = 64 };

    [TestCase(FaultPlace.Prepare, "preparing")]
    [TestCase(FaultPlace.Upload, "copying to the device")]
    [TestCase(FaultPlace.Launch, "running ")]
    [TestCase(FaultPlace.Download, "waiting for the results")]
    public void A_lost_device_ends_its_session_and_no_other(FaultPlace place, string doing)
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new();
        List<DeviceLostException> told = [];
        Picture picture = TestModels.Noise(64, 64);
        using (Session session = model.OpenSession(Options(), device))
        {
            session.DeviceLost += (_, lost) => told.Add(lost.Error);
            session.Encode(picture, Rules);
            Assert.That(session.IsFaulted, Is.False);

            device.Place = place;
            // Another size, so that a program is prepared as well.
            Picture other = TestModels.Noise(80, 64);
            DeviceLostException error = Assert.Throws<DeviceLostException>(() => session.Encode(other, Rules))!;
            Assert.That(error.Message, Does.Contain("opencl:7").And.Contain(doing).And.Contain("CL_OUT_OF_RESOURCES").And.Contain("open a new one"));
            Assert.That(error.InnerException, Is.TypeOf<CLException>());
            Assert.That(session.IsFaulted);

            // Calls fail fast, without asking the driver again, although it would answer now.
            device.Place = null;
            int calls = device.CallsAfterFailure;
            Assert.That(() => session.Encode(picture, Rules), Throws.TypeOf<DeviceLostException>());
            Assert.That(() => session.Segment(picture, TestModels.Bank(model, 3), Rules), Throws.TypeOf<DeviceLostException>());
            Assert.That(device.CallsAfterFailure, Is.EqualTo(calls));
            Assert.That(told, Has.Count.EqualTo(1), "one event");
        }
        using Session next = model.OpenSession(Options(), new FaultyDevice());
        using Session cpu = model.OpenSession(Options());
        TestModels.AssertSameBits(next.Encode(picture, Rules), cpu.Encode(picture, Rules), "a new session");
    }

    [Test]
    public void A_recorded_program_that_fails_is_the_end_of_the_device_as_well()
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new() { Records = true };
        using Session session = model.OpenSession(Options(), device);
        Picture picture = TestModels.Noise(64, 64);
        session.Encode(picture, Rules);
        session.Encode(picture, Rules);
        device.Place = FaultPlace.Replay;
        Assert.That(() => session.Encode(picture, Rules), Throws.TypeOf<DeviceLostException>().With.Message.Contains("launching a program"));
        Assert.That(session.IsFaulted);
    }

    [TestCase(CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE)]
    [TestCase(CLError.CL_OUT_OF_HOST_MEMORY)]
    public void Too_little_memory_is_the_calls_error_and_the_session_goes_on(CLError code)
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new() { Error = code };
        using Session session = model.OpenSession(Options(), device);
        session.DeviceLost += (_, _) => Assert.Fail("the device is not lost");
        Picture picture = TestModels.Noise(64, 64);
        ImageEncoding before = session.Encode(picture, Rules);
        device.Place = FaultPlace.Launch;
        Assert.That(() => session.Encode(picture, Rules), Throws.TypeOf<OutOfDeviceMemoryException>().With.Message.Contains("opencl:7"));
        Assert.That(session.IsFaulted, Is.False);
        device.Place = null;
        TestModels.AssertSameBits(session.Encode(picture, Rules), before, "after too little memory");
    }

    [TestCase(FaultPlace.Stream)]
    [TestCase(FaultPlace.Arena)]
    public void A_session_that_cannot_open_leaves_nothing(FaultPlace place)
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new() { Place = place };
        Assert.That(() => model.OpenSession(Options(), device), Throws.TypeOf<DeviceLostException>());
        device = new() { Place = place, Error = CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE };
        Assert.That(() => model.OpenSession(Options(), device), Throws.TypeOf<OutOfDeviceMemoryException>());
        using Session session = model.OpenSession(Options(), new FaultyDevice());
        Assert.That(() => session.Encode(TestModels.Noise(64, 64), Rules), Throws.Nothing);
    }

    [Test]
    public void Callers_that_wait_for_a_worker_learn_of_the_failure_too()
    {
        using GroupVitModel model = TestModels.Tiny();
        FaultyDevice device = new() { Place = FaultPlace.Launch, Spared = 20 };
        using Session session = model.OpenSession(Options(), device);
        int lost = 0;
        Parallel.For(0, 16, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ =>
        {
            try
            {
                session.Encode(TestModels.Noise(64, 64), Rules);
            }
            catch (DeviceLostException)
            {
                Interlocked.Increment(ref lost);
            }
        });
        Assert.That(lost, Is.EqualTo(16));
    }

    // For real: more than any machine has.
    [Test, Category("OpenCL")]
    public void OpenCL_without_enough_memory_says_so_and_stays_usable()
    {
        if (DeviceCatalog.List().All(found => found.Name != "opencl:0"))
        {
            Assert.Ignore("opencl:0: no such device on this machine");
        }
        using WatchedDevice device = new(DeviceCatalog.Open("opencl:0"));
        MemoryAccount account = new();
        using ConstantPool constants = device.CreateConstants(account);
        using (Worker worker = device.CreateWorker(account, constants, 1))
        {
            OutOfDeviceMemoryException error = Assert.Throws<OutOfDeviceMemoryException>(() => worker.AllocateArena(1L << 42))!;
            Assert.That(error.Message, Does.Contain("opencl:0"));
            Assert.That(error.Asked, Is.EqualTo(1L << 42));
            Assert.That(error.Limit, Is.EqualTo(device.MemoryBytes));
        }
        Assert.That(account.InUse, Is.Zero);
        Assert.That(device.Failure, Is.Null);
        using Worker next = device.CreateWorker(account, constants, 1);
        next.AllocateArena(1024);
        int[] values = [1, 2, 3];
        next.Upload<int>(values, 256);
        int[] back = new int[3];
        next.Download(256, back.AsSpan());
        Assert.That(back, Is.EqualTo(values));
    }

    private static SessionOptions Options() => new() { Device = "cpu", MaxSize = (128, 128), Threads = 2 };
}
