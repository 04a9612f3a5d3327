using GroupViT.Native;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// Lets the runtime compile the CPU kernels on another thread while weights are still being read: a small program with every kind of tile runs
/// once in the background. Of the first picture's 140 ms at 224 pixels on two cores, 75 were the compiler's.
/// </summary>
internal static class CpuCompilation
{
    // Tiles of 12, 8, 4, 2 and 1 rows; attention takes blocks of 24 queries.
    private const int Rows = 12 + 8 + 4 + 2 + 1;
    private const int Queries = 24 + 8 + 4 + 2 + 1;
    private const int HeadSize = 64;
    private const int Groups = 5;

    private static int started;

    /// <summary>At the first call of a process; the others return at once.</summary>
    public static void Start(CpuDevice device, Activation activation)
    {
        // On a single core it would only take turns with those who wait for it.
        if (Environment.ProcessorCount > 1 && Interlocked.Exchange(ref started, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                _ =>
                {
                    try
                    {
                        Run(device, activation);
                    }
                    catch (Exception)
                    {
                        // Nobody waits for it: what cannot run here fails again where somebody does.
                    }
                },
                null);
        }
    }

    /// <summary>Prepares and runs each kind of operation once.</summary>
    public static void Run(CpuDevice device, Activation activation)
    {
        MemoryAccount account = new();
        using ConstantPool constants = device.CreateConstants(account);
        using Worker worker = device.CreateWorker(account, constants, threads: 1);
        Dictionary<Tensor, long> offsets = [];
        long bytes = 0;
        Operation[] operations = Operations(activation, tensor =>
        {
            offsets.Add(tensor, bytes);
            bytes = (bytes + tensor.Bytes + NativeBlock.Alignment - 1) / NativeBlock.Alignment * NativeBlock.Alignment;
            return tensor;
        });
        worker.AllocateArena(bytes);
        foreach ((Tensor tensor, long offset) in offsets)
        {
            worker.Upload<int>(new int[tensor.Count], offset);
        }
        Step[] steps = Array.ConvertAll(operations, operation => worker.Prepare(operation, offsets));
        worker.CommitScratch();
        Array.ForEach(steps, step => step.Run());
    }

    private static Operation[] Operations(Activation activation, Func<Tensor, Tensor> place)
    {
        const int width = HeadSize;
        Tensor vector = Constant(1, width);
        Tensor x = place(Tensor.Float("x", 1, Rows, width));
        Tensor y = place(Tensor.Float("y", 1, Rows, width));
        Tensor queries = place(Tensor.Float("queries", 1, Queries, width));
        Tensor attended = place(Tensor.Float("attended", 1, Queries, width));
        Tensor groups = place(Tensor.Float("groups", 1, Groups, width));
        Tensor means = place(Tensor.Float("means", 1, Groups, width));
        Tensor logits = place(Tensor.Float("logits", 1, Groups, Rows));
        Tensor soft = place(Tensor.Float("soft", 1, Groups, Rows));
        Tensor index = place(Tensor.Int("index", 1, 1, Rows));
        return
        [
            new LayerNorm(x, vector, vector, y, 1e-5f),
            new MatMul(x, Constant(width, width), y) { Bias = vector, TransposeB = true },
            new MatMul(x, Constant(width, width), y) { Bias = vector, TransposeB = true, Activation = activation },
            new Attention(queries, queries, queries, attended, Heads: 1, Scale: 1),
            new GroupAssign(groups, x, x, logits, soft, index, means, Scale: 1, Epsilon: 1),
            new NormalizeRows(x, y, 1e-12f),
        ];
    }

    private static Tensor Constant(int rows, int columns) => Tensor.Constant($"zeros {rows} x {columns}", rows, columns, values => values.Clear());
}
