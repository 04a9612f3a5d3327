using System.Diagnostics;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Native.Measuring;

/// <summary>
/// One graph on a device with memory of its own, without the session around it: what benchmarks run, whole or step by step. Used by one
/// caller at a time.
/// </summary>
internal sealed class PreparedNetwork : IDisposable
{
    private readonly Device device;
    private readonly MemoryAccount account = new();
    private readonly ConstantPool constants;
    private readonly Worker worker;
    private readonly MemoryPlan plan;
    private readonly Program program;

    /// <param name="graph">What to run.</param>
    /// <param name="device">As <see cref="SessionOptions.Device"/>.</param>
    /// <param name="threads">Of the cpu device; 0 for all of the machine's.</param>
    /// <param name="precision">Which the device must have kernels for; the graph says what is kept how.</param>
    public PreparedNetwork(Graph graph, string device, int threads, Precision precision = Precision.Float32)
    {
        ArgumentNullException.ThrowIfNull(graph);
        Operations = graph.Operations;
        Flops = Operations.Sum(operation => operation.Flops);
        Threads = threads == 0 ? Environment.ProcessorCount : threads;
        this.device = DeviceCatalog.Open(device, precision);
        this.device.CompileAhead(Operations.OfType<MatMul>().Select(product => product.Activation).FirstOrDefault(activation => activation is not (Activation.None or Activation.Relu)));
        constants = this.device.CreateConstants(account);
        worker = this.device.CreateWorker(account, constants, Threads);
        NarrowTensors.Choose(graph, this.device.Facts);
        plan = MemoryPlan.For(graph);
        try
        {
            worker.AllocateArena(plan.Bytes);
            program = new Program(graph, plan, worker);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string DeviceName => device.Name;

    public string DeviceDescription => device.Description;

    public bool IsCpu => device.Kind == DeviceKind.Cpu;

    public int Threads { get; }

    /// <summary>In the order they run.</summary>
    public IReadOnlyList<Operation> Operations { get; }

    /// <summary>Floating-point operations of the products of one run.</summary>
    public double Flops { get; }

    public long WeightBytes => constants.Bytes;

    public long ArenaBytes => worker.ArenaSize(plan.Bytes);

    /// <summary>Beside arena and weights.</summary>
    public long ScratchBytes => worker.ScratchBytes;

    public void Upload<T>(Tensor tensor, ReadOnlySpan<T> values)
        where T : unmanaged => program.Upload(tensor, values);

    /// <summary>Runs all steps and waits for the last.</summary>
    public void Run()
    {
        program.Run();
        worker.Synchronize();
    }

    /// <summary>As <see cref="Run"/>; milliseconds of each step into <paramref name="milliseconds"/>.</summary>
    public void RunTimed(Span<double> milliseconds) => program.RunTimed(milliseconds);

    public void Download<T>(Tensor tensor, Span<T> values)
        where T : unmanaged => program.Download(tensor, values);

    public void Dispose()
    {
        program?.Dispose();
        worker?.Dispose();
        constants?.Dispose();
        device?.Dispose();
    }
}

/// <summary>The image encoder for one input size and batch, from normalised pixels to what segmentation reads.</summary>
internal sealed class PreparedImageEncoder : IDisposable
{
    private readonly ImageFeatures features;

    /// <param name="model">Whose weights.</param>
    /// <param name="device">As <see cref="SessionOptions.Device"/>.</param>
    /// <param name="batch">Pictures at once.</param>
    /// <param name="height">Pixels, whole patches.</param>
    /// <param name="width">Pixels, whole patches.</param>
    /// <param name="threads">Of the cpu device; 0 for all of the machine's.</param>
    /// <param name="precision">Of the weights.</param>
    public PreparedImageEncoder(GroupVitModel model, string device, int batch, int height, int width, int threads, Precision precision = Precision.Float32)
    {
        ArgumentNullException.ThrowIfNull(model);
        int patch = model.Config.Vision.PatchSize;
        if (height < patch || width < patch || height % patch != 0 || width % patch != 0)
        {
            throw new ArgumentException($"an input of {height} x {width} pixels is not made of whole patches of {patch}");
        }
        Graph graph = new();
        features = new ImageEncoder(model.Weights, precision.WeightFormat()).Describe(graph, batch, height, width);
        Network = new PreparedNetwork(graph, device, threads, precision);
        Embedding = new float[features.Embedding.Count];
        GroupEmbeddings = new float[features.GroupEmbeddings.Count];
        Maps = new float[features.Maps.Count];
    }

    public PreparedNetwork Network { get; }

    /// <summary>Values of one input: batch · 3 · height · width.</summary>
    public int PixelCount => features.Pixels.Count;

    /// <summary>Unit embeddings of the last run, [batch, P].</summary>
    public float[] Embedding { get; }

    /// <summary>Unit embeddings of the groups, [batch, G, P].</summary>
    public float[] GroupEmbeddings { get; }

    /// <summary>Each patch's share in each group, [batch, G, patches].</summary>
    public float[] Maps { get; }

    /// <summary>Pixels in, results out: what a session does for one encoding, without its checks.</summary>
    public void Run(ReadOnlySpan<float> pixels)
    {
        Network.Upload(features.Pixels, pixels);
        Network.Run();
        Network.Download<float>(features.Embedding, Embedding);
        Network.Download<float>(features.GroupEmbeddings, GroupEmbeddings);
        Network.Download<float>(features.Maps, Maps);
    }

    /// <summary>As <see cref="Run"/>, without results, with each step's milliseconds.</summary>
    public void RunTimed(ReadOnlySpan<float> pixels, Span<double> milliseconds)
    {
        Network.Upload(features.Pixels, pixels);
        Network.RunTimed(milliseconds);
    }

    public void Dispose() => Network.Dispose();
}

/// <summary>The text encoder for one batch and length, from token ids to the head's output.</summary>
internal sealed class PreparedTextEncoder : IDisposable
{
    private readonly TextFeatures features;

    public PreparedTextEncoder(GroupVitModel model, string device, int batch, int length, int threads)
    {
        ArgumentNullException.ThrowIfNull(model);
        Graph graph = new();
        features = new TextEncoder(model.Weights).Describe(graph, batch, length);
        Network = new PreparedNetwork(graph, device, threads);
        Projected = new float[features.Projected.Count];
    }

    public PreparedNetwork Network { get; }

    /// <summary>The head's output of the last run, [batch, P], not normalised.</summary>
    public float[] Projected { get; }

    /// <param name="ids">[batch, length] token ids.</param>
    /// <param name="lengths">How many of each text count; its end token is the last of them.</param>
    public void Run(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths)
    {
        Upload(ids, lengths);
        Network.Run();
        Network.Download<float>(features.Projected, Projected);
    }

    /// <summary>As <see cref="Run"/>, without results, with each step's milliseconds.</summary>
    public void RunTimed(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths, Span<double> milliseconds)
    {
        Upload(ids, lengths);
        Network.RunTimed(milliseconds);
    }

    public void Dispose() => Network.Dispose();

    private void Upload(ReadOnlySpan<int> ids, ReadOnlySpan<int> lengths)
    {
        Span<int> pick = stackalloc int[lengths.Length];
        for (int i = 0; i < pick.Length; i++)
        {
            pick[i] = lengths[i] - 1;
        }
        Network.Upload(features.Ids, ids);
        Network.Upload(features.Lengths, lengths);
        Network.Upload<int>(features.Pick, pick);
    }
}
