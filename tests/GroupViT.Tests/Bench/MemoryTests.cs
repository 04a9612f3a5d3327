using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Measuring;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Bench;

/// <summary>Memory and time of a session on a device, by limit.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class SessionMemoryMeasuringTests(TestDevice device)
{
    [Test]
    public void A_session_uses_what_was_foretold_with_and_without_a_limit()
    {
        if (device.IsSlow || device.IsCpu)
        {
            Assert.Ignore("for GPU devices; the simulator takes minutes");
        }
        using GroupVitModel model = TestModels.Scenes();
        using DriverMemory driver = new(device.Name);
        SessionOptions options = new() { Device = device.Name, MaxSize = (56, 56), MaxBatch = 2 };
        SessionMemory whole = SessionMemory.Measure(model, options, TestModels.Noise(56, 56), driver, 0.01, CancellationToken.None);
        SessionMemory least = SessionMemory.Measure(
            model, options with { MemoryLimit = model.EstimateMemory(options).LeastLimit }, TestModels.Noise(56, 56), driver, 0.01, CancellationToken.None);
        Assert.That((whole.Streamed, least.Streamed), Is.EqualTo((StreamedWeights.None, StreamedWeights.All)));
        Assert.That(whole.Peak, Is.EqualTo(whole.Foretold));
        Assert.That(least.Peak, Is.InRange(1, least.Foretold).And.LessThan(whole.Peak / 2));
        Assert.That(whole.Milliseconds.Samples, Has.Count.GreaterThanOrEqualTo(3).And.All.Positive);
        bool told = device.Kind == DeviceKind.Cuda;
        Assert.That((whole.Taken is not null, whole.Context is not null), Is.EqualTo((told, told)));
        if (told)
        {
            Assert.That(whole.Taken, Is.GreaterThanOrEqualTo(whole.Peak / 2), "the driver takes it in larger pieces, some of which the context has already");
        }
    }
}

/// <summary>The rows and options of the commands that measure devices.</summary>
internal sealed class DeviceCommandTests
{
    [Test]
    public void A_row_has_what_was_measured_or_why_it_was_not()
    {
        SessionMemory used = new(1000, 2_000_000, 300, 40_000, StreamedWeights.Text, new Series(1.5, 2.5, 3.5));
        Assert.That(
            MemoryCommand.Row(Precision.Float16, 224, 8, 5_000_000, () => used),
            Is.EqualTo((string[])["Float16", "224", "8", "5,000,000", "Text", "1,000", "2,000,000", "40,000", "300", "2.500", "1.000", "3"]));
        string[] unknown = MemoryCommand.Row(Precision.Float32, 448, 1, long.MaxValue, () => used with { Taken = null, Context = null });
        Assert.That(unknown[3..9], Is.EqualTo((string[])["none", "Text", "1,000", "2,000,000", "", ""]));
        string[] failed = MemoryCommand.Row(Precision.Float32, 448, 64, long.MaxValue, () => throw new OutOfDeviceMemoryException("arena", 10, 0, 5));
        Assert.That(failed, Has.Length.EqualTo(unknown.Length));
        Assert.That(failed[4], Does.StartWith("does not fit: ").And.Contain("arena"));
    }

    [TestCase("--device opencl:0 --precision BFloat16 Float16 --size 224 --batch 1 8")]
    [TestCase("--architecture 75")]
    public void Memory_takes(string arguments) => Assert.That(MemoryCommand.Create().Parse(arguments).Errors, Is.Empty);

    [TestCase("--precision Float8")]
    [TestCase("--batch 0")]
    [TestCase("--size")]
    public void Memory_refuses(string arguments) => Assert.That(MemoryCommand.Create().Parse(arguments).Errors, Is.Not.Empty);

    [Test]
    public void The_encoders_parts_are_chosen_by_name()
    {
        Assert.That(EncoderCommand.Create().Parse("--device cuda:0 --parts image segment --batch 64").Errors, Is.Empty);
        Assert.That(EncoderCommand.Create().Parse("--parts picture").Errors.Single().Message, Does.Contain("picture"));
    }

    [Test]
    public void Kernels_of_a_device_are_measured_on_a_device_that_has_some()
    {
        Assert.That(KernelsCommand.Create().Parse("--device cuda:0 --precision BFloat16 --size 224 --batch 64").Errors, Is.Empty);
        Assert.That(() => BenchOptions.OpenGpu("cpu"), Throws.TypeOf<BenchException>().With.Message.Contains("not on cpu"));
    }
}
