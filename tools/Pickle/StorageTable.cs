namespace GroupViT.Pickle;

/// <summary>A run of elements in the file that tensors are views of.</summary>
internal sealed class PyTorchStorage : PickleValue
{
    public required ByteSource Source { get; init; }

    public required string Key { get; init; }

    public required PyTorchType Type { get; init; }

    /// <summary>Number of elements.</summary>
    public required long Count { get; init; }

    /// <summary>Where its first byte lies in the file; known from the start in an archive, and once all pickles are read in a legacy file.</summary>
    public long Offset { get; set; } = -1;

    /// <summary>Length in bytes; fits, as <see cref="StorageTable"/> checked.</summary>
    public long ByteLength => Count * Type.Size();

    internal override string Kind => "a storage";
}

/// <summary>The storages that a pickle names by persistent ids: <c>('storage', class, key, location, number of elements)</c>.</summary>
internal abstract class StorageTable(ByteSource source)
{
    private readonly Dictionary<string, PyTorchStorage> _storages = new(StringComparer.Ordinal);

    protected ByteSource Source => source;

    public IReadOnlyDictionary<string, PyTorchStorage> Storages => _storages;

    /// <summary>Entries of the id's tuple.</summary>
    protected abstract int IdLength { get; }

    /// <summary>The storage of an id, the same object for the same key.</summary>
    /// <param name="id">Any value that a pickle gives as an id.</param>
    /// <param name="at">Offset of the opcode, for messages.</param>
    public PyTorchStorage Resolve(PickleValue id, long at)
    {
        if (id is not PickleTuple { Items: var items } || items.Count != IdLength
            || items[0] is not PickleString { Value: "storage" }
            || items[1] is not PickleGlobal { Meaning: GlobalMeaning.Storage } type
            || items[2] is not PickleString { Value: var key }
            || items[3] is not PickleString
            || items[4] is not PickleInteger count
            || (IdLength > 5 && items[5] is not PickleNone))
        {
            throw new PickleFileException(source.Name, $"the persistent id is not ('storage', class, key, location, number of elements{(IdLength > 5 ? ", None" : "")})", "BINPERSID", at);
        }
        PyTorchType element = PickleGlobals.TypeOf(type);
        if (count.Value < 0 || count.Value > source.Length / element.Size())
        {
            throw new PickleFileException(source.Name, $"the storage is to have {count.Value} elements of {element}; the file has {source.Length} bytes", $"storage {key}", at);
        }
        long elements = (long)count.Value;
        if (!_storages.TryGetValue(key, out PyTorchStorage? storage))
        {
            storage = new PyTorchStorage { Source = source, Key = key, Type = element, Count = elements };
            Locate(storage, at);
            _storages.Add(key, storage);
        }
        else if (storage.Type != element || storage.Count != elements)
        {
            throw new PickleFileException(source.Name, $"the storage has {storage.Count} elements of {storage.Type} in one place and {elements} of {element} in another", $"storage {key}", at);
        }
        return storage;
    }

    /// <summary>Sets the storage's offset, where it is known already, and checks its length.</summary>
    protected abstract void Locate(PyTorchStorage storage, long at);
}
