namespace GroupViT.Pickle;

/// <summary>A tensor of a PyTorch file. Its values stay in the file until <see cref="Read"/> asks for them.</summary>
public sealed class PyTorchTensor
{
    private PyTorchTensor()
    {
    }

    /// <summary>The name in the state dict.</summary>
    public string Name { get; } = "";

    /// <summary>Type of the elements.</summary>
    public PyTorchType Type { get; }

    /// <summary>Sizes of the axes, outermost first; empty for a scalar.</summary>
    public IReadOnlyList<long> Shape { get; } = [];

    /// <summary>Number of elements.</summary>
    public long Count { get; }

    /// <summary>Reads elements, row-major.</summary>
    public void Read(long firstElement, Span<byte> destination) => throw new NotSupportedException();
}
