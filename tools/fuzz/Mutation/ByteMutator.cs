using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace GroupViT.Fuzz.Mutation;

/// <summary>Damage that knows nothing of the format but a few of its words.</summary>
internal static class ByteMutator
{
    private static readonly byte[] EdgeBytes = [0, 1, 0x0A, 0x20, 0x22, 0x2F, 0x5C, 0x7F, 0x80, 0xC0, 0xFE, 0xFF];

    private static readonly ulong[] EdgeIntegers =
    [
        0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 32767, 32768, 65535, 65536, 100_000_000, 100_000_001,
        int.MaxValue, 1UL << 31, uint.MaxValue, 1UL << 32, long.MaxValue, 1UL << 63, ulong.MaxValue - 7, ulong.MaxValue,
    ];

    /// <summary>One to a few changes anywhere.</summary>
    /// <param name="random">The source of chance.</param>
    /// <param name="parent">The file to damage.</param>
    /// <param name="other">A file to splice with.</param>
    /// <param name="words">Words of the format, to be written over and between; may be empty.</param>
    public static byte[] Mutate(Random random, ReadOnlySpan<byte> parent, ReadOnlySpan<byte> other, IReadOnlyList<byte[]> words)
    {
        List<byte> file = [.. parent];
        int changes = 1;
        while (changes < 8 && random.Next(2) == 0)
        {
            changes++;
        }
        for (; changes > 0 && file.Count > 0; changes--)
        {
            Change(random, file, other, words);
        }
        return [.. file];
    }

    private static void Change(Random random, List<byte> file, ReadOnlySpan<byte> other, IReadOnlyList<byte[]> words)
    {
        // Half of all changes in the first bytes, where formats keep what matters.
        int at = random.Next(random.Next(2) == 0 ? Math.Min(file.Count, 64) : file.Count);
        int length = Length(random, file.Count - at);
        switch (random.Next(13))
        {
            case 0:
                file[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                file[at] = (byte)random.Next(256);
                break;
            case 2:
                file[at] = EdgeBytes[random.Next(EdgeBytes.Length)];
                break;
            case 3:
                file[at] = (byte)(file[at] + random.Next(-3, 4));
                break;
            case 4:
                byte value = random.Next(2) == 0 ? (byte)random.Next(256) : EdgeBytes[random.Next(EdgeBytes.Length)];
                file.InsertRange(at, Enumerable.Repeat(value, Length(random, 300)));
                break;
            case 5:
                file.RemoveRange(at, length);
                break;
            case 6:
                file.InsertRange(at, file.GetRange(at, length));
                break;
            case 7:
                int target = random.Next(file.Count);
                List<byte> range = file.GetRange(at, Math.Min(length, file.Count - target));
                for (int i = 0; i < range.Count; i++)
                {
                    file[target + i] = range[i];
                }
                break;
            case 8 when random.Next(3) == 0:
                file.RemoveRange(at, file.Count - at);
                break;
            case 9 when !other.IsEmpty:
                int from = random.Next(other.Length);
                file.RemoveRange(at, random.Next(2) == 0 ? file.Count - at : length);
                file.InsertRange(at, [.. other.Slice(from, Math.Min(other.Length - from, 4096))]);
                break;
            case 10 or 11:
                WriteInteger(random, CollectionsMarshal.AsSpan(file)[at..]);
                break;
            case 12 when words.Count > 0:
                byte[] word = words[random.Next(words.Count)];
                if (random.Next(2) == 0)
                {
                    file.RemoveRange(at, Math.Min(word.Length, file.Count - at));
                }
                file.InsertRange(at, word);
                break;
        }
    }

    /// <summary>A field of 2, 4 or 8 bytes, either way round: a value at an edge, or the one that is there and a little more or less.</summary>
    public static void WriteInteger(Random random, Span<byte> at)
    {
        int width = 2 << random.Next(3);
        if (at.Length < width)
        {
            return;
        }
        Span<byte> field = at[..width];
        bool little = random.Next(2) == 0;
        ulong value = EdgeIntegers[random.Next(EdgeIntegers.Length)];
        if (random.Next(3) == 0)
        {
            ulong found = 0;
            for (int i = 0; i < width; i++)
            {
                found = (found << 8) | field[little ? width - 1 - i : i];
            }
            value = found + (ulong)random.Next(-2, 3);
        }
        Span<byte> whole = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(whole, value);
        for (int i = 0; i < width; i++)
        {
            field[little ? i : width - 1 - i] = whole[i];
        }
    }

    /// <summary>Mostly short, at least 1, at most <paramref name="most"/>.</summary>
    private static int Length(Random random, int most) => Math.Min(most, 1 + random.Next(random.Next(4) == 0 ? 300 : 8));
}
