using System.Buffers.Binary;
using System.Runtime.InteropServices;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Pickle;

namespace GroupViT.Tool.Converting.Sources;

/// <summary>
/// The tensors of a PyTorch file as the engine sees weights, so that whatever holds for a safetensors file (names, shapes, types, the
/// errors for what does not fit) holds for a .pth or .bin too. Any number of threads may read at once.
/// </summary>
internal sealed class PyTorchWeights : WeightsSource
{
    // A view that is not contiguous is gathered in pieces of this size. Each costs a walk along its storage, during which nobody can cancel.
    private const int PieceBytes = 8 << 20;

    private readonly PyTorchFile file;
    private readonly Dictionary<string, SafetensorsEntry> entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PyTorchTensor> tensors = new(StringComparer.Ordinal);
    private readonly Lock gate = new();
    private (PyTorchTensor Tensor, long First, byte[] Bytes)? piece;

    private PyTorchWeights(PyTorchFile file)
    {
        this.file = file;
        foreach (PyTorchTensor tensor in file.Tensors)
        {
            SafetensorsType type = Enum.Parse<SafetensorsType>(tensor.Type.ToString(), ignoreCase: true);
            entries.Add(tensor.Name, new SafetensorsEntry(tensor.Name, type, [.. tensor.Shape], tensor.Count, tensor.FileOffset, tensor.Count * tensor.Type.Size()));
            tensors.Add(tensor.Name, tensor);
        }
    }

    public override string Name => file.Path;

    public override IReadOnlyDictionary<string, SafetensorsEntry> Tensors => entries;

    /// <summary>PyTorch files have none; what else they hold is in <see cref="Extras"/>.</summary>
    public override IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    public override long Length => file.Length;

    /// <summary>Whether the file is a zip or of the older kind.</summary>
    public PyTorchContainer Container => file.Container;

    /// <summary>What stands beside the state dict, as inert data: the training's configuration for one.</summary>
    public IReadOnlyDictionary<string, PickleValue> Extras => file.Extras;

    /// <summary>Opens a file.</summary>
    /// <exception cref="ModelFileException">There is no such file, or it is refused.</exception>
    public static PyTorchWeights Open(string path)
    {
        try
        {
            return new PyTorchWeights(PyTorchFile.Open(path));
        }
        catch (PickleFileException exception)
        {
            throw Translate(exception);
        }
    }

    public override string FileOf(SafetensorsEntry entry) => Name;

    public override void ReadFloat32(SafetensorsEntry entry, long firstElement, Span<float> destination)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(destination);
        switch (entry.Type)
        {
            case SafetensorsType.F32:
                Read(entry, firstElement, bytes);
                if (!BitConverter.IsLittleEndian)
                {
                    Span<int> words = MemoryMarshal.Cast<byte, int>(bytes);
                    BinaryPrimitives.ReverseEndianness(words, words);
                }
                break;
            case SafetensorsType.F16:
            case SafetensorsType.BF16:
                // Into the upper half, and widened from the front in place, as the engine does with safetensors.
                Span<byte> upper = bytes[(bytes.Length / 2)..];
                Read(entry, firstElement, upper);
                Span<ushort> stored = MemoryMarshal.Cast<byte, ushort>(upper);
                if (!BitConverter.IsLittleEndian)
                {
                    BinaryPrimitives.ReverseEndianness(stored, stored);
                }
                if (entry.Type == SafetensorsType.F16)
                {
                    NarrowFloats.WidenHalf(stored, destination);
                }
                else
                {
                    NarrowFloats.WidenBFloat16(stored, destination);
                }
                break;
            case SafetensorsType.F64:
                ReadNarrowed(entry, firstElement, destination);
                break;
            default:
                throw new ModelFileException(Name, $"has dtype {entry.Type}; numbers are read from F32, F16, BF16 and F64", entry.Name, entry.Offset);
        }
    }

    public override void ReadBytes(SafetensorsEntry entry, long firstByte, Span<byte> destination)
    {
        int size = entry.Type.Bits() / 8;
        (long first, long before) = Math.DivRem(firstByte, size);
        if (before == 0 && destination.Length % size == 0)
        {
            Read(entry, first, destination);
            return;
        }
        // Broken elements at an end: whole ones around them are read.
        long count = (before + destination.Length + size - 1) / size;
        byte[] whole = new byte[count * size];
        Read(entry, first, whole);
        whole.AsSpan((int)before, destination.Length).CopyTo(destination);
    }

    public override void Dispose() => file.Dispose();

    private static ModelFileException Translate(PickleFileException exception)
        => new(exception.Path, exception.Problem, exception.Item, exception.Offset, exception);

    private void ReadNarrowed(SafetensorsEntry entry, long firstElement, Span<float> destination)
    {
        const int chunkElements = 1024;
        Span<byte> chunk = stackalloc byte[chunkElements * sizeof(double)];
        for (int done = 0; done < destination.Length;)
        {
            int count = Math.Min(chunkElements, destination.Length - done);
            Read(entry, firstElement + done, chunk[..(count * sizeof(double))]);
            for (int i = 0; i < count; i++)
            {
                destination[done + i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(chunk[(i * sizeof(double))..]);
            }
            done += count;
        }
    }

    private void Read(SafetensorsEntry entry, long firstElement, Span<byte> destination)
    {
        PyTorchTensor tensor = tensors[entry.Name];
        try
        {
            if (tensor.IsContiguous)
            {
                tensor.Read(firstElement, destination);
            }
            else
            {
                lock (gate)
                {
                    ReadGathered(tensor, firstElement, destination);
                }
            }
        }
        catch (PickleFileException exception)
        {
            throw Translate(exception);
        }
    }

    private void ReadGathered(PyTorchTensor tensor, long firstElement, Span<byte> destination)
    {
        int size = tensor.Type.Size();
        long pieceElements = PieceBytes / size;
        while (!destination.IsEmpty)
        {
            long start = firstElement / pieceElements * pieceElements;
            if (piece is not { } held || held.Tensor != tensor || held.First != start)
            {
                piece = null;
                byte[] bytes = new byte[Math.Min(pieceElements, tensor.Count - start) * size];
                tensor.Read(start, bytes);
                piece = held = (tensor, start, bytes);
            }
            ReadOnlySpan<byte> found = held.Bytes.AsSpan((int)(firstElement - start) * size);
            int length = Math.Min(found.Length, destination.Length);
            found[..length].CopyTo(destination);
            destination = destination[length..];
            firstElement += length / size;
        }
    }
}
