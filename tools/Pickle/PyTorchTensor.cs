using System.Buffers;

namespace GroupViT.Pickle;

/// <summary>
/// A tensor of a PyTorch file: a view of a storage, held against its bounds when the file was opened. Its values stay in the file until
/// <see cref="Read"/> asks for them; any number of threads may.
/// </summary>
public sealed class PyTorchTensor
{
    private const int WindowBytes = 1 << 20;

    private readonly PyTorchStorage _storage;
    private readonly long _offset;
    private readonly long[] _shape;
    private readonly long[] _strides;

    internal PyTorchTensor(string name, PyTorchStorage storage, long offset, long[] shape, long[] strides, long count)
    {
        Name = name;
        _storage = storage;
        _offset = offset;
        _shape = shape;
        _strides = strides;
        Count = count;
    }

    /// <summary>The name in the state dict; empty for a tensor outside it.</summary>
    public string Name { get; }

    /// <summary>Type of the elements.</summary>
    public PyTorchType Type => _storage.Type;

    /// <summary>Sizes of the axes, outermost first, at most 8; empty for a scalar. Sizes may be 0.</summary>
    public IReadOnlyList<long> Shape => _shape;

    /// <summary>Number of elements: the product of <see cref="Shape"/>, and never more than the tensor's storage has.</summary>
    public long Count { get; }

    /// <summary>Whether the elements lie in the file one behind the other in row-major order, so that reading them is copying.</summary>
    public bool IsContiguous
    {
        get
        {
            if (Count == 0)
            {
                return true;
            }
            long expected = 1;
            for (int axis = _shape.Length - 1; axis >= 0; axis--)
            {
                // The stride of an axis of size 1 is never used; PyTorch writes any number there.
                if (_shape[axis] != 1 && _strides[axis] != expected)
                {
                    return false;
                }
                expected *= _shape[axis];
            }
            return true;
        }
    }

    /// <summary>Where the tensor's first element lies in the file, in bytes from its start.</summary>
    public long FileOffset => _storage.Offset + _offset * Type.Size();

    /// <summary>
    /// Reads elements, row-major whatever the strides, each little-endian as PyTorch stored it. A contiguous tensor is read straight
    /// into <paramref name="destination"/>; another one is gathered through a window of at most 1 MiB that passes along the storage
    /// once for each call, so calls should ask for large pieces.
    /// </summary>
    /// <param name="firstElement">Index of the first element, row-major, from 0 to <see cref="Count"/>.</param>
    /// <param name="destination">Filled wholly; a whole number of elements, of <see cref="PyTorchTypes.Size"/> bytes each.</param>
    /// <exception cref="ArgumentException">Elements beyond <see cref="Count"/>, or a broken piece of one.</exception>
    /// <exception cref="PickleFileException">The file was cut since it was opened, or cannot be read.</exception>
    public void Read(long firstElement, Span<byte> destination)
    {
        int size = Type.Size();
        (long count, long rest) = Math.DivRem((long)destination.Length, size);
        if (rest != 0)
        {
            throw new ArgumentException($"{destination.Length} bytes are no whole number of {Type} elements, which have {size} bytes each", nameof(destination));
        }
        if (firstElement < 0 || firstElement > Count - count)
        {
            throw new ArgumentOutOfRangeException(nameof(firstElement), firstElement, $"{count} elements from {firstElement} on were asked for; the tensor has {Count}");
        }
        if (count == 0)
        {
            return;
        }
        if (IsContiguous)
        {
            _storage.Source.Read(FileOffset + firstElement * size, destination);
        }
        else
        {
            Gather(firstElement, (int)count, destination);
        }
    }

    internal PyTorchTensor Named(string name) => new(name, _storage, _offset, _shape, _strides, Count);

    /// <summary>Shape and bytes, for messages.</summary>
    public override string ToString() => $"{Name} {Type} [{string.Join(",", _shape)}]";

    internal long ByteLength => Count * Type.Size();

    /// <summary>
    /// Several walks over the elements asked for, each with the next window of the storage that holds any of them: reading the elements
    /// one by one in row-major order would cost a system call for each element of a transposed matrix.
    /// </summary>
    private void Gather(long firstElement, int count, Span<byte> destination)
    {
        int size = Type.Size();
        Span<long> start = stackalloc long[_shape.Length], index = stackalloc long[_shape.Length];
        long position = _offset;
        for (int axis = _shape.Length - 1; axis >= 0; axis--)
        {
            (firstElement, start[axis]) = Math.DivRem(firstElement, _shape[axis]);
            position += start[axis] * _strides[axis];
        }
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(WindowBytes, _storage.ByteLength));
        try
        {
            long capacity = buffer.Length / size;
            // The first walk has an empty window and finds only where the lowest element is.
            long low = 0, high = 0;
            while (true)
            {
                start.CopyTo(index);
                long at = position, next = long.MaxValue;
                for (int element = 0; element < count; element++)
                {
                    if (at >= low && at < high)
                    {
                        buffer.AsSpan((int)(at - low) * size, size).CopyTo(destination[(element * size)..]);
                    }
                    else if (at >= high)
                    {
                        next = Math.Min(next, at);
                    }
                    at = Step(index, at);
                }
                if (next == long.MaxValue)
                {
                    return;
                }
                low = next;
                high = Math.Min(low + capacity, _storage.Count);
                _storage.Source.Read(_storage.Offset + low * size, buffer.AsSpan(0, (int)(high - low) * size));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Moves to the next element in row-major order and returns its place in the storage.</summary>
    private long Step(Span<long> index, long at)
    {
        for (int axis = _shape.Length - 1; axis >= 0; axis--)
        {
            at += _strides[axis];
            if (++index[axis] < _shape[axis])
            {
                break;
            }
            at -= _shape[axis] * _strides[axis];
            index[axis] = 0;
        }
        return at;
    }
}
