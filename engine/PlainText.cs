using System.Globalization;
using System.Text;

namespace GroupViT.Native;

/// <summary>
/// Text that came out of a file, fit to stand in a message: names and values of a hostile file may hold characters that clear a terminal's
/// lines, begin new ones in a log, or turn the direction in which the rest is read.
/// </summary>
internal static class PlainText
{
    /// <summary>The text with line ends and tabs as blanks and other characters that steer as <c>\uXXXX</c>; the text itself if there are none.</summary>
    public static string Of(string text)
    {
        if (!text.Any(Steers))
        {
            return text;
        }
        StringBuilder plain = new(text.Length + 16);
        foreach (char c in text)
        {
            if (c is '\n' or '\r' or '\t')
            {
                plain.Append(' ');
            }
            else if (Steers(c))
            {
                plain.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}");
            }
            else
            {
                plain.Append(c);
            }
        }
        return plain.ToString();
    }

    private static bool Steers(char c)
        => char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;
}
