using System.Text;

namespace GroupViT.Native.Text;

/// <summary>
/// UTF-8 that was read as Latin-1 or Windows-1252 ("cafÃ©", "donâ€™t"), taken back where that is safe: the whole text
/// must be such bytes, they must be valid UTF-8, and at least one sequence must be one that nobody writes on purpose.
/// </summary>
internal static class Mojibake
{
    private const int MaxLayers = 4;

    // What may stand behind an accented letter in honest text: "MARQUÉ…" and "«café»…" are bytes of UTF-8, too.
    private const string Punctuation = "\u00A0\u00AB\u00BB\u2013\u2014\u2018\u2019\u201C\u201D\u2026\u2039\u203A";

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static string Repair(string text)
    {
        for (int layer = 0; layer < MaxLayers && TryDecode(text, out string repaired); layer++)
        {
            text = repaired;
        }
        return text;
    }

    private static bool TryDecode(string text, out string repaired)
    {
        repaired = text;
        // Quick way out: there must be the first byte of a sequence.
        if (!text.AsSpan().ContainsAnyInRange('\u00C2', '\u00F4'))
        {
            return false;
        }
        byte[] bytes = new byte[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            if (!Windows1252.TryEncode(text[i], out bytes[i]))
            {
                return false;
            }
        }
        if (!IsConvincing(text, bytes))
        {
            return false;
        }
        try
        {
            repaired = Strict.GetString(bytes);
            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }

    private static bool IsConvincing(string text, byte[] bytes)
    {
        int weak = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] < 0xC2)
            {
                continue;
            }
            int last = i + (bytes[i] < 0xE0 ? 1 : bytes[i] < 0xF0 ? 2 : 3);
            if (last >= bytes.Length)
            {
                return false;
            }
            bool onlyPunctuation = true;
            for (int k = i + 1; k <= last; k++)
            {
                onlyPunctuation &= Punctuation.Contains(text[k], StringComparison.Ordinal);
            }
            // Â and Ã begin the UTF-8 of Latin-1's own letters and are rare themselves; behind a capital letter they
            // may be the end of a word in capitals ("AMANHÃ…").
            bool common = bytes[i] is 0xC2 or 0xC3 && !(onlyPunctuation && i > 0 && char.IsUpper(text[i - 1]));
            if (common || (last > i + 1 && !onlyPunctuation))
            {
                return true;
            }
            weak += onlyPunctuation ? 0 : 1;
            i = last;
        }
        return weak >= 2;
    }
}
