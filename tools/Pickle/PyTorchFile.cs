using System.Buffers.Binary;

namespace GroupViT.Pickle;

/// <summary>
/// A checkpoint that PyTorch's <c>torch.save</c> wrote (a <c>.pth</c>, <c>.pt</c> or <c>.bin</c>): its tensors, and what else stands
/// beside them as inert data. A pickle is a program; this reader runs no part of it that calls, imports or looks up anything, and
/// refuses a file that asks for more than a checkpoint needs. Everything is checked on opening but the values of the tensors, which
/// are read where they are asked for.
/// </summary>
/// <remarks>
/// Opening allocates at most <see cref="AllocationPerByte"/> bytes for each byte of the pickles and of the archive's directory, plus
/// <see cref="AllocationBase"/>, whatever the file says of its own lengths and however large its storages are. Files whose pickle or
/// directory is above 64 MiB, or whose pickle makes more than 8 Mi values, are refused. It is no memory map: a file that is cut while
/// it is open ends in an error.
/// </remarks>
public sealed class PyTorchFile : IDisposable
{
    /// <summary>At most so many bytes are allocated for each byte of pickle and directory.</summary>
    public const int AllocationPerByte = 128;

    /// <summary>At most so many bytes are allocated beyond that.</summary>
    public const int AllocationBase = 1 << 20;

    private const uint ZipSignature = 0x04034b50;
    private const byte PickleSignature = 0x80;

    private readonly ByteSource _source;

    private PyTorchFile(ByteSource source)
    {
        _source = source;
        Container = ContainerOf(source);
        var state = StateDict.Find(source, Container == PyTorchContainer.Zip ? ZipContainer.Read(source) : LegacyContainer.Read(source));
        Tensors = state.Tensors;
        Extras = state.Extras;
    }

    /// <summary>The file as the user named it.</summary>
    public string Path => _source.Name;

    /// <summary>Length of the file in bytes.</summary>
    public long Length => _source.Length;

    /// <summary>How the file is put together.</summary>
    public PyTorchContainer Container { get; }

    /// <summary>
    /// The state dict, found under "model" or "state_dict" or at the root, with names as in the file and in its order. Names are
    /// unique, but may lie over each other in the file (tied weights).
    /// </summary>
    public IReadOnlyList<PyTorchTensor> Tensors { get; }

    /// <summary>
    /// The root dictionary's other entries ("config", "optimizer", "epoch") by their names, as inert data; see <see cref="PickleValue.Find"/>.
    /// Entries of the state dict that are no tensors are here under "model.NAME", with the key that the state dict was found under.
    /// </summary>
    public IReadOnlyDictionary<string, PickleValue> Extras { get; }

    /// <summary>Opens a file.</summary>
    /// <exception cref="PickleFileException">There is no such file, it may not be read, or it is refused; with the byte where it shows.</exception>
    public static PyTorchFile Open(string path) => Open(ByteSource.OpenFile(path));

    /// <summary>Reads the whole stream, from its byte 0 to its end, whatever its position.</summary>
    /// <param name="seekable">The stream; closed by <see cref="Dispose"/>, and at once if the file is refused, unless <paramref name="leaveOpen"/>.</param>
    /// <param name="name">What messages call the file.</param>
    /// <param name="leaveOpen">Whether the stream stays the caller's.</param>
    /// <exception cref="PickleFileException">The file is refused.</exception>
    public static PyTorchFile Open(Stream seekable, string name, bool leaveOpen = false) => Open(ByteSource.FromStream(seekable, name, leaveOpen));

    /// <summary>Closes the file; its tensors cannot be read any more.</summary>
    public void Dispose() => _source.Dispose();

    private static PyTorchFile Open(ByteSource source)
    {
        PyTorchFile? file = null;
        try
        {
            file = new PyTorchFile(source);
            return file;
        }
        finally
        {
            if (file is null)
            {
                source.Dispose();
            }
        }
    }

    private static PyTorchContainer ContainerOf(ByteSource source)
    {
        Span<byte> start = stackalloc byte[sizeof(uint)];
        start = start[..(int)Math.Min(start.Length, source.Length)];
        source.Read(0, start);
        if (start.Length == sizeof(uint) && BinaryPrimitives.ReadUInt32LittleEndian(start) == ZipSignature)
        {
            return PyTorchContainer.Zip;
        }
        if (start.Length > 0 && start[0] == PickleSignature)
        {
            return PyTorchContainer.Legacy;
        }
        string found = start.IsEmpty ? "is empty" : $"begins with the bytes {Convert.ToHexString(start)}";
        throw new PickleFileException(source.Name, $"{found}; a PyTorch file begins with 504B0304 (zip) or 80 (before PyTorch 1.6)", offset: 0);
    }
}
