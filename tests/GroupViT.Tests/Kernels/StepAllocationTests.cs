using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>What running a prepared step costs the host.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class StepAllocationTests(TestDevice device)
{
    [Test]
    public void Running_a_prepared_step_allocates_nothing()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator is ILGPU's own, and starts tasks for every launch");
        }
        Tensor x = Tensor.Float("x", 1, 4, 16);
        Tensor y = Tensor.Float("y", 1, 4, 16);
        Tensor constant = Tensor.Constant("ones", 1, 16, values => values.Fill(1));
        Dictionary<Tensor, long> offsets = new() { [x] = 0, [y] = 256 };
        MemoryAccount account = new();
        using ConstantPool constants = device.Device.CreateConstants(account);
        using Worker worker = device.Device.CreateWorker(account, constants, 1);
        worker.AllocateArena(512);
        worker.Upload<float>(new float[64], 0);
        Step[] steps =
        [
            worker.Prepare(new Add(x, null, y), offsets),
            worker.Prepare(new LayerNorm(x, constant, constant, y, 1e-5f), offsets),
        ];
        worker.CommitScratch();
        Run(worker, steps, 100);
        long least = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Run(worker, steps, 1000);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        // Other threads of the process (a timer, the test runner) may allocate meanwhile, but not in each of five tries.
        Assert.That(least, Is.Zero);
    }

    private static void Run(Worker worker, Step[] steps, int times)
    {
        for (int i = 0; i < times; i++)
        {
            foreach (Step step in steps)
            {
                step.Run();
            }
        }
        worker.Synchronize();
    }
}
