using System.Globalization;
using System.Text;

namespace GroupViT.Native.Text;

/// <summary>The two cleanings of spec B.3, up to but not including the split into pieces.</summary>
internal static class TextNormalizer
{
    public static string Normalize(string text, TextNormalization normalization) => normalization switch
    {
        TextNormalization.HuggingFace => Lower(CollapseWhiteSpace(CanonicalForm.Compose(text)), finalSigma: false),
        TextNormalization.OpenAI => Lower(CollapseWhiteSpace(HtmlEntities.Unescape(HtmlEntities.Unescape(TextRepair.Repair(text)))), finalSigma: true),
        _ => throw new ArgumentOutOfRangeException(nameof(normalization), normalization, "no such text normalisation"),
    };

    /// <summary>Every run of white space becomes one space; none is left at either end.</summary>
    private static string CollapseWhiteSpace(string text)
    {
        var result = new StringBuilder(text.Length);
        bool pending = false;
        foreach (char c in text)
        {
            if (char.IsWhiteSpace(c))
            {
                pending = true;
                continue;
            }
            if (pending && result.Length > 0)
            {
                result.Append(' ');
            }
            pending = false;
            result.Append(c);
        }
        return result.ToString();
    }

    /// <summary>
    /// Lower-case by Unicode's full mapping without a language: İ is the one letter whose form is longer (i and U+0307; the
    /// runtime leaves it alone), and Σ at the end of a word is ς where the reference maps whole texts (Python) and σ where it maps letters (Rust).
    /// </summary>
    internal static string Lower(string text, bool finalSigma)
    {
        var result = new StringBuilder(text.Length);
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (rune.Value == 0x130)
            {
                result.Append("i\u0307");
            }
            else if (rune.Value == 0x3A3 && finalSigma && EndsWord(text, at))
            {
                result.Append('\u03C2');
            }
            else
            {
                CanonicalForm.AppendRune(result, Rune.ToLowerInvariant(rune).Value);
            }
            at += rune.Utf16SequenceLength;
        }
        return result.ToString();
    }

    // Unicode 3.13, Final_Sigma: a cased letter before and none behind, whatever case-ignorable characters lie between.
    private static bool EndsWord(string text, int sigma)
    {
        bool before = false;
        for (int at = sigma; at > 0;)
        {
            _ = Rune.DecodeLastFromUtf16(text.AsSpan(0, at), out Rune rune, out int units);
            at -= units;
            if (!IsCaseIgnorable(rune))
            {
                before = IsCased(rune);
                break;
            }
        }
        if (!before)
        {
            return false;
        }
        for (int at = sigma + 1; at < text.Length;)
        {
            _ = Rune.DecodeFromUtf16(text.AsSpan(at), out Rune rune, out int units);
            at += units;
            if (!IsCaseIgnorable(rune))
            {
                return !IsCased(rune);
            }
        }
        return true;
    }

    private static bool IsCased(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
        || rune.Value is 0xAA or 0xBA or (>= 0x2160 and <= 0x217F) or (>= 0x24B6 and <= 0x24E9);

    private static bool IsCaseIgnorable(Rune rune) => Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
        or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol
        || rune.Value is '\'' or '.' or ':' or 0xB7 or 0x387 or 0x55F or 0x5F4 or 0x2018 or 0x2019 or 0x2024 or 0x2027
            or 0xFE13 or 0xFE52 or 0xFE55 or 0xFF07 or 0xFF0E or 0xFF1A;
}
