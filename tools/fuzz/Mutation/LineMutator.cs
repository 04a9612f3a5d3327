namespace GroupViT.Fuzz.Mutation;

/// <summary>Damage to a text of lines with words in them.</summary>
internal static class LineMutator
{
    /// <summary>One to a few lines changed, moved, doubled or removed.</summary>
    public static byte[] Mutate(Random random, ReadOnlySpan<byte> parent, ReadOnlySpan<byte> other)
    {
        List<byte[]> lines = Split(parent), donors = Split(other);
        for (int changes = random.Next(1, 4); changes > 0 && lines.Count > 0; changes--)
        {
            int at = random.Next(lines.Count), to = random.Next(lines.Count);
            switch (random.Next(12))
            {
                case 0:
                    lines.RemoveAt(at);
                    break;
                case 1:
                    lines.Insert(to, lines[at]);
                    break;
                case 2:
                    (lines[at], lines[to]) = (lines[to], lines[at]);
                    break;
                case 3 when donors.Count > 0:
                    lines.Insert(at, donors[random.Next(donors.Count)]);
                    break;
                case 4:
                    lines[at] = ByteMutator.Mutate(random, lines[at], lines[to], []);
                    break;
                case 5:
                    lines.Insert(at, [.. Enumerable.Repeat((byte)'a', random.Next(random.Next(10) == 0 ? 6000 : 3))]);
                    break;
                case 6:
                    lines[at] = [.. lines[at], (byte)'\r'];
                    break;
                case 7:
                    // Two words of other lines make a new one.
                    lines[at] = [.. Word(lines[at], first: true), (byte)' ', .. Word(lines[to], first: false)];
                    break;
                case 8:
                    lines.RemoveRange(at, lines.Count - at);
                    break;
                case 9:
                    lines.Insert(at, []);
                    break;
                case 10:
                    lines[at] = [.. Word(lines[at], first: random.Next(2) == 0), (byte)' ', .. "</w>"u8];
                    break;
                case 11:
                    lines.AddRange(Enumerable.Repeat(Array.Empty<byte>(), random.Next(1, 4)));
                    break;
            }
        }
        using MemoryStream text = new();
        for (int i = 0; i < lines.Count; i++)
        {
            text.Write(lines[i]);
            if (i < lines.Count - 1 || random.Next(8) > 0)
            {
                text.WriteByte((byte)'\n');
            }
        }
        return text.ToArray();
    }

    private static byte[] Word(byte[] line, bool first)
    {
        int space = Array.IndexOf(line, (byte)' ');
        return space < 0 ? line : first ? line[..space] : line[(space + 1)..];
    }

    private static List<byte[]> Split(ReadOnlySpan<byte> text)
    {
        List<byte[]> lines = [];
        foreach (Range range in text.Split((byte)'\n'))
        {
            lines.Add(text[range].ToArray());
        }
        if (lines.Count > 0 && lines[^1].Length == 0)
        {
            lines.RemoveAt(lines.Count - 1);
        }
        return lines;
    }
}
