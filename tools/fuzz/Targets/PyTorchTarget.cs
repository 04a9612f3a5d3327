using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using GroupViT.Fuzz.Mutation;
using GroupViT.Pickle;

namespace GroupViT.Fuzz.Targets;

/// <summary>A PyTorch file: opened, and a piece of every tensor read.</summary>
internal abstract class PyTorchTarget : FuzzTarget
{
    public sealed override int FirstStagePastHeader => 1;

    public sealed override void Parse(byte[] input)
    {
        using PyTorchFile file = PyTorchFile.Open(new MemoryStream(input), "mutant");
        Span<byte> bytes = stackalloc byte[128];
        foreach (PyTorchTensor tensor in file.Tensors)
        {
            Require(tensor.Count >= 0 && tensor.Count == tensor.Shape.Aggregate(1L, (product, size) => product * size), "a tensor whose count is not its shape's product");
            int size = tensor.Type.Size(), count = (int)Math.Min(bytes.Length / size, tensor.Count);
            tensor.Read(tensor.Count - count, bytes[..(count * size)]);
        }
        Require(file.Tensors.Select(tensor => tensor.Name).Distinct(StringComparer.Ordinal).Count() == file.Tensors.Count, "a tensor's name twice");
    }

    public sealed override bool IsRefusal(Exception exception) => exception is PickleFileException;

    /// <summary>The reader's own factor, with the file for its pickles and directory; 128 KiB instead of its mebibyte, which is for nothing but fixed costs.</summary>
    public sealed override long AllocationBound(byte[] input) => (128L << 10) + (long)PyTorchFile.AllocationPerByte * input.Length;

    public sealed override string Kind(Exception refusal)
    {
        PickleFileException error = (PickleFileException)refusal;
        return error.Item is null ? error.Message : error.Message.Replace(error.Item, "", StringComparison.Ordinal);
    }
}

/// <summary>The container before PyTorch 1.6: pickles in a row and raw storages. Opcodes are damaged, mostly behind the magic number and the version.</summary>
internal sealed class PickleTarget : PyTorchTarget
{
    public override string Name => "pickle";

    public override IReadOnlyList<string> Stages { get; } = ["refused: magic number or version", "refused: pickles or storages", "accepted"];

    /// <summary>The pickles of the magic number and of the version, as PyTorch writes them.</summary>
    private static ReadOnlySpan<byte> Header => [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.', 0x80, 2, (byte)'M', 0xE9, 3, (byte)'.'];

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(6) == 0 || !parent.AsSpan().StartsWith(Header))
        {
            return ByteMutator.Mutate(random, parent, other, []);
        }
        return [.. Header, .. PickleMutator.Mutate(random, parent.AsSpan(Header.Length), other.AsSpan(Math.Min(other.Length, Header.Length)))];
    }

    public override int Stage(byte[] input, Exception? refusal) => refusal is null ? 2 : input.AsSpan().StartsWith(Header) ? 1 : 0;
}

/// <summary>The container since PyTorch 1.6: a zip of stored entries. The pickle's opcodes are damaged within it, and the archive around it.</summary>
internal sealed class PyTorchZipTarget : PyTorchTarget
{
    private static readonly string[] Names = ["archive/data.pkl", "archive/data/0", "archive/data/1", "archive/version", "archive/byteorder", "archive/../x", "data.pkl", "/etc/x", "archive\\data.pkl", "other/data/0", "archive/constants.pkl", "archive/"];

    private sealed record Entry(string Name, byte[] Data);

    public override string Name => "pytorch-zip";

