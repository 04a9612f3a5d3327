using GroupViT.Bench.Ceilings;
using GroupViT.Bench.Workloads;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;

namespace GroupViT.Bench.Ptx;

/// <summary>
/// Every kernel that sessions launch on a CUDA device of some architecture, asked of the programs themselves on a device that is not here; and
/// those that measure what such a device allows.
/// </summary>
internal static class KernelInventory
{
    /// <summary>By name. Sizes and batches are those of the benchmarks, so that both shapes of group of the tensor-core products are there.</summary>
    /// <param name="models">Whose graphs; more models bring more variants for odd shapes.</param>
    /// <param name="architecture">Compute capability times ten.</param>
    public static IReadOnlyList<GpuKernel> Of(IReadOnlyList<GroupVitModel> models, int architecture)
    {
        SortedDictionary<string, GpuKernel> kernels = new(StringComparer.Ordinal);
        using GpuDevice device = GpuDevice.Absent(DeviceFacts.Cuda(architecture), kernel => kernels[kernel.Name] = kernel);
        foreach (GroupVitModel model in models)
        {
            foreach (Precision precision in Enum.GetValues<Precision>().Where(precision => device.Supports(precision.WeightFormat())))
            {
                foreach (int batch in (ReadOnlySpan<int>)[1, 64])
                {
                    SessionOptions options = new() { Device = device.Name, Precision = precision, MaxBatch = batch, StageMaps = true };
                    new SessionPlan(model, options, device).Estimate();
                    All(device, model, precision.WeightFormat(), batch);
                }
            }
        }
        Others(device);
        return [.. kernels.Values];
    }

    /// <summary>The text that a driver would be given.</summary>
    public static string Ptx(GpuKernel kernel, int architecture)
    {
        // A context that once failed to compile fails again, so each kernel has its own.
        using Context context = Context.Create(builder => builder.CPU());
        GpuIntrinsics.Register(context);
        using PTXBackend backend = new(context, new CudaArchitecture(architecture / 10, architecture % 10), CudaInstructionSet.ISA_80, null!);
        return ((PTXCompiledKernel)kernel.Compile(backend, DeviceKind.Cuda)).PTXAssembly;
    }

    // Where every value is an output, as in verification, none is kept in 16 bits.
    private static void All(GpuDevice device, GroupVitModel model, WeightFormat format, int batch)
    {
        Graph image = new();
        new ImageEncoder(model.Weights, format).Describe(image, batch, model.Config.Vision.ImageSize, model.Config.Vision.ImageSize);
        Graph text = new();
        new TextEncoder(model.Weights, format).Describe(text, batch, model.Config.Text.MaxPositionEmbeddings);
        using ConstantPool constants = device.CreateConstants(new MemoryAccount());
        using Worker worker = device.CreateWorker(null, constants, 1);
        Prepare(worker, image);
        Prepare(worker, text);
    }

    private static void Prepare(Worker worker, Graph graph)
    {
        MemoryPlan plan = MemoryPlan.For(graph);
        foreach (Operation operation in graph.Operations)
        {
            worker.Prepare(operation, plan.Offsets);
        }
    }

    // Labels of soft maps, windows, what no session runs yet, and the ceilings' own.
    private static void Others(GpuDevice device)
    {
        Graph gradient = new();
        Tensor soft = gradient.Input(Tensor.Float("soft", 1, 8, 64));
        Tensor index = gradient.Input(Tensor.Int("index", 1, 1, 64));
        Tensor upstream = gradient.Input(Tensor.Float("upstream", 1, 8, 64));
        Tensor result = Tensor.Float("gradient", 1, 8, 64);
        gradient.Add(new GroupAssignGradient(soft, index, upstream, Tensor.Float("sums", 1, 8, 2), result, 1f));
        gradient.Output("gradient", result);

        // More groups than shared memory has room for, and columns that make no quads.
        Graph grouping = new();
        Tensor queries = grouping.Input(Tensor.Float("queries", 1, 65, 6));
        Tensor keys = grouping.Input(Tensor.Float("keys", 1, 9, 6));
        Tensor values = grouping.Input(Tensor.Float("values", 1, 9, 7));
        Tensor means = Tensor.Float("means", 1, 65, 7);
        grouping.Add(new GroupAssign(
            queries, keys, values, Tensor.Float("logits", 1, 65, 9), Tensor.Float("map", 1, 65, 9), Tensor.Int("choice", 1, 1, 9), means, 1f, 1f));
        grouping.Output("means", means);
        using ConstantPool constants = device.CreateConstants(new MemoryAccount());
        using Worker worker = device.CreateWorker(null, constants, 1);
        foreach (WeightFormat format in device.Facts.Formats)
        {
            Tensor rows = Tensor.Float("rows", 1, 64 * 260, 384);
            MatMul product = new(rows, Tensor.Constant("weight", 1536, 384, _ => { }).View(), Tensor.Float("hidden", 1, 64 * 260, 1536)) { TransposeB = true, WeightFormat = format, RoundsFactors = true };
            if (OnePartProduct.Fits(product, device.Facts))
            {
                rows.KeepAs(format);
                worker.Prepare(new OnePartProduct(product), new Dictionary<Tensor, long>());
            }
        }
        new CeilingSteps(new GpuBinding((GpuWorker)worker, new Dictionary<Tensor, long>())).PrepareAll();
        foreach (Graph graph in (Graph[])
            [
                gradient,
                grouping,
                new LabelGraph(256, 8, (28, 28), (448, 448), 21, new LabelKind(Soft: true, Logits: true, Background: false)).Graph,
                new LabelGraph(256, 8, (28, 28), (448, 448), 21, new LabelKind(Soft: true, Logits: false, Background: true)).Graph,
                new GroupGraph(8, 28, 28, 448, 448).Graph,
            ])
        {
            Prepare(worker, graph);
        }
    }
}
