using System.Buffers.Binary;
using System.Text;

namespace GroupViT.Pickle;

/// <summary>One entry of an archive, with the place of its bytes already checked.</summary>
/// <param name="Name">Name below the archive's one folder ("data.pkl", "data/0").</param>
/// <param name="HeaderOffset">Where its local header begins in the file.</param>
/// <param name="Offset">Where its bytes begin.</param>
/// <param name="Length">How many there are.</param>
internal sealed record StoredEntry(string Name, long HeaderOffset, long Offset, long Length);

/// <summary>
/// The directory of a zip archive as PyTorch writes it, read by code of its own because a general reader forgives what must not be
/// forgiven here: entries are stored, not deflated; all lie in one folder, under names that are unique and lead nowhere else; no two
/// share a byte; every size holds in both headers and against the file. What is read is bounded by the directory's length, never by a
/// number that stands in it. Checksums are not compared: PyTorch may be told to leave them out (<c>set_crc32_options</c>).
/// </summary>
internal sealed class StoredZip
{
    /// <summary>Some 100 bytes for each storage; above this a directory is none of a checkpoint.</summary>
    public const int MostDirectoryBytes = 64 << 20;

    private const int EndLength = 22, End64Length = 56, LocatorLength = 20, CentralLength = 46, LocalLength = 30;
    private const uint EndSignature = 0x06054b50, End64Signature = 0x06064b50, LocatorSignature = 0x07064b50, CentralSignature = 0x02014b50, LocalSignature = 0x04034b50;
    private const int MostNameBytes = 512;
    private const ushort DescriptorFlag = 1 << 3, Utf8Flag = 1 << 11;
    private const ushort HarmlessFlags = DescriptorFlag | Utf8Flag | (1 << 1) | (1 << 2);

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ByteSource _source;
    private readonly Dictionary<string, StoredEntry> _entries = new(StringComparer.Ordinal);
    private long _directoryStart, _directoryEnd;
    private long _count;

    private StoredZip(ByteSource source) => _source = source;

    /// <summary>The one folder that all entries lie in.</summary>
    public string Folder { get; private set; } = "";

    public IReadOnlyDictionary<string, StoredEntry> Entries => _entries;

    /// <exception cref="PickleFileException">Any way in which the file is not such an archive.</exception>
    public static StoredZip Read(ByteSource source)
    {
        var zip = new StoredZip(source);
        zip.FindDirectory();
        zip.ReadDirectory();
        zip.CheckOverlaps();
        return zip;
    }

    private void FindDirectory()
    {
        const string item = "end of the archive's directory";
        long at = _source.Length - EndLength;
        Span<byte> end = stackalloc byte[EndLength];
        if (at < LocalLength)
        {
            throw Refuse("the file is too short for an archive", item, 0);
        }
        _source.Read(at, end);
        if (UInt32(end, 0) != EndSignature || UInt16(end, 20) != 0)
        {
            throw Refuse("the record that ends an archive was expected here: the file was cut, or something was put behind it", item, at);
        }
        if (UInt16(end, 4) is not (0 or ushort.MaxValue) || UInt16(end, 6) is not (0 or ushort.MaxValue))
        {
            throw Refuse("says that the archive has several parts", item, at);
        }
        ulong here = UInt16(end, 8), count = UInt16(end, 10), length = UInt32(end, 12), start = UInt32(end, 16);
        long directoryEnd = at;
        Span<byte> locator = stackalloc byte[LocatorLength];
        if (at >= LocatorLength + End64Length + LocalLength)
        {
            _source.Read(at - LocatorLength, locator);
            if (UInt32(locator, 0) == LocatorSignature)
            {
                directoryEnd = at - LocatorLength - End64Length;
                ReadEnd64(locator, directoryEnd, ref here, ref count, ref length, ref start);
            }
        }
        if (here != count || start > (ulong)directoryEnd || length != (ulong)directoryEnd - start)
        {
            throw Refuse($"says that {here} of {count} entries are in {length} bytes from byte {start}; the directory must end at byte {directoryEnd}", item, at);
        }
        if (length > MostDirectoryBytes)
        {
            throw Refuse($"the directory has {length} bytes; no checkpoint's has more than {MostDirectoryBytes}", item, at);
        }
        if (count > length / CentralLength)
        {
            throw Refuse($"says {count} entries, which {length} bytes cannot hold", item, at);
        }
        (_directoryStart, _directoryEnd, _count) = ((long)start, directoryEnd, (long)count);
    }

