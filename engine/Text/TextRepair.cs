using System.Text;

namespace GroupViT.Native.Text;

/// <summary>
/// The part of the reference's text repair (ftfy's <c>fix_text</c>, spec B.3 step 1) that is plain and safe, in its order:
/// HTML entities, terminal escapes, mojibake, C1 controls, ligatures, full-width forms, curly quotes, control characters, NFC.
/// What it does not do stands in docs/tokenizer.md.
/// </summary>
internal static class TextRepair
{
    // A repair may uncover another (an entity that stands for a curly quote); real text needs one or two rounds.
    private const int MaxRounds = 8;

    /// <summary>Repairs line by line, as the reference does: entities are left alone from the first line on that has a "&lt;".</summary>
    public static string Repair(string text)
    {
        var result = new StringBuilder(text.Length);
        bool markup = false;
        for (int start = 0; start < text.Length;)
        {
            int feed = text.IndexOf('\n', start);
            int end = feed < 0 ? text.Length : feed + 1;
            string line = text[start..end];
            markup |= line.Contains('<', StringComparison.Ordinal);
            result.Append(RepairLine(line, markup));
            start = end;
        }
        return result.ToString();
    }

    private static string RepairLine(string line, bool markup)
    {
        for (int round = 0; round < MaxRounds; round++)
        {
            string before = line;
            if (!markup)
            {
                line = HtmlEntities.UnescapeStrict(line);
            }
            line = RemoveTerminalEscapes(line);
            line = Mojibake.Repair(line);
            line = CanonicalForm.Compose(ReplaceCharacters(line));
            if (string.Equals(line, before, StringComparison.Ordinal))
            {
                break;
            }
        }
        return line;
    }

    private static string ReplaceCharacters(string line)
    {
        // Printable ASCII and its white space stay as they are.
        if (!line.AsSpan().ContainsAnyExceptInRange('\t', '~') && !line.AsSpan().ContainsAnyInRange('\u000B', '\u001F'))
        {
            return line;
        }
        var result = new StringBuilder(line.Length);
        foreach (char c in line)
        {
            Replace(c is >= '\u0080' and <= '\u009F' ? Windows1252.Decode((byte)c) : c, result);
        }
        return result.ToString();
    }

    private static void Replace(char c, StringBuilder result)
    {
        if (IsRemoved(c))
        {
            return;
        }
        string? several = Ligature(c) ?? CanonicalForm.Narrow(c);
        if (several is null)
        {
            result.Append(Straight(c));
            return;
        }
        foreach (char part in several)
        {
            result.Append(Straight(part));
        }
    }

    // Single quotes and the modifier apostrophe, double quotes, and the separators that mean a line feed.
    private static char Straight(char c) => c switch
    {
        '\u02BC' or (>= '\u2018' and <= '\u201B') => '\'',
        >= '\u201C' and <= '\u201F' => '"',
        '\r' or '\u2028' or '\u2029' => '\n',
        _ => c,
    };

    // Control characters, the deprecated Arabic shaping controls, the byte order mark, interlinear annotation and the object replacement character.
    private static bool IsRemoved(char c) => c is
        (>= '\0' and <= '\u0008') or '\u000B' or (>= '\u000E' and <= '\u001F') or '\u007F'
        or (>= '\u206A' and <= '\u206F') or '\uFEFF' or (>= '\uFFF9' and <= '\uFFFC');

    private static string? Ligature(char c) => c switch
    {
        '\u0132' => "IJ",
        '\u0133' => "ij",
        '\u0149' => "\u02BCn",
        '\u01C4' => "D\u017D",
        '\u01C5' => "D\u017E",
        '\u01C6' => "d\u017E",
        '\u01C7' => "LJ",
        '\u01C8' => "Lj",
        '\u01C9' => "lj",
        '\u01CA' => "NJ",
        '\u01CB' => "Nj",
        '\u01CC' => "nj",
        '\u01F1' => "DZ",
        '\u01F2' => "Dz",
        '\u01F3' => "dz",
        '\uFB00' => "ff",
        '\uFB01' => "fi",
        '\uFB02' => "fl",
        '\uFB03' => "ffi",
        '\uFB04' => "ffl",
        '\uFB05' => "\u017Ft",
        '\uFB06' => "st",
        _ => null,
    };

    // ESC [ digits and semicolons, then one letter.
    private static string RemoveTerminalEscapes(string line)
    {
        const string Introducer = "\u001B[";
        int at = line.IndexOf(Introducer, StringComparison.Ordinal);
        if (at < 0)
        {
            return line;
        }
        var result = new StringBuilder(line.Length);
        int done = 0;
        while (at >= 0)
        {
            int end = at + Introducer.Length;
            while (end < line.Length && (char.IsAsciiDigit(line[end]) || line[end] == ';'))
            {
                end++;
            }
            if (end < line.Length && char.IsAsciiLetter(line[end]))
            {
                result.Append(line, done, at - done);
                done = end + 1;
            }
            at = line.IndexOf(Introducer, end, StringComparison.Ordinal);
        }
        return result.Append(line, done, line.Length - done).ToString();
    }
}
