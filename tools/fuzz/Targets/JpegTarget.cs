using System.Buffers.Binary;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native.Imaging;

namespace GroupViT.Fuzz.Targets;

/// <summary>JPEG. Segments are moved and damaged and keep a right length; coded data are damaged between them.</summary>
internal sealed class JpegTarget : PictureTarget
{
    private static readonly byte[] Markers = [0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xCC, 0xD0, 0xD7, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xE1, 0xEE, 0xFE];

    /// <summary>A marker with its segment, and the coded data that follow a scan's header.</summary>
    private sealed record Part(byte Marker, byte[] Data, byte[] Coded);

    public override string Name => "jpeg";

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(6) == 0 || Split(parent) is not { Count: > 0 } parts)
        {
            return ByteMutator.Mutate(random, parent, other, []);
        }
        for (int changes = Math.Max(1, random.Next(-2, 4)); changes > 0 && parts.Count > 0; changes--)
        {
            Change(random, parts, other);
        }
        return Join(random, parts);
    }

    protected override bool PassesHeader(byte[] input)
    {
        ReadOnlySpan<byte> frame = Frame(input);
        return frame.Length >= 9 && frame[0] == 8 && frame[5] is 1 or 3 && frame.Length == 6 + 3 * frame[5] && (frame[1] | frame[2]) != 0 && (frame[3] | frame[4]) != 0;
    }

    protected override (int Width, int Height) Size(byte[] input)
        => (BinaryPrimitives.ReadUInt16BigEndian(Frame(input)[3..]), BinaryPrimitives.ReadUInt16BigEndian(Frame(input)[1..]));

    protected override void Walk(byte[] input) => JpegFile.Parse(input, "mutant", ImageDecodeOptions.Default);

    /// <summary>The first frame header, or nothing where the segments before it cannot be followed.</summary>
    private static ReadOnlySpan<byte> Frame(ReadOnlySpan<byte> file)
    {
        for (int at = 2; file.StartsWith(JpegFile.Signature) && at + 4 <= file.Length && file[at] == 0xFF;)
        {
            if (file[at + 1] == 0xFF)
            {
                at++;
                continue;
            }
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            if (length < 2 || at + 2 + length > file.Length)
            {
                break;
            }
            if (file[at + 1] is 0xC0 or 0xC1 or 0xC2)
            {
                return file.Slice(at + 4, length - 2);
            }
            at += 2 + length;
        }
        return [];
    }

    private static void Change(Random random, List<Part> parts, byte[] other)
    {
        int at = random.Next(parts.Count), to = random.Next(parts.Count);
        Part part = parts[at];
        int scan = parts.FindIndex(p => p.Coded.Length > 0);
        int frame = parts.FindIndex(p => p.Marker is 0xC0 or 0xC1 or 0xC2);
        switch (random.Next(13))
        {
            case 0:
                parts.RemoveAt(at);
                break;
            case 1:
                parts.Insert(to, part);
                break;
            case 2:
                (parts[at], parts[to]) = (parts[to], part);
                break;
            case 3 or 4:
                parts[at] = part with { Data = ByteMutator.Mutate(random, part.Data, parts[to].Data, []) };
                break;
            case 5:
                parts[at] = part with { Marker = Markers[random.Next(Markers.Length)] };
                break;
            case 6 when frame >= 0 && parts[frame].Data.Length >= 6:
                byte[] header = [.. parts[frame].Data];
                int[] places = [0, 1, 2, 3, 4, 5, Math.Min(7, header.Length - 1), header.Length - 2];
                int place = places[random.Next(places.Length)];
                header[place] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)(header[place] + random.Next(-1, 2));
                parts[frame] = parts[frame] with { Data = header };
                break;
            case 7 or 8 when scan >= 0:
                // Single bits of the coded data, so that the codes after them fall differently.
                byte[] coded = [.. parts[scan].Coded];
                for (int flips = random.Next(1, 6); flips > 0; flips--)
                {
                    coded[random.Next(coded.Length)] ^= (byte)(1 << random.Next(8));
                }
                parts[scan] = parts[scan] with { Coded = coded };
                break;
            case 9 when part.Coded.Length > 0:
                parts[at] = part with { Coded = ByteMutator.Mutate(random, part.Coded, [], []) };
                break;
            case 10 when scan >= 0:
                byte[] restart = [0xFF, (byte)(0xD0 + random.Next(8))];
                byte[] data = parts[scan].Coded;
                int cut = random.Next(data.Length);
                parts[scan] = parts[scan] with { Coded = [.. data[..cut], .. restart, .. data[cut..]] };
                break;
            case 11:
                parts.Insert(random.Next(parts.Count), new Part(0xDD, [0, (byte)random.Next(5)], []));
                break;
            case 12 when Split(other) is { Count: > 0 } donors:
                parts.Insert(random.Next(parts.Count + 1), donors[random.Next(donors.Count)]);
                break;
        }
    }

    private static List<Part> Split(byte[] file)
    {
        List<Part> parts = [];
        for (int at = 2; at + 4 <= file.Length && file[at] == 0xFF;)
        {
            byte marker = file[at + 1];
            int end = at + 2 + BinaryPrimitives.ReadUInt16BigEndian(file.AsSpan(at + 2));
            if (marker == 0xD9 || end < at + 4 || end > file.Length)
            {
                break;
            }
            int next = end;
            while (marker == 0xDA && next < file.Length && (file[next] != 0xFF || (next + 1 < file.Length && file[next + 1] is 0 or >= 0xD0 and <= 0xD7)))
            {
                next++;
            }
            parts.Add(new Part(marker, file[(at + 4)..end], file[end..next]));
            at = next;
        }
        return parts;
    }

    private static byte[] Join(Random random, List<Part> parts)
    {
        using MemoryStream file = new();
        file.Write([0xFF, 0xD8]);
        foreach (Part part in parts)
        {
            int length = part.Data.Length + 2 + (random.Next(100) == 0 ? random.Next(-3, 4) : 0);
            file.Write([0xFF, part.Marker, (byte)(length >> 8), (byte)length]);
            file.Write(part.Data);
            file.Write(part.Coded);
        }
        if (random.Next(20) > 0)
        {
            file.Write([0xFF, 0xD9]);
        }
        return file.ToArray();
    }
}