    public override IReadOnlyList<string> Stages { get; } = ["refused: no archive with a data.pkl", "refused: the archive or its pickle", "accepted"];

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(5) == 0 || Read(parent) is not { Count: > 0 } entries)
        {
            // An archive's directory is at its end: damage there is damage to the header.
            return random.Next(2) == 0 ? ByteMutator.Mutate(random, parent, other, []) : [.. parent[..(parent.Length / 2)], .. ByteMutator.Mutate(random, parent.AsSpan(parent.Length / 2), other, [])];
        }
        int pickle = entries.FindIndex(e => e.Name.EndsWith("/data.pkl", StringComparison.Ordinal));
        if (pickle >= 0 && random.Next(4) > 0)
        {
            byte[] donor = Read(other)?.Find(e => e.Name.EndsWith("/data.pkl", StringComparison.Ordinal))?.Data ?? [];
            entries[pickle] = entries[pickle] with { Data = PickleMutator.Mutate(random, entries[pickle].Data, donor) };
        }
        else
        {
            ChangeEntries(random, entries);
        }
        byte[] file = Write(entries);
        if (random.Next(10) == 0)
        {
            ByteMutator.WriteInteger(random, file.AsSpan(random.Next(file.Length)));
        }
        return file;
    }

    public override int Stage(byte[] input, Exception? refusal) => refusal is null ? 2 : Read(input)?.Exists(e => e.Name.EndsWith("/data.pkl", StringComparison.Ordinal)) == true ? 1 : 0;

    private static void ChangeEntries(Random random, List<Entry> entries)
    {
        int at = random.Next(entries.Count), to = random.Next(entries.Count);
        switch (random.Next(5))
        {
            case 0:
                entries.RemoveAt(at);
                break;
            case 1:
                entries.Insert(to, entries[at]);
                break;
            case 2:
                entries[at] = entries[at] with { Name = Names[random.Next(Names.Length)] };
                break;
            case 3:
                entries[at] = entries[at] with { Data = [.. entries[at].Data.AsSpan(0, random.Next(entries[at].Data.Length + 1)), .. new byte[random.Next(3)]] };
                break;
            default:
                (entries[at], entries[to]) = (entries[to], entries[at]);
                break;
        }
    }

    /// <summary>The entries by the runtime's own reader; null where it refuses the archive.</summary>
    private static List<Entry>? Read(byte[] file)
    {
        try
        {
            using ZipArchive archive = new(new MemoryStream(file), ZipArchiveMode.Read);
            List<Entry> entries = [];
            foreach (ZipArchiveEntry entry in archive.Entries)
            {
                if (entry.Length > 1 << 16 || entries.Count == 64)
                {
                    return null;
                }
                byte[] data = new byte[entry.Length];
                using Stream stream = entry.Open();
                stream.ReadExactly(data);
                entries.Add(new Entry(entry.FullName, data));
            }
            return entries;
        }
#pragma warning disable CA1031 // Whatever the general reader says of a damaged archive means the same.
        catch (Exception)
#pragma warning restore CA1031
        {
            return null;
        }
    }

    /// <summary>Stored entries, double names and all, with right sizes and without checksums, which the reader does not compare.</summary>
    private static byte[] Write(List<Entry> entries)
    {
        using MemoryStream file = new(), directory = new();
        Span<byte> local = stackalloc byte[30], central = stackalloc byte[46], end = stackalloc byte[22];
        foreach (Entry entry in entries)
        {
            byte[] name = Encoding.UTF8.GetBytes(entry.Name);
            uint crc = Native.Imaging.Crc32.Append(0, entry.Data);
            local.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(local, 0x04034b50);
            BinaryPrimitives.WriteUInt32LittleEndian(local[14..], crc);
            BinaryPrimitives.WriteInt32LittleEndian(local[18..], entry.Data.Length);
            BinaryPrimitives.WriteInt32LittleEndian(local[22..], entry.Data.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(local[26..], (ushort)name.Length);
            central.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(central, 0x02014b50);
            BinaryPrimitives.WriteUInt32LittleEndian(central[16..], crc);
            BinaryPrimitives.WriteInt32LittleEndian(central[20..], entry.Data.Length);
            BinaryPrimitives.WriteInt32LittleEndian(central[24..], entry.Data.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(central[28..], (ushort)name.Length);
            BinaryPrimitives.WriteInt32LittleEndian(central[42..], (int)file.Length);
            file.Write(local);
            file.Write(name);
            file.Write(entry.Data);
            directory.Write(central);
            directory.Write(name);
        }
        end.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(end, 0x06054b50);
        BinaryPrimitives.WriteUInt16LittleEndian(end[8..], (ushort)entries.Count);
        BinaryPrimitives.WriteUInt16LittleEndian(end[10..], (ushort)entries.Count);
        BinaryPrimitives.WriteInt32LittleEndian(end[12..], (int)directory.Length);
        BinaryPrimitives.WriteInt32LittleEndian(end[16..], (int)file.Length);
        return [.. file.ToArray(), .. directory.ToArray(), .. end];
    }
}
