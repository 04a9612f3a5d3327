namespace GroupViT.Pickle;

/// <summary>The container of PyTorch 1.6 and later: <c>data.pkl</c> beside one stored entry for each storage.</summary>
internal sealed class ZipContainer : StorageTable
{
    private const int MostSmallEntryBytes = 32;

    // What PyTorch's own reader takes (kMinSupportedFileFormatVersion to kMaxSupportedFileFormatVersion).
    private const int NewestVersion = 10;

    private readonly StoredZip _zip;

    private ZipContainer(ByteSource source, StoredZip zip)
        : base(source) => _zip = zip;

    protected override int IdLength => 5;

    /// <summary>Reads everything but the storages' values.</summary>
    public static PickleValue Read(ByteSource source)
    {
        var zip = StoredZip.Read(source);
        var container = new ZipContainer(source, zip);
        container.CheckKind();
        StoredEntry pickle = container.Entry("data.pkl");
        if (pickle.Length > PickleMachine.MostBytes)
        {
            throw new PickleFileException(source.Name, $"has {pickle.Length} bytes; no checkpoint's has more than {PickleMachine.MostBytes}", $"{zip.Folder}/data.pkl", pickle.Offset);
        }
        var reader = new ByteReader(source, pickle.Offset, pickle.Offset + pickle.Length, "the pickle");
        PickleValue root = PickleMachine.Run(reader, source.Name, container);
        return reader.Remaining == 0
            ? root
            : throw new PickleFileException(source.Name, $"{reader.Remaining} bytes are left behind the pickle's end", $"{zip.Folder}/data.pkl", reader.Position);
    }

    protected override void Locate(PyTorchStorage storage, long at)
    {
        string name = $"data/{storage.Key}";
        if (!_zip.Entries.TryGetValue(name, out StoredEntry? entry))
        {
            throw new PickleFileException(Source.Name, "a tensor lies in this entry, and the archive has none of that name", $"{_zip.Folder}/{name}", at);
        }
        if (entry.Length != storage.ByteLength)
        {
            throw new PickleFileException(Source.Name, $"has {entry.Length} bytes; its {storage.Count} elements of {storage.Type} make {storage.ByteLength}", $"{_zip.Folder}/{name}", entry.Offset);
        }
        storage.Offset = entry.Offset;
    }

    private void CheckKind()
    {
        if (_zip.Entries.ContainsKey("constants.pkl"))
        {
            throw new PickleFileException(Source.Name, "is a TorchScript program, not a checkpoint; save its state_dict() with torch.save", $"{_zip.Folder}/constants.pkl");
        }
        StoredEntry version = _zip.Entries.TryGetValue("version", out StoredEntry? old) ? old : Entry(".data/version");
        string text = Text(version);
        if (!int.TryParse(text, System.Globalization.NumberStyles.None, null, out int number) || number is < 1 or > NewestVersion)
        {
            throw new PickleFileException(Source.Name, $"says '{text}'; a version from 1 to {NewestVersion} was expected", $"{_zip.Folder}/{version.Name}", version.Offset);
        }
        // Written since PyTorch 2.1; without it the bytes are little-endian.
        if (_zip.Entries.TryGetValue("byteorder", out StoredEntry? order) && Text(order) is var said and not "little")
        {
            throw new PickleFileException(Source.Name, $"says '{said}'; only 'little' is read", $"{_zip.Folder}/byteorder", order.Offset);
        }
    }

    private StoredEntry Entry(string name)
        => _zip.Entries.TryGetValue(name, out StoredEntry? entry)
            ? entry
            : throw new PickleFileException(Source.Name, "is not in the archive, so PyTorch did not write it", $"{_zip.Folder}/{name}");

    private string Text(StoredEntry entry)
    {
        if (entry.Length > MostSmallEntryBytes)
        {
            throw new PickleFileException(Source.Name, $"has {entry.Length} bytes; a word was expected", $"{_zip.Folder}/{entry.Name}", entry.Offset);
        }
        Span<byte> bytes = stackalloc byte[(int)entry.Length];
        Source.Read(entry.Offset, bytes);
        return System.Text.Encoding.ASCII.GetString(bytes).TrimEnd('\n');
    }
}
