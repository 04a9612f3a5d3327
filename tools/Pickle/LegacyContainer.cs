using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;

namespace GroupViT.Pickle;

/// <summary>
/// The container before PyTorch 1.6: five pickles (a magic number, the version, the writer's byte order and sizes, the object, the
/// storages' keys), then each storage in the order of the keys: its number of elements in 8 bytes, and its bytes.
/// </summary>
internal sealed class LegacyContainer : StorageTable
{
    private const int Version = 1001;
    private const int MostHeaderBytes = 64 * 1024;

    private static readonly BigInteger Magic = BigInteger.Parse("1950A86A20F9469CFC6C", NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private long _position;

    private LegacyContainer(ByteSource source)
        : base(source)
    {
    }

    protected override int IdLength => 6;

    /// <summary>Reads everything but the storages' values.</summary>
    public static PickleValue Read(ByteSource source)
    {
        var container = new LegacyContainer(source);
        container.ReadHeader();
        PickleValue root = container.ReadPickle("the object's pickle", PickleMachine.MostBytes, container);
        container.FindStorages();
        return root;
    }

    protected override void Locate(PyTorchStorage storage, long at)
    {
        // Its place is known when the keys have been read, behind this pickle.
    }

    private void ReadHeader()
    {
        if (ReadPickle("the magic number's pickle", MostHeaderBytes) is not PickleInteger { Value: var magic } || magic != Magic)
        {
            throw Refuse("is a pickle, but does not begin with PyTorch's magic number; only files that torch.save wrote are read", "magic number", 0);
        }
        long at = _position;
        if (ReadPickle("the version's pickle", MostHeaderBytes) is not PickleInteger { Value: var version } || version != Version)
        {
            throw Refuse($"the protocol version {Version} was expected", "protocol version", at);
        }
        at = _position;
        if (ReadPickle("the system's pickle", MostHeaderBytes) is not PickleDict system
            || !system.TryGetValue("little_endian", out PickleValue? order)
            || !order.TryGetBoolean(out bool isLittleEndian))
        {
            throw Refuse("a dict that says little_endian was expected", "system", at);
        }
        if (!isLittleEndian)
        {
            throw Refuse("was written on a big-endian machine; only little-endian files are read", "system", at);
        }
    }

    private PickleValue ReadPickle(string what, int mostBytes, StorageTable? storages = null)
    {
        var reader = new ByteReader(Source, _position, Math.Min(Source.Length, _position + mostBytes), what);
        PickleValue value = PickleMachine.Run(reader, Source.Name, storages);
        _position = reader.Position;
        return value;
    }

    private void FindStorages()
    {
        long keysAt = _position;
        if (ReadPickle("the keys' pickle", PickleMachine.MostBytes) is not PickleList { Items: var keys })
        {
            throw Refuse("a list was expected", "storage keys", keysAt);
        }
        if (keys.Count != Storages.Count)
        {
            throw Refuse($"lists {keys.Count} storages; the tensors have {Storages.Count}", "storage keys", keysAt);
        }
        Span<byte> number = stackalloc byte[sizeof(long)];
        foreach (PickleValue value in keys)
        {
            if (value is not PickleString { Value: var key } || !Storages.TryGetValue(key, out PyTorchStorage? storage))
            {
                throw Refuse($"names a storage that no tensor has ({(value is PickleString text ? text.Value : value.Kind)})", "storage keys", keysAt);
            }
            string item = $"storage {key}";
            if (storage.Offset >= 0)
            {
                throw Refuse("is listed twice", item, keysAt);
            }
            if (Source.Length - _position < sizeof(long))
            {
                throw Refuse("its length was expected here, and the file ends", item, _position);
            }
            Source.Read(_position, number);
            long count = BinaryPrimitives.ReadInt64LittleEndian(number);
            if (count != storage.Count)
            {
                throw Refuse($"has {count} elements here; the tensors say {storage.Count}", item, _position);
            }
            _position += sizeof(long);
            if (storage.ByteLength > Source.Length - _position)
            {
                throw Refuse($"has {storage.ByteLength} bytes, and the file ends after {Source.Length - _position} of them", item, _position);
            }
            storage.Offset = _position;
            _position += storage.ByteLength;
        }
        if (_position != Source.Length)
        {
            throw Refuse($"{Source.Length - _position} bytes are left behind the last storage", "end of the file", _position);
        }
    }

    private PickleFileException Refuse(string problem, string item, long at) => new(Source.Name, problem, item, at);
}
