using GroupViT.Kernels;

namespace GroupViT.Bench.Workloads;

/// <summary>Something small to time: one operation of the network at one shape, or one step of the host's around it.</summary>
/// <param name="Kind">The operation: MatMul, Attention, ...</param>
/// <param name="Name">Where it comes from in the model, and its shape: blocks.qkv 848x384x1152.</param>
/// <param name="Times">How often the network runs it.</param>
/// <param name="Flops">Floating-point operations of its products; 0 where it only moves numbers.</param>
/// <param name="Bytes">Bytes read and written, each operand once.</param>
/// <param name="Prepare">Makes it ready to run on so many threads.</param>
internal sealed record Workload(string Kind, string Name, int Times, double Flops, double Bytes, Func<int, PreparedWorkload> Prepare)
{
    /// <summary>The operation, which runs on any device; null for a step of the host's.</summary>
    public Operation? Operation { get; init; }
}

/// <summary>A workload with its memory.</summary>
internal sealed class PreparedWorkload(Action run, IDisposable? owner = null) : IDisposable
{
    public void Run() => run();

    public void Dispose() => owner?.Dispose();
}
