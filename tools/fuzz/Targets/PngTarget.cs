using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native.Imaging;

namespace GroupViT.Fuzz.Targets;

/// <summary>PNG. Chunks are moved and damaged and given right checksums again; scanlines are damaged unpacked.</summary>
internal sealed class PngTarget : PictureTarget
{
    private static readonly string[] ChunkTypes = ["IHDR", "PLTE", "tRNS", "eXIf", "IDAT", "IEND", "tEXt", "gAMA", "iCCP", "acTL", "ABCD"];

    private sealed record Chunk(string Type, byte[] Data);

    public override string Name => "png";

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(6) == 0 || Split(parent) is not { Count: > 0 } chunks)
        {
            return ByteMutator.Mutate(random, parent, other, []);
        }
        for (int changes = Math.Max(1, random.Next(-2, 4)); changes > 0 && chunks.Count > 0; changes--)
        {
            Change(random, chunks, other);
        }
        byte[] file = Join(chunks);
        if (random.Next(12) == 0 && file.Length > 8)
        {
            // A checksum or a length that is wrong after all.
            file[random.Next(8, file.Length)] ^= (byte)(1 << random.Next(8));
        }
        return file;
    }

    protected override bool PassesHeader(byte[] input)
    {
        ReadOnlySpan<byte> file = input;
        if (file.Length < 33 || !file.StartsWith(PngFile.Signature) || !file.Slice(8, 8).SequenceEqual("\0\0\0\x0DIHDR"u8) || BinaryPrimitives.ReadUInt32BigEndian(file[29..]) != Checksum(file.Slice(12, 17)))
        {
            return false;
        }
        uint width = BinaryPrimitives.ReadUInt32BigEndian(file[16..]), height = BinaryPrimitives.ReadUInt32BigEndian(file[20..]);
        bool kind = (file[25], file[24]) is (0, 1 or 2 or 4 or 8 or 16) or (3, 1 or 2 or 4 or 8) or (2 or 4 or 6, 8 or 16);
        return kind && width is > 0 and <= 32768 && height is > 0 and <= 32768 && (ulong)width * height <= 64UL << 20 && file[26] == 0 && file[27] == 0 && file[28] <= 1;
    }

    protected override (int Width, int Height) Size(byte[] input) => (BinaryPrimitives.ReadInt32BigEndian(input.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(input.AsSpan(20)));

    protected override void Walk(byte[] input) => PngFile.Parse(input, "mutant", ImageDecodeOptions.Default);

    private static void Change(Random random, List<Chunk> chunks, byte[] other)
    {
        int at = random.Next(chunks.Count), to = random.Next(chunks.Count);
        Chunk chunk = chunks[at];
        switch (random.Next(12))
        {
            case 0:
                chunks.RemoveAt(at);
                break;
            case 1:
                chunks.Insert(to, chunk);
                break;
            case 2:
                (chunks[at], chunks[to]) = (chunks[to], chunk);
                break;
            case 3:
                chunks[at] = chunk with { Data = ByteMutator.Mutate(random, chunk.Data, chunks[to].Data, []) };
                break;
            case 4:
                chunks.Insert(random.Next(1, chunks.Count + 1), new Chunk(ChunkTypes[random.Next(ChunkTypes.Length)], Bytes(random, random.Next(40))));
                break;
            case 5 or 6 when chunks[0] is { Type: "IHDR", Data.Length: 13 }:
                chunks[0] = new Chunk("IHDR", OtherHeader(random, chunks[0].Data));
                break;
            case 7 or 8 or 9:
                ChangeScanlines(random, chunks);
                break;
            case 10 when chunk.Data.Length > 1:
                int cut = random.Next(chunk.Data.Length);
                chunks[at] = chunk with { Data = chunk.Data[..cut] };
                chunks.Insert(at + 1, chunk with { Data = chunk.Data[cut..] });
                break;
            case 11 when Split(other) is { Count: > 0 } donors:
                chunks.Insert(random.Next(1, chunks.Count + 1), donors[random.Next(donors.Count)]);
                break;
        }
    }

    private static byte[] OtherHeader(Random random, byte[] header)
    {
        byte[] changed = [.. header];
        int[] sizes = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 1000, 32768, 32769, int.MaxValue, int.MinValue, -1];
        switch (random.Next(5))
        {
            case 0:
                BinaryPrimitives.WriteInt32BigEndian(changed.AsSpan(random.Next(2) * 4), sizes[random.Next(sizes.Length)]);
                break;
            case 1:
                int side = random.Next(2) * 4;
                BinaryPrimitives.WriteInt32BigEndian(changed.AsSpan(side), BinaryPrimitives.ReadInt32BigEndian(changed.AsSpan(side)) + random.Next(-2, 3));
                break;
            case 2:
                changed[8] = (byte)(1 << random.Next(6));
                break;
            case 3:
                changed[9] = (byte)random.Next(8);
                break;
            default:
                changed[12] ^= 1;
                break;
        }
        return changed;
    }

    /// <summary>Unpacks the data, damages it (a row's first byte is its filter), packs it into one chunk or two.</summary>
    private static void ChangeScanlines(Random random, List<Chunk> chunks)
    {
        int first = chunks.FindIndex(c => c.Type == "IDAT");
        if (first < 0)
        {
            return;
        }
        using MemoryStream raw = new();
        try
        {
            using ZLibStream unpack = new(new MemoryStream([.. chunks.Where(c => c.Type == "IDAT").SelectMany(c => c.Data)]), CompressionMode.Decompress);
            byte[] buffer = new byte[4096];
            for (int read; (read = unpack.Read(buffer)) > 0 && raw.Length < 1 << 20;)
            {
                raw.Write(buffer, 0, read);
            }
        }
        catch (Exception error) when (error is InvalidDataException or IOException)
        {
            // Damaged by an earlier mutation; what came before it goes on.
        }
        byte[] rows = raw.ToArray();
        if (random.Next(3) == 0)
        {
            rows = ByteMutator.Mutate(random, rows, [], []);
        }
        for (int i = random.Next(6); i > 0 && rows.Length > 0; i--)
        {
            rows[random.Next(rows.Length)] = (byte)random.Next(6);
        }
        using MemoryStream packed = new();
        using (ZLibStream pack = new(packed, CompressionLevel.Fastest))
        {
            pack.Write(rows);
        }
        chunks.RemoveAll(c => c.Type == "IDAT");
        chunks.Insert(Math.Min(first, chunks.Count), new Chunk("IDAT", packed.ToArray()));
    }

    private static List<Chunk> Split(byte[] file)
    {
        List<Chunk> chunks = [];
        for (int at = 8; file.Length - at >= 12;)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at));
            if (length > file.Length - at - 12)
            {
                break;
            }
            chunks.Add(new Chunk(Encoding.Latin1.GetString(file, at + 4, 4), file[(at + 8)..(at + 8 + (int)length)]));
            at += 12 + (int)length;
        }
        return chunks;
    }

    private static byte[] Join(List<Chunk> chunks)
    {
        using MemoryStream file = new();
        file.Write(PngFile.Signature);
        Span<byte> word = stackalloc byte[4];
        foreach (Chunk chunk in chunks)
        {
            byte[] body = [.. Encoding.Latin1.GetBytes(chunk.Type), .. chunk.Data];
            BinaryPrimitives.WriteInt32BigEndian(word, chunk.Data.Length);
            file.Write(word);
            file.Write(body);
            BinaryPrimitives.WriteUInt32BigEndian(word, Checksum(body));
            file.Write(word);
        }
        return file.ToArray();
    }

    private static byte[] Bytes(Random random, int count)
    {
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes) => Crc32.Append(0, bytes);
}
