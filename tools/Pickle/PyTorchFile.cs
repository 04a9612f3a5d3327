namespace GroupViT.Pickle;

/// <summary>A checkpoint that PyTorch wrote.</summary>
public sealed class PyTorchFile : IDisposable
{
    private PyTorchFile()
    {
        Tensors = [];
        Extras = new Dictionary<string, PickleValue>();
    }

    /// <summary>How the file is put together.</summary>
    public PyTorchContainer Container { get; }

    /// <summary>The state dict, with names as in the file and in its order.</summary>
    public IReadOnlyList<PyTorchTensor> Tensors { get; }

    /// <summary>The root dictionary's other entries.</summary>
    public IReadOnlyDictionary<string, PickleValue> Extras { get; }

    /// <summary>Opens a file.</summary>
    public static PyTorchFile Open(string path) => throw new PickleFileException(path, "is not read yet");

    /// <summary>Opens a stream.</summary>
    public static PyTorchFile Open(Stream seekable, string name) => throw new PickleFileException(name, "is not read yet");

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