    private void ReadEnd64(ReadOnlySpan<byte> locator, long at, ref ulong here, ref ulong count, ref ulong length, ref ulong start)
    {
        const string item = "zip64 end of the archive's directory";
        Span<byte> end = stackalloc byte[End64Length];
        _source.Read(at, end);
        if (UInt64(locator, 8) != (ulong)at || UInt32(end, 0) != End64Signature || UInt64(end, 4) != End64Length - 12)
        {
            throw Refuse($"the zip64 record was expected here; its locator says byte {UInt64(locator, 8)}", item, at);
        }
        if (UInt32(locator, 4) != 0 || UInt32(locator, 16) > 1 || UInt32(end, 16) != 0 || UInt32(end, 20) != 0)
        {
            throw Refuse("says that the archive has several parts", item, at);
        }
        here = Wide(here, ushort.MaxValue, UInt64(end, 24));
        count = Wide(count, ushort.MaxValue, UInt64(end, 32));
        length = Wide(length, uint.MaxValue, UInt64(end, 40));
        start = Wide(start, uint.MaxValue, UInt64(end, 48));

        // Where the narrow field is not all ones, both records speak, and must say the same.
        ulong Wide(ulong narrow, ulong escape, ulong wide)
            => narrow == escape || narrow == wide ? wide : throw Refuse($"says {wide} where the plain record says {narrow}", item, at);
    }

    private void ReadDirectory()
    {
        const string item = "archive's directory";
        var reader = new ByteReader(_source, _directoryStart, _directoryEnd, "the directory");
        Span<byte> header = stackalloc byte[CentralLength];
        for (long i = 0; i < _count; i++)
        {
            long at = reader.Position;
            reader.Read(header, item);
            if (UInt32(header, 0) != CentralSignature)
            {
                throw Refuse($"entry {i} of {_count} was expected here", item, at);
            }
            int nameLength = UInt16(header, 28), extraLength = UInt16(header, 30), commentLength = UInt16(header, 32);
            string name = ReadName(reader, nameLength, at);
            ulong packed = UInt32(header, 20), length = UInt32(header, 24), offset = UInt32(header, 42);
            byte[] extra = reader.ReadBytes((ulong)extraLength, name);
            ReadExtra64(extra, ref length, ref packed, ref offset, name, at);
            if (commentLength != 0)
            {
                throw Refuse("has a comment, which PyTorch does not write", name, at);
            }
            CheckFlags(UInt16(header, 8), UInt16(header, 10), name, at);
            if (packed != length)
            {
                throw Refuse($"is stored, but {packed} bytes are to become {length}", name, at);
            }
            if (UInt16(header, 34) != 0)
            {
                throw Refuse("lies in another part of the archive", name, at);
            }
            long headerOffset = offset <= (ulong)_directoryStart ? (long)offset : throw Refuse($"begins at byte {offset}, behind the last entry's place", name, at);
            Add(name, headerOffset, ReadLocal(name, nameLength, headerOffset, length), length, at);
        }
        if (reader.Remaining != 0)
        {
            throw Refuse($"{reader.Remaining} bytes of the directory are left behind its {_count} entries", item, reader.Position);
        }
    }

    private string ReadName(ByteReader reader, int length, long at)
    {
        if (length is 0 or > MostNameBytes)
        {
            throw Refuse($"an entry has a name of {length} bytes; 1 to {MostNameBytes} were expected", "archive's directory", at);
        }
        string name = reader.ReadUtf8((ulong)length, "archive's directory");
        string[] parts = name.Split('/');
        if (name.Contains('\\', StringComparison.Ordinal) || name.Any(char.IsControl) || parts.Any(part => part is "" or "." or ".."))
        {
            throw Refuse("is a name that may lead out of the archive", name, at);
        }
        if (parts.Length < 2)
        {
            throw Refuse("lies in no folder; PyTorch puts all entries into one", name, at);
        }
        if (_entries.Count == 0)
        {
            Folder = parts[0];
        }
        else if (parts[0] != Folder)
        {
            throw Refuse($"lies in another folder than the entries before it ({Folder})", name, at);
        }
        return name;
    }

