namespace GroupViT.Bench.Peers.Contenders;

/// <summary>An engine with the network of one cell loaded and its input in place.</summary>
/// <remarks>
/// A run takes the input from where the caller has it and leaves the outputs where the caller can read them, whatever copies that costs.
/// </remarks>
internal abstract class Contender : IDisposable
{
    /// <summary>Version and settings, for the report.</summary>
    public abstract string Settings { get; }

    public abstract void Run();

    /// <summary>Of the latest run: embedding, group_embeddings and maps of pictures; projected of texts.</summary>
    public abstract IReadOnlyDictionary<string, float[]> Outputs { get; }

    public abstract void Dispose();
}
