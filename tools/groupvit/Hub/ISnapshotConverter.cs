namespace GroupViT.Tool.Hub;

/// <summary>Makes a model folder of a snapshot whose weights are a PyTorch file.</summary>
internal interface ISnapshotConverter
{
    /// <summary>Converts.</summary>
    /// <param name="snapshot">The folder with <paramref name="weights"/>, config.json and whatever else was in the repository. Never written to.</param>
    /// <param name="weights">The name of the weights in it.</param>
    /// <param name="destination">An empty folder; afterwards a complete model folder with model.safetensors. After an error it is deleted.</param>
    /// <param name="cancellation">Of the caller.</param>
    /// <exception cref="Native.GroupVitException">The weights cannot be converted.</exception>
    void Convert(string snapshot, string weights, string destination, CancellationToken cancellation);
}
