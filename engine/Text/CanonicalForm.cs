using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace GroupViT.Native.Text;

/// <summary>
/// Unicode normalization form C (UAX #15) from a table of our own: <see cref="string.Normalize()"/> returns its input
/// unchanged in invariant-globalization mode and follows the machine's ICU otherwise, and token ids may depend on neither.
/// </summary>
internal static class CanonicalForm
{
    // Hangul syllables are composed by arithmetic (Unicode chapter 3.12).
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TailBase = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TailCount = 28, SyllableCount = LeadCount * VowelCount * TailCount;

    private static readonly Tables Data = Tables.Read();

    /// <summary>The canonical composition of <paramref name="text"/>. Lone surrogates become U+FFFD.</summary>
    public static string Compose(string text)
    {
        // Below U+0300 every character is its own composition and none is combining.
        if (!text.AsSpan().ContainsAnyExceptInRange('\0', '\u02FF'))
        {
            return text;
        }
        var runes = new List<int>(text.Length + 8);
        foreach (Rune rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, runes);
        }
        Reorder(runes);
        Recombine(runes);
        var result = new StringBuilder(runes.Count);
        foreach (int value in runes)
        {
            AppendRune(result, value);
        }
        return result.ToString();
    }

    /// <summary>The narrow form of a full- or half-width character, or null for any other.</summary>
    public static string? Narrow(char c) => Data.Narrow.GetValueOrDefault(c);

    internal static void AppendRune(StringBuilder target, int value)
    {
        Span<char> units = stackalloc char[2];
        target.Append(units[..new Rune(value).EncodeToUtf16(units)]);
    }

    private static void Decompose(int value, List<int> target)
    {
        int syllable = value - SyllableBase;
        if ((uint)syllable < SyllableCount)
        {
            target.Add(LeadBase + (syllable / (VowelCount * TailCount)));
            target.Add(VowelBase + (syllable % (VowelCount * TailCount) / TailCount));
            if (syllable % TailCount != 0)
            {
                target.Add(TailBase + (syllable % TailCount));
            }
        }
        else if (Data.Decompositions.TryGetValue(value, out int[]? parts))
        {
            foreach (int part in parts)
            {
                Decompose(part, target);
            }
        }
        else
        {
            target.Add(value);
        }
    }

    // Each run of combining marks is sorted by class, marks of one class keeping their order. A library sort, because
    // a run may be as long as the text and insertion would be quadratic.
    private static void Reorder(List<int> runes)
    {
        for (int start = 0; start < runes.Count; start++)
        {
            if (Class(runes[start]) == 0)
            {
                continue;
            }
            int end = start + 1;
            while (end < runes.Count && Class(runes[end]) != 0)
            {
                end++;
            }
            if (end - start > 1)
            {
                int[] sorted = [.. runes.GetRange(start, end - start).OrderBy(Class)];
                for (int i = 0; i < sorted.Length; i++)
                {
                    runes[start + i] = sorted[i];
                }
            }
            start = end;
        }
    }

    private static void Recombine(List<int> runes)
    {
        int starter = -1, write = 0, previousClass = 0;
        for (int read = 0; read < runes.Count; read++)
        {
            int value = runes[read], combiningClass = Class(value);
            // A mark is blocked from its starter by a kept mark of the same or a higher class, a starter by any kept mark.
            bool blocked = write - 1 > starter && previousClass >= combiningClass;
            if (starter >= 0 && !blocked && Pair(runes[starter], value) is int composite)
            {
                runes[starter] = composite;
                continue;
            }
            if (combiningClass == 0)
            {
                starter = write;
            }
            previousClass = combiningClass;
            runes[write++] = value;
        }
        runes.RemoveRange(write, runes.Count - write);
    }

    private static int? Pair(int first, int second)
    {
        int lead = first - LeadBase, vowel = second - VowelBase;
        if ((uint)lead < LeadCount && (uint)vowel < VowelCount)
        {
            return SyllableBase + (((lead * VowelCount) + vowel) * TailCount);
        }
        int syllable = first - SyllableBase, tail = second - TailBase;
        if ((uint)syllable < SyllableCount && syllable % TailCount == 0 && tail is > 0 and < TailCount)
        {
            return first + tail;
        }
        return Data.Compositions.TryGetValue((first, second), out int composite) ? composite : null;
    }

    private static int Class(int value) => value < 0x300 ? 0 : Data.Classes.GetValueOrDefault(value);

    /// <summary>Data/unicode.txt, whose header describes its lines.</summary>
    private sealed record Tables(
        FrozenDictionary<int, int[]> Decompositions,
        FrozenDictionary<(int First, int Second), int> Compositions,
        FrozenDictionary<int, int> Classes,
        FrozenDictionary<char, string> Narrow)
    {
        public static Tables Read()
        {
            var decompositions = new Dictionary<int, int[]>();
            var compositions = new Dictionary<(int, int), int>();
            var classes = new Dictionary<int, int>();
            var narrow = new Dictionary<char, string>();
            foreach (string line in TextResources.Lines("unicode.txt"))
            {
                string[] fields = line.Split(' ');
                switch (fields[0])
                {
                    case "D" or "X":
                        int[] parts = [.. fields[2..].Select(Hex)];
                        decompositions.Add(Hex(fields[1]), parts);
                        if (fields[0] == "D")
                        {
                            compositions.Add((parts[0], parts[1]), Hex(fields[1]));
                        }
                        break;
                    case "C":
                        for (int value = Hex(fields[1]); value <= Hex(fields[2]); value++)
                        {
                            classes.Add(value, int.Parse(fields[3], CultureInfo.InvariantCulture));
                        }
                        break;
                    case "W":
                        narrow.Add((char)Hex(fields[1]), string.Concat(fields[2..].Select(f => (char)Hex(f))));
                        break;
                }
            }
            return new Tables(decompositions.ToFrozenDictionary(), compositions.ToFrozenDictionary(), classes.ToFrozenDictionary(), narrow.ToFrozenDictionary());
        }

        private static int Hex(string field) => int.Parse(field, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }
}