    /// <summary>The wide values of those fields that are all ones, in the order the format gives them.</summary>
    private void ReadExtra64(ReadOnlySpan<byte> extra, ref ulong length, ref ulong packed, ref ulong offset, string name, long at)
    {
        while (extra.Length >= 4)
        {
            int id = UInt16(extra, 0), fieldLength = UInt16(extra, 2);
            extra = extra[4..];
            if (fieldLength > extra.Length)
            {
                throw Refuse($"has an extra field of {fieldLength} bytes in {extra.Length}", name, at);
            }
            ReadOnlySpan<byte> field = extra[..fieldLength];
            extra = extra[fieldLength..];
            if (id != 1)
            {
                continue;
            }
            length = Wide(length, ref field);
            packed = Wide(packed, ref field);
            offset = Wide(offset, ref field);
        }
        if (length == uint.MaxValue || packed == uint.MaxValue || offset == uint.MaxValue)
        {
            throw Refuse("refers to a zip64 field that is not there", name, at);
        }

        ulong Wide(ulong narrow, ref ReadOnlySpan<byte> field)
        {
            if (narrow != uint.MaxValue)
            {
                return narrow;
            }
            if (field.Length < sizeof(ulong))
            {
                throw Refuse("has a zip64 field that is too short", name, at);
            }
            ulong wide = UInt64(field, 0);
            field = field[sizeof(ulong)..];
            return wide;
        }
    }

    /// <summary>Checks the header in front of an entry's bytes, and returns where these begin.</summary>
    private long ReadLocal(string name, int nameLength, long at, ulong length)
    {
        Span<byte> header = stackalloc byte[LocalLength + MostNameBytes];
        header = header[..(LocalLength + nameLength)];
        if (at > _directoryStart - header.Length)
        {
            throw Refuse("begins too late to have a header before the directory", name, at);
        }
        _source.Read(at, header);
        if (UInt32(header, 0) != LocalSignature)
        {
            throw Refuse("the entry's header was expected here", name, at);
        }
        CheckFlags(UInt16(header, 6), UInt16(header, 8), name, at);
        if (UInt16(header, 26) != nameLength || !header[LocalLength..].SequenceEqual(StrictUtf8.GetBytes(name)))
        {
            throw Refuse("has another name in front of its bytes than in the directory", name, at);
        }
        ulong packed = UInt32(header, 18), plain = UInt32(header, 22);
        // Zero where a descriptor behind the bytes has the sizes, all ones where a zip64 field has them; the directory's count either way.
        bool mayBeZero = (UInt16(header, 6) & DescriptorFlag) != 0;
        if (!Agrees(packed) || !Agrees(plain))
        {
            throw Refuse($"has {plain} bytes by its own header and {length} by the directory", name, at);
        }
        long offset = at + LocalLength + nameLength + UInt16(header, 28);
        if (offset > _directoryStart || length > (ulong)(_directoryStart - offset))
        {
            throw Refuse($"has {length} bytes from byte {offset}, and the directory begins at byte {_directoryStart}", name, at);
        }
        return offset;

        bool Agrees(ulong size) => size == length || size == uint.MaxValue || (mayBeZero && size == 0);
    }

    private void CheckFlags(ushort flags, ushort method, string name, long at)
    {
        if (method != 0)
        {
            throw Refuse($"is compressed (method {method}); PyTorch stores its entries as they are", name, at);
        }
        if ((flags & ~HarmlessFlags) != 0)
        {
            throw Refuse($"is encrypted or patched (flags 0x{flags:x4})", name, at);
        }
    }

    private void Add(string name, long headerOffset, long offset, ulong length, long at)
    {
        var entry = new StoredEntry(name[(Folder.Length + 1)..], headerOffset, offset, (long)length);
        if (!_entries.TryAdd(entry.Name, entry))
        {
            throw Refuse("is there twice", name, at);
        }
    }

    private void CheckOverlaps()
    {
        StoredEntry[] sorted = [.. _entries.Values];
        Array.Sort(sorted, (a, b) => a.HeaderOffset.CompareTo(b.HeaderOffset));
        for (int i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].HeaderOffset < sorted[i - 1].Offset + sorted[i - 1].Length)
            {
                throw Refuse($"overlaps {Folder}/{sorted[i - 1].Name}", $"{Folder}/{sorted[i].Name}", sorted[i].HeaderOffset);
            }
        }
    }

    private PickleFileException Refuse(string problem, string item, long at) => new(_source.Name, problem, item, at);

    private static ushort UInt16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong UInt64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
}
