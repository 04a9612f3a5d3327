using System.Buffers.Binary;
using System.Text;

namespace GroupViT.Tests.Pickle;

/// <summary>One entry, with whatever lies its headers are to tell.</summary>
internal sealed class ZipItem(string name, byte[] bytes)
{
    public string Name { get; set; } = name;

    public byte[] Bytes { get; set; } = bytes;

    /// <summary>The name in front of the bytes, if another than in the directory.</summary>
    public string? LocalName { get; set; }

    public ushort Method { get; set; }

    /// <summary>PyTorch's: sizes in a descriptor behind the bytes, names in UTF-8.</summary>
    public ushort Flags { get; set; } = 0x0808;

    /// <summary>The directory's claims, if others than the truth.</summary>
    public uint? Length { get; set; }

    public uint? Packed { get; set; }

    public uint? Offset { get; set; }

    /// <summary>The local header's length, if another than 0.</summary>
    public uint LocalLength { get; set; }

    /// <summary>The directory's extra field.</summary>
    public byte[] Extra { get; set; } = [];

    public ushort CommentLength { get; set; }

    public ushort Disk { get; set; }
}

/// <summary>A zip archive as PyTorch writes it, or one that lies.</summary>
internal sealed class ZipBuilder
{
    public List<ZipItem> Items { get; } = [];

    public ushort? Count { get; set; }

    public uint? DirectoryLength { get; set; }

    public uint? DirectoryOffset { get; set; }

    public bool HasZip64 { get; set; } = true;

    /// <summary>What the zip64 record claims, if another than the truth.</summary>
    public ulong? Count64 { get; set; }

    public ulong? DirectoryOffset64 { get; set; }

    public ushort Disks { get; set; }

    /// <summary>Put between the last entry and the directory.</summary>
    public byte[] Gap { get; set; } = [];

    public ZipItem this[string name] => Items.Single(item => item.Name == $"archive/{name}");

    /// <summary>A whole checkpoint: the pickle and its storages.</summary>
    public static ZipBuilder Of(byte[] pickle, params (string Key, byte[] Bytes)[] storages)
    {
        var zip = new ZipBuilder().Add("data.pkl", pickle).Add("byteorder", "little"u8.ToArray());
        foreach ((string key, byte[] bytes) in storages)
        {
            zip.Add($"data/{key}", bytes);
        }
        return zip.Add("version", "3\n"u8.ToArray());
    }

    public ZipBuilder Add(string name, byte[] bytes)
    {
        Items.Add(new ZipItem($"archive/{name}", bytes));
        return this;
    }

    public ZipBuilder With(Action<ZipBuilder> change)
    {
        change(this);
        return this;
    }

    public byte[] Build()
    {
        var file = new Bytes();
        long[] offsets = new long[Items.Count];
        for (int i = 0; i < Items.Count; i++)
        {
            ZipItem item = Items[i];
            byte[] name = Encoding.UTF8.GetBytes(item.LocalName ?? item.Name);
            offsets[i] = file.Count;
            // PyTorch fills an extra field, so that the bytes begin at a multiple of 64.
            int padding = (int)(64 - (file.Count + 30 + name.Length + 4) % 64);
            file.UInt32(0x04034b50).UInt16(0).UInt16(item.Flags).UInt16(item.Method).UInt32(0).UInt32(0).UInt32(item.LocalLength).UInt32(item.LocalLength)
                .UInt16(name.Length).UInt16(padding + 4).Raw(name).Raw("FB"u8).UInt16(padding).Raw(new byte[padding]).Raw(item.Bytes)
                .UInt32(0x08074b50).UInt32(0).UInt32((uint)item.Bytes.Length).UInt32((uint)item.Bytes.Length);
        }
        file.Raw(Gap);
        long start = file.Count;
        for (int i = 0; i < Items.Count; i++)
        {
            ZipItem item = Items[i];
            byte[] name = Encoding.UTF8.GetBytes(item.Name);
            file.UInt32(0x02014b50).UInt16(0).UInt16(0).UInt16(item.Flags).UInt16(item.Method).UInt32(0).UInt32(0)
                .UInt32(item.Packed ?? (uint)item.Bytes.Length).UInt32(item.Length ?? (uint)item.Bytes.Length)
                .UInt16(name.Length).UInt16(item.Extra.Length).UInt16(item.CommentLength).UInt16(item.Disk).UInt16(0).UInt32(0)
                .UInt32(item.Offset ?? (uint)offsets[i]).Raw(name).Raw(item.Extra).Raw(new byte[item.CommentLength]);
        }
        long end = file.Count;
        if (HasZip64)
        {
            ulong count = Count64 ?? (ulong)Items.Count;
            file.UInt32(0x06064b50).UInt64(44).UInt16(0x031e).UInt16(45).UInt32(0).UInt32(0).UInt64(count).UInt64(count)
                .UInt64((ulong)(end - start)).UInt64(DirectoryOffset64 ?? (ulong)start)
                .UInt32(0x07064b50).UInt32(0).UInt64((ulong)end).UInt32(1);
        }
        return file.UInt32(0x06054b50).UInt16(Disks).UInt16(Disks).UInt16(Count ?? Items.Count).UInt16(Count ?? Items.Count)
            .UInt32(DirectoryLength ?? (uint)(end - start)).UInt32(DirectoryOffset ?? (uint)start).UInt16(0).ToArray();
    }
}

/// <summary>Little-endian numbers one behind the other.</summary>
internal sealed class Bytes
{
    private readonly List<byte> _bytes = [];

    public long Count => _bytes.Count;

    public Bytes Raw(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public Bytes UInt16(int value) => Raw([(byte)value, (byte)(value >> 8)]);

    public Bytes UInt32(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Raw(bytes);
    }

    public Bytes UInt64(ulong value) => UInt32((uint)value).UInt32((uint)(value >> 32));

    public byte[] ToArray() => [.. _bytes];
}
