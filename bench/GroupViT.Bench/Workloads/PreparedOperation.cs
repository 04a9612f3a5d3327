using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Bench.Workloads;

/// <summary>One operation on a device, alone with its tensors, which hold random values.</summary>
internal sealed class PreparedOperation : IDisposable
{
    // As the planner's: nothing shares a cache line.
    private const int Alignment = 256;

    // Random numbers that a tensor's values repeat; a large tensor would take longer to make than to compute with.
    private const int Different = 1 << 16;

    private readonly Device? own;
    private readonly ConstantPool constants;
    private readonly Worker worker;
    private readonly Step step;

    /// <summary>On the cpu device.</summary>
    public PreparedOperation(Operation operation, int threads)
        : this(operation, DeviceCatalog.Open("cpu"), threads, owned: true)
    {
    }

    /// <param name="operation">What to run.</param>
    /// <param name="device">Stays open when this is disposed.</param>
    /// <param name="threads">Of the cpu device.</param>
    public PreparedOperation(Operation operation, Device device, int threads)
        : this(operation, device, threads, owned: false)
    {
    }

    private PreparedOperation(Operation operation, Device device, int threads, bool owned)
    {
        own = owned ? device : null;
        MemoryAccount account = new();
        constants = device.CreateConstants(account);
        worker = device.CreateWorker(account, constants, threads);
        OperationUses uses = new();
        operation.Describe(uses);
        Dictionary<Tensor, long> offsets = [];
        long bytes = 0;
        foreach (Tensor tensor in uses.Reads.Concat(uses.Writes.Select(view => view.Tensor)))
        {
            if (!tensor.IsConstant && offsets.TryAdd(tensor, bytes))
            {
                bytes = (bytes + tensor.Bytes + Alignment - 1) / Alignment * Alignment;
            }
        }
        try
        {
            worker.AllocateArena(bytes);
            Random random = new(1);
            foreach ((Tensor tensor, long offset) in offsets)
            {
                Fill(operation, tensor, offset, random);
            }
            step = worker.Prepare(operation, offsets);
            worker.CommitScratch();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Returns when the work is done.</summary>
    public void Run()
    {
        step.Run();
        worker.Synchronize();
    }

    /// <summary>As many launches as take a while, one after another; of a GPU device.</summary>
    public LaunchChain Chain() => new(worker, step);

    public void Dispose()
    {
        worker.Dispose();
        constants.Dispose();
        own?.Dispose();
    }

    private void Fill(Operation operation, Tensor tensor, long offset, Random random)
    {
        if (tensor.Type is not (ElementType.Int32 or ElementType.UInt16))
        {
            float[] values = new float[tensor.Count];
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = i < Different ? 2 * random.NextSingle() - 1 : values[i - Different];
            }
            if (operation is LabelScores scores && tensor == scores.Rules)
            {
                // The temperature, the threshold and the labels kept of preset nvlabs.
                values = [100, 0, 0.95f, 0, 5];
            }
            if (operation is LabelSums)
            {
                values = Array.ConvertAll(values, MathF.Abs);
            }
            switch (tensor.Type)
            {
                case ElementType.BFloat16:
                    worker.Upload<ushort>(Array.ConvertAll(values, BFloat16.FromSingle), offset);
                    break;
                case ElementType.Float16:
                    worker.Upload<Half>(Array.ConvertAll(values, value => (Half)value), offset);
                    break;
                default:
                    worker.Upload<float>(values, offset);
                    break;
            }
            return;
        }
        int[] integers = operation switch
        {
            GatherRows gather when tensor == gather.Index => Below(gather.Table.Rows),
            Attention attention when tensor == attention.KeyLengths => [.. Enumerable.Repeat(attention.K.Rows, tensor.Count)],
            // The picture is as large as the network's input, and the band as large as both allow.
            PixelLabels labels when tensor == labels.Geometry => [labels.Height, labels.Width, 0, Math.Min(labels.Height, labels.Capacity / labels.Width)],
            // Groups are patches of pixels, not noise: where neighbours agree there is less to do.
            PixelLabels labels when tensor == labels.Groups => [.. Enumerable.Range(0, tensor.Count).Select(i => (i / labels.Width / 16 * 5 + i % labels.Width / 16 * 3) % labels.Table.Rows)],
            LabelSums sums when tensor == sums.Geometry => [1, sums.Capacity, 0, 1],
            // Runs of a patch's width.
            LabelSums sums when tensor == sums.Labels => [.. Enumerable.Range(0, tensor.Count).Select(i => i / 16 * 7 % sums.LabelCount)],
            GroupAssign assign when tensor == assign.Forced => Below(assign.Groups),
            _ => new int[tensor.Count],
        };
        if (tensor.Type == ElementType.UInt16)
        {
            worker.Upload<ushort>(Array.ConvertAll(integers, value => (ushort)value), offset);
            return;
        }
        worker.Upload<int>(integers, offset);

        int[] Below(int limit) => [.. Enumerable.Range(0, tensor.Count).Select(_ => random.Next(limit))];
    }
}
