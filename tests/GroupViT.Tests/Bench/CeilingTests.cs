using GroupViT.Bench.Ceilings;
using GroupViT.Bench.Workloads;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Bench;

/// <summary>The kernels that measure a device do the work that is counted, all of it.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class CeilingTests(TestDevice device) : IDisposable
{
    private CeilingMeasurement measurement = null!;

    [OneTimeSetUp]
    public void Open()
    {
        if (device.IsCpu)
        {
            Assert.Ignore("the cpu device's ceilings are measured by vectors, not by kernels");
        }
        measurement = new CeilingMeasurement((GpuDevice)device.Device);
    }

    public void Dispose() => measurement?.Dispose();

    [Test]
    public void Every_chain_goes_on_by_every_turn()
    {
        const int Turns = 37;
        float[] starts = [.. Enumerable.Range(0, FloatRegisters.StartCount).Select(i => (float)(i * 7 % 50))];
        foreach (int width in measurement.Steps.Widths)
        {
            MemoryAccount account = new();
            using GpuBlock first = new(measurement.Device, starts.Length * sizeof(float), account, "test");
            using GpuBlock result = new(measurement.Device, measurement.Steps.Threads * sizeof(float), account, "test");
            measurement.Upload(first.View<float>(0, starts.Length), starts);
            (GpuStep step, double flops) = measurement.Steps.MultiplyAdds(width, first.View<float>(0, starts.Length), result.View<float>(0, measurement.Steps.Threads), Turns, factor: 1, addend: 1);
            step.Run();
            float[] sums = measurement.Download(result.View<float>(0, measurement.Steps.Threads));
            int floats = 8 * width;
            // x ← x + 1 counts turns; sums of such integers are exact.
            Assert.That(
                sums, Is.EqualTo(Enumerable.Range(0, sums.Length).Select(thread => (float)(starts.AsSpan(FloatRegisters.FirstStart(thread), floats).ToArray().Sum() + floats * FloatRegisters.Unrolled * Turns))), $"{width} floats a chain");
            Assert.That(flops, Is.EqualTo(2.0 * FloatRegisters.Unrolled * floats * sums.Length));
        }
    }

    [Test]
    public void Streams_take_every_quad_once_in_a_pass()
    {
        const int Passes = 3;
        int quads = measurement.Steps.StreamQuads(3L * Streams.Unrolled * measurement.Steps.StreamThreads);
        Assert.That(quads, Is.EqualTo(3 * Streams.Unrolled * measurement.Steps.StreamThreads));
        MemoryAccount account = new();
        using GpuBlock a = new(measurement.Device, 16L * quads, account, "test");
        using GpuBlock b = new(measurement.Device, 16L * quads, account, "test");
        using GpuBlock c = new(measurement.Device, 16L * quads, account, "test");
        using GpuBlock result = new(measurement.Device, measurement.Steps.StreamThreads * sizeof(float), account, "test");
        var (target, first, second) = (a.View<float>(0, 4L * quads), b.View<float>(0, 4L * quads), c.View<float>(0, 4L * quads));
        float[] filled = [.. Enumerable.Range(0, 4 * quads).Select(i => (float)Streams.Value(i / 4 + i % 4))];
        measurement.Steps.Fill(first, quads).Run();
        Assert.That(measurement.Download(first), Is.EqualTo(filled));
        measurement.Upload(second, [.. filled.Select(value => 2 * value + 1)]);

        measurement.Steps.Read(result.View<float>(0, measurement.Steps.StreamThreads), first, quads, Passes).Run();
        Assert.That(measurement.Download(result.View<float>(0, measurement.Steps.StreamThreads)).Sum(value => (double)value), Is.EqualTo(Passes * filled.Sum(value => (double)value)));
        measurement.Steps.Copy(target, first, quads, Passes).Run();
        Assert.That(measurement.Download(target), Is.EqualTo(filled));
        measurement.Steps.Triad(target, first, second, quads, Passes).Run();
        Assert.That(measurement.Download(target), Is.EqualTo(filled.Select(value => value + Streams.Scale * (2 * value + 1))));
    }

    [Test]
    public void Matrix_instructions_add_the_product_in_every_turn()
    {
        foreach (WeightFormat format in measurement.Device.Facts.Formats)
        {
            MatricesAreExact(measurement, format);
        }
    }

    [Test]
    public void Every_rate_is_measured()
    {
        DeviceCeilings ceilings = CeilingMeasurement.Of(measurement.Device);
        TestContext.Out.WriteLine(ceilings);
        Assert.That((double[])[ceilings.MultiplyAdds, ceilings.Read, ceilings.Copy, ceilings.Triad, .. ceilings.Matrices.Values], Is.All.Positive);
        Assert.That(ceilings.Matrices.Keys, Is.EquivalentTo(measurement.Device.Facts.Formats.Where(format => KernelChoice.IsTensor(KernelChoice.Product(measurement.Device.Facts, format).Kernel))));
        (double chained, double waited) = measurement.Launch();
        Assert.That((chained, waited), Is.GreaterThan((0.0, 0.0)));
    }

    [Test]
    public void A_chain_of_launches_has_the_time_of_one()
    {
        Tensor x = Tensor.Float("x", 1, 8, 64);
        using PreparedOperation prepared = new(new Add(x, x, Tensor.Float("y", 1, 8, 64)), device.Device, 1);
        using LaunchChain chain = prepared.Chain();
        Assert.That(chain.Length, Is.InRange(1, LaunchChain.Most));
        Assert.That(chain.Sample(0.01, CancellationToken.None).Samples, Has.Count.GreaterThanOrEqualTo(5).And.All.Positive);
        Assert.That(() => chain.Sample(10, new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
    }

    /// <summary>A warp's lanes hold all of its sums between them, whichever way; so their total is known.</summary>
    internal static void MatricesAreExact(CeilingMeasurement measurement, WeightFormat format)
    {
        const int Turns = 3;
        int threads = measurement.Steps.MatrixGroups * measurement.Steps.MatrixGroupSize;
        MemoryAccount account = new();
        using GpuBlock result = new(measurement.Device, threads * sizeof(float), account, "test");
        bool tensors = KernelChoice.IsTensor(KernelChoice.Product(measurement.Device.Facts, format).Kernel);
        Assert.That(measurement.Steps.Matrices(format, result.View<float>(0, threads), Turns) is not null, Is.EqualTo(tensors), $"{format}");
        if (measurement.Steps.Matrices(format, result.View<float>(0, threads), Turns) is not { } work)
        {
            return;
        }
        work.Step.Run();
        float[] sums = measurement.Download(result.View<float>(0, threads));
        double expected = 0;
        for (int k = 0; k < MatrixRegisters.Depth; k++)
        {
            expected += Enumerable.Range(0, MatrixRegisters.Side).Sum(row => MatrixRegisters.Left(row, k)) * Enumerable.Range(0, MatrixRegisters.Side).Sum(column => MatrixRegisters.Right(k, column));
        }
        Assert.That(sums.Chunk(32).Select(warp => warp.Sum(value => (double)value)), Is.All.EqualTo(Turns * expected), $"{format}");
        Assert.That(work.Flops, Is.EqualTo(threads / 32 * 2.0 * 32 * 32 * 16));
    }
}

/// <summary>What is measured against which ceiling; and the matrix instructions on the simulator that emulates them.</summary>
internal sealed class CeilingChoiceTests
{
    private static readonly DeviceCeilings Ceilings = new(
        10, new Dictionary<WeightFormat, double> { [WeightFormat.BFloat16] = 100, [WeightFormat.Float16] = 101, [WeightFormat.TensorFloat32] = 50 }, 4, 3, 2);

    [TestCase(80, WeightFormat.BFloat16)]
    [TestCase(80, WeightFormat.Float16)]
    [TestCase(80, WeightFormat.TensorFloat32)]
    [TestCase(75, WeightFormat.Float16)]
    [Category("Simulator")]
    public void Matrix_instructions_add_the_product_in_every_turn(int compute, WeightFormat format)
    {
        using GpuDevice emulator = GpuDevice.OpenEmulator(compute, 2);
        using CeilingMeasurement measurement = new(emulator);
        CeilingTests.MatricesAreExact(measurement, format);
    }

    [Test]
    public void A_product_is_held_against_the_instructions_of_its_kernel()
    {
        DeviceFacts ampere = DeviceFacts.Cuda(80);
        Assert.That(Ceilings.BoundOf(Product(384, WeightFormat.BFloat16), ampere), Is.EqualTo(new Bound("BFloat16 mma", 100, false)));
        Assert.That(Ceilings.BoundOf(Product(384, WeightFormat.TensorFloat32), ampere), Is.EqualTo(new Bound("TensorFloat32 mma", 50, false)));
        Assert.That(Ceilings.BoundOf(Product(384, WeightFormat.Float32), ampere), Is.EqualTo(new Bound("Float32 fma", 10, false)));
        // K is no multiple of 128: no matrix instructions. Nor has compute 7.0 any.
        Assert.That(Ceilings.BoundOf(Product(192, WeightFormat.BFloat16), ampere).Name, Is.EqualTo("Float32 fma"));
        Assert.That(Ceilings.BoundOf(Product(384, WeightFormat.Float16), DeviceFacts.Cuda(70)).Name, Is.EqualTo("Float32 fma"));
        Assert.That(Ceilings.BoundOf(Product(384, WeightFormat.Float16), DeviceFacts.Cuda(75)).Name, Is.EqualTo("Float16 mma"));
        Tensor q = Tensor.Float("q", 1, 64, 64);
        Attention attention = new(q, q, q, Tensor.Float("y", 1, 64, 64), 1, 1) { Format = WeightFormat.BFloat16 };
        Assert.That(Ceilings.BoundOf(attention, ampere).Name, Is.EqualTo("BFloat16 mma"));
        Assert.That(Ceilings.BoundOf(attention with { Format = WeightFormat.Float32 }, ampere).Name, Is.EqualTo("Float32 fma"));
    }

    [Test]
    public void What_only_moves_numbers_is_held_against_the_memory()
    {
        Tensor x = Tensor.Float("x", 1, 4, 8);
        Bound bound = Ceilings.BoundOf(new Add(x, x, Tensor.Float("y", 1, 4, 8)), DeviceFacts.Cuda(80));
        Assert.That(bound, Is.EqualTo(new Bound("memory", 2, true)));
        // 2·10^9 bytes a second are 2·10^6 a millisecond.
        Assert.That(bound.Share(milliseconds: 2, flops: 0, bytes: 1e6), Is.EqualTo(0.25).Within(1e-12));
        Assert.That(new Bound("Float32 fma", 10, false).Share(milliseconds: 0.5, flops: 1e6, bytes: 1), Is.EqualTo(0.2).Within(1e-12));
    }

    [TestCase(1.5, 1)]
    [TestCase(0.3, 4)]
    [TestCase(0.001, LaunchChain.Most)]
    [TestCase(0, LaunchChain.Most)]
    public void A_chain_is_as_long_as_takes_a_while(double single, int length)
        => Assert.That(LaunchChain.LengthFor(single, launches => launches * single), Is.EqualTo(length));

    private static MatMul Product(int k, WeightFormat format)
        => new(Tensor.Float("a", 1, 64, k), Tensor.Constant("b", 64, k, destination => destination.Clear()), Tensor.Float("y", 1, 64, 64))
        {
            TransposeB = true,
            WeightFormat = format,
            RoundsFactors = format != WeightFormat.Float32,
        };
}
