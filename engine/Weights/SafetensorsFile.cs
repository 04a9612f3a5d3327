using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace GroupViT.Native.Weights;

/// <summary>
/// A safetensors file open for reading. The whole header is checked on opening (<see cref="SafetensorsHeader"/>); tensors are
/// read where they are asked for, into the caller's memory. Any number of threads may read at once.
/// </summary>
internal sealed class SafetensorsFile : WeightsSource
{
    private const int ChunkElements = 1024;

    private readonly ByteSource _source;

    private SafetensorsFile(ByteSource source)
    {
        _source = source;
        SafetensorsHeader header = SafetensorsHeader.Read(source);
        Tensors = header.Tensors;
        Metadata = header.Metadata;
        HeaderLength = header.Length;
    }

    /// <summary>The file as the user named it.</summary>
    public override string Name => _source.Name;

    /// <summary>Length of the file in bytes.</summary>
    public override long Length => _source.Length;

    /// <summary>Length of the header in bytes, without the eight that hold it.</summary>
    public int HeaderLength { get; }

    public override IReadOnlyDictionary<string, SafetensorsEntry> Tensors { get; }

    public override IReadOnlyDictionary<string, string> Metadata { get; }

    /// <exception cref="ModelFileException">There is no such file, it may not be read, or it is no valid safetensors file.</exception>
    public static SafetensorsFile Open(string path) => Open(ByteSource.OpenFile(path));

    /// <summary>Reads the whole stream, from its byte 0 to its end, whatever its position.</summary>
    /// <param name="seekable">The stream; closed by <see cref="Dispose"/> unless <paramref name="leaveOpen"/>.</param>
    /// <param name="name">What messages call the file.</param>
    /// <param name="leaveOpen">Whether the stream stays the caller's.</param>
    public static SafetensorsFile Open(Stream seekable, string name, bool leaveOpen = false) => Open(ByteSource.FromStream(seekable, name, leaveOpen));

    public override string FileOf(SafetensorsEntry entry) => Name;

    public override void ReadFloat32(SafetensorsEntry entry, long firstElement, Span<float> destination)
    {
        CheckRange(entry, firstElement, destination.Length, entry.ElementCount);
        switch (entry.Type)
        {
            case SafetensorsType.F32:
                Span<byte> bytes = MemoryMarshal.AsBytes(destination);
                _source.Read(entry.Offset + firstElement * sizeof(float), bytes);
                if (!BitConverter.IsLittleEndian)
                {
                    Span<int> words = MemoryMarshal.Cast<byte, int>(bytes);
                    BinaryPrimitives.ReverseEndianness(words, words);
                }
                break;
            case SafetensorsType.F16:
            case SafetensorsType.BF16:
                ReadWidened(entry, firstElement, destination);
                break;
            case SafetensorsType.F64:
                ReadNarrowed(entry, firstElement, destination);
                break;
            default:
                throw new ModelFileException(Name, $"has dtype {entry.Type}; numbers are read from F32, F16, BF16 and F64", entry.Name, entry.Offset);
        }
    }

    /// <summary>Reads elements of dtype I32 or I64 as 32-bit integers.</summary>
    /// <exception cref="ModelFileException">Another dtype, or a value outside 32 bits.</exception>
    public void ReadInt32(SafetensorsEntry entry, long firstElement, Span<int> destination)
    {
        CheckRange(entry, firstElement, destination.Length, entry.ElementCount);
        if (entry.Type == SafetensorsType.I32)
        {
            _source.Read(entry.Offset + firstElement * sizeof(int), MemoryMarshal.AsBytes(destination));
            if (!BitConverter.IsLittleEndian)
            {
                BinaryPrimitives.ReverseEndianness(destination, destination);
            }
            return;
        }
        if (entry.Type != SafetensorsType.I64)
        {
            throw new ModelFileException(Name, $"has dtype {entry.Type}; whole numbers are read from I32 and I64", entry.Name, entry.Offset);
        }
        Span<byte> chunk = stackalloc byte[ChunkElements * sizeof(long)];
        for (int done = 0; done < destination.Length;)
        {
            int count = Math.Min(ChunkElements, destination.Length - done);
            long offset = entry.Offset + (firstElement + done) * sizeof(long);
            _source.Read(offset, chunk[..(count * sizeof(long))]);
            for (int i = 0; i < count; i++)
            {
                long value = BinaryPrimitives.ReadInt64LittleEndian(chunk[(i * sizeof(long))..]);
                destination[done + i] = value is >= int.MinValue and <= int.MaxValue
                    ? (int)value
                    : throw new ModelFileException(Name, $"element {firstElement + done + i} is {value}, which does not fit 32 bits", entry.Name, offset + i * sizeof(long));
            }
            done += count;
        }
    }

    public override void ReadBytes(SafetensorsEntry entry, long firstByte, Span<byte> destination)
    {
        CheckRange(entry, firstByte, destination.Length, entry.ByteLength);
        _source.Read(entry.Offset + firstByte, destination);
    }

    public override void Dispose() => _source.Dispose();

    private static SafetensorsFile Open(ByteSource source)
    {
        try
        {
            return new SafetensorsFile(source);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    private static void CheckRange(SafetensorsEntry entry, long first, int count, long available)
    {
        if (first < 0 || first > available - count)
        {
            throw new ArgumentOutOfRangeException(nameof(first), first, $"{count} from {first} on do not lie within the {available} of {entry.Name}");
        }
    }

    /// <summary>
    /// Two-byte types need no second buffer: they are read into the upper half of the destination and widened in place from the
    /// front. Element i is written over stored elements 2i-n and 2i-n+1, neither above i, so nothing unread is lost.
    /// </summary>
    private void ReadWidened(SafetensorsEntry entry, long firstElement, Span<float> destination)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(destination);
        Span<byte> upper = bytes[(bytes.Length / 2)..];
        _source.Read(entry.Offset + firstElement * sizeof(ushort), upper);
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
    }

    private void ReadNarrowed(SafetensorsEntry entry, long firstElement, Span<float> destination)
    {
        Span<byte> chunk = stackalloc byte[ChunkElements * sizeof(double)];
        for (int done = 0; done < destination.Length;)
        {
            int count = Math.Min(ChunkElements, destination.Length - done);
            _source.Read(entry.Offset + (firstElement + done) * sizeof(double), chunk[..(count * sizeof(double))]);
            for (int i = 0; i < count; i++)
            {
                destination[done + i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(chunk[(i * sizeof(double))..]);
            }
            done += count;
        }
    }
}
