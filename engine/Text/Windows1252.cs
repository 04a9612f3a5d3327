namespace GroupViT.Native.Text;

/// <summary>Windows-1252 as it occurs in the wild: Latin-1 with 27 characters in the place of control codes, the five unused bytes kept as they are.</summary>
internal static class Windows1252
{
    private const string High =
        "\u20AC\u0081\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\u008D\u017D\u008F" +
        "\u0090\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\u009D\u017E\u0178";

    public static char Decode(byte value) => value is >= 0x80 and <= 0x9F ? High[value - 0x80] : (char)value;

    /// <summary>The byte that was read as <paramref name="c"/> in Windows-1252 or in Latin-1; false if there is none.</summary>
    public static bool TryEncode(char c, out byte value)
    {
        int at = c <= '\u00FF' ? c : High.IndexOf(c, StringComparison.Ordinal) + 0x80;
        value = (byte)at;
        return c <= '\u00FF' || at >= 0x80 && High.Contains(c, StringComparison.Ordinal);
    }
}
