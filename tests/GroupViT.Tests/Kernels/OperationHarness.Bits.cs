using System.Runtime.InteropServices;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <content>
/// Faults as damage to a right result; and what holds bit by bit: repeatability, independence of the batch, no allocation while a step runs.
/// </content>
internal sealed partial class OperationHarness
{
    /// <summary>One batch element of a view.</summary>
    public static TensorView Element(TensorView view, int batch) => view with { Batch = 1, Offset = view.Index(batch, 0, 0) };

    /// <summary>
    /// The definition must reject what a faulty device would have made of an output: <paramref name="damage"/> turns the right values
    /// into those.
    /// </summary>
    public void Catches(Operation operation, Tensor output, Func<float[], float[]> damage, string fault)
        => CatchesBits(operation, output, bits => [.. MemoryMarshal.Cast<float, uint>(damage(MemoryMarshal.Cast<uint, float>(bits).ToArray()))], fault);

    /// <summary>The same for an output of integers.</summary>
    public void CatchesIntegers(Operation operation, Tensor output, Func<int[], int[]> damage, string fault)
        => CatchesBits(operation, output, bits => [.. MemoryMarshal.Cast<int, uint>(damage(MemoryMarshal.Cast<uint, int>(bits).ToArray()))], fault);

    /// <summary>An output whose last element was never written must be found, even where its right value is 0.</summary>
    public void CatchesMissingEnd(Operation operation, Tensor output)
        => CatchesBits(operation, output, bits => [.. bits[..^1], Poison], "last element not written");

    private void CatchesBits(Operation operation, Tensor output, Func<uint[], uint[]> damage, string fault)
    {
        Assert.That(Differences(operation, operation), Is.Empty, "the operation is wrong without the fault");
        List<string> differences = Differences(operation, operation, results => results[output] = damage(results[output]));
        Assert.That(differences, Is.Not.Empty, $"{operation.GetType().Name} on {device} with the fault '{fault}' passed");
    }

    /// <summary>The same bits for 1, 2 and 5 threads, and when a prepared step runs again.</summary>
    public void IsRepeatable(Operation operation)
    {
        OperationUses uses = new();
        operation.Describe(uses);
        Dictionary<Tensor, long> offsets = Layout(uses, out long bytes);
        Dictionary<Tensor, uint[]> inputs = Inputs(uses);
        uint[]? expected = null;
        foreach (int threads in (int[])[1, 2, 5])
        {
            Threads = threads;
            uint[] arena = new uint[bytes / 4];
            WithStep(operation, offsets, inputs, arena, (worker, step) =>
            {
                for (int run = 0; run < 3; run++)
                {
                    step.Run();
                    worker.Synchronize();
                    worker.Download<uint>(0, arena);
                    expected ??= [.. arena];
                    Assert.That(arena.AsSpan().SequenceEqual(expected), $"{operation.GetType().Name} on {device}: run {run} with {threads} threads gave other bits");
                }
            });
        }
    }

    /// <summary>
    /// Every batch element has the same bits alone and among the others. <paramref name="alone"/> makes the operation on one element
    /// and names its output.
    /// </summary>
    public void IsIndependentOfTheBatch(Operation together, Tensor output, Func<int, (Operation Operation, Tensor Output)> alone)
    {
        uint[] all = Run(together)[output];
        int size = output.Rows * output.Columns;
        for (int b = 0; b < output.Batch; b++)
        {
            (Operation operation, Tensor one) = alone(b);
            Assert.That(Run(operation)[one].AsSpan().SequenceEqual(all.AsSpan(b * size, size)), $"{operation.GetType().Name} on {device}: batch element {b} has other bits alone");
        }
    }

    /// <summary>A prepared step runs a thousand times without a byte of managed memory on the caller's thread, nor per run on others.</summary>
    public void AllocatesNothing(Operation operation)
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator is ILGPU's own, and starts tasks for every launch");
        }
        OperationUses uses = new();
        operation.Describe(uses);
        Dictionary<Tensor, long> offsets = Layout(uses, out long bytes);
        WithStep(operation, offsets, Inputs(uses), new uint[bytes / 4], (worker, step) =>
        {
            step.Run();
            worker.Synchronize();
            long own = long.MaxValue;
            long all = long.MaxValue;
            // Of the other threads only the sum is known, and the test runner's timers allocate a few bytes every second. The smallest
            // object has 24 bytes: a step that makes one per run, on whichever thread, is far above a byte per run.
            const int runs = 1000;
            for (int attempt = 0; attempt < 3 && (own != 0 || all >= runs); attempt++)
            {
                long allBefore = GC.GetTotalAllocatedBytes(true);
                long ownBefore = GC.GetAllocatedBytesForCurrentThread();
                for (int run = 0; run < runs; run++)
                {
                    step.Run();
                }
                worker.Synchronize();
                own = Math.Min(own, GC.GetAllocatedBytesForCurrentThread() - ownBefore);
                all = Math.Min(all, GC.GetTotalAllocatedBytes(true) - allBefore);
            }
            Assert.That(own, Is.Zero, $"{operation.GetType().Name} allocates while it runs");
            Assert.That(all, Is.LessThan(runs), $"{operation.GetType().Name} allocates on the team's threads while it runs");
        });
    }
}
