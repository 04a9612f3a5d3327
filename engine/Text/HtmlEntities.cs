using System.Buffers;
using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace GroupViT.Native.Text;

/// <summary>
/// HTML 5 character references. <see cref="System.Net.WebUtility"/> knows the 253 names of HTML 4, with a semicolon only;
/// the reference resolves all 2,231 of HTML 5, the old ones also without (<c>&amp;copy2020</c>).
/// </summary>
internal static class HtmlEntities
{
    private const int LongestName = 32;

    private static readonly FrozenDictionary<string, string> Named = Read();
    private static readonly FrozenDictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> NamedSpan =
        Named.GetAlternateLookup<ReadOnlySpan<char>>();

    // What ends a name that has no semicolon.
    private static readonly SearchValues<char> NameEnds = SearchValues.Create("\t\n\f <&#;");

    /// <summary>One pass over the text: every reference is replaced, what it is replaced by is not looked at again.</summary>
    public static string Unescape(string text)
    {
        int at = text.IndexOf('&', StringComparison.Ordinal);
        if (at < 0)
        {
            return text;
        }
        var result = new StringBuilder(text.Length);
        int done = 0;
        while (at >= 0)
        {
            result.Append(text, done, at - done);
            done = at + 1;
            if (Resolve(text.AsSpan(at + 1), result, out int used))
            {
                done += used;
            }
            else
            {
                result.Append('&');
            }
            at = text.IndexOf('&', done);
        }
        return result.Append(text, done, text.Length - done).ToString();
    }

    /// <summary>Only references that end in a semicolon, and names in capitals that HTML has in small letters (<c>&amp;EACUTE;</c>).</summary>
    public static string UnescapeStrict(string text)
    {
        var result = new StringBuilder(text.Length);
        int done = 0;
        for (int at = text.IndexOf('&', StringComparison.Ordinal); at >= 0; at = text.IndexOf('&', at + 1))
        {
            int end = text.AsSpan(at, Math.Min(text.Length - at, LongestName)).IndexOf(';');
            if (end < 2 || at < done)
            {
                continue;
            }
            string name = text.Substring(at + 1, end);
            string? value = null;
            if (name[0] == '#')
            {
                var number = new StringBuilder();
                value = ResolveNumber(name, number, out int used) && used == name.Length ? number.ToString() : null;
            }
            else if (!Named.TryGetValue(name, out value) && !name.AsSpan().ContainsAnyInRange('a', 'z')
                && Named.TryGetValue(name.ToLowerInvariant(), out string? small))
            {
                value = small.ToUpperInvariant();
            }
            if (value is not null)
            {
                result.Append(text, done, at - done).Append(value);
                done = at + 1 + name.Length;
            }
        }
        return done == 0 ? text : result.Append(text, done, text.Length - done).ToString();
    }

    private static bool Resolve(ReadOnlySpan<char> rest, StringBuilder result, out int used)
    {
        if (rest.StartsWith('#'))
        {
            return ResolveNumber(rest, result, out used);
        }
        ReadOnlySpan<char> name = rest[..Math.Min(rest.Length, LongestName)];
        int end = name.IndexOfAny(NameEnds);
        name = end < 0 ? name : name[..end];
        if (name.Length < rest.Length && rest[name.Length] == ';')
        {
            name = rest[..(name.Length + 1)];
        }
        // The longest known beginning, of two characters at least: "&notit;" is "¬it;".
        for (used = name.Length; used >= 2; used--)
        {
            if (NamedSpan.TryGetValue(name[..used], out string? value))
            {
                result.Append(value);
                return true;
            }
        }
        return false;
    }

    private static bool ResolveNumber(ReadOnlySpan<char> text, StringBuilder result, out int used)
    {
        bool hex = text.Length > 1 && (text[1] | 0x20) == 'x';
        int start = hex ? 2 : 1;
        long value = 0;
        for (used = start; used < text.Length && (hex ? char.IsAsciiHexDigit(text[used]) : char.IsAsciiDigit(text[used])); used++)
        {
            // Held above the last code point, so that no number of digits overflows.
            value = Math.Min((value * (hex ? 16 : 10)) + Convert.ToInt32(text[used].ToString(), 16), 0x110000);
        }
        if (used == start)
        {
            return false;
        }
        if (used < text.Length && text[used] == ';')
        {
            used++;
        }
        if (value is 0 or > 0x10FFFF or (>= 0xD800 and <= 0xDFFF))
        {
            result.Append('\uFFFD');
        }
        else if (value is >= 0x80 and <= 0x9F)
        {
            result.Append(Windows1252.Decode((byte)value));
        }
        else if (!IsNoCharacter((int)value))
        {
            CanonicalForm.AppendRune(result, (int)value);
        }
        return true;
    }

    // The standard's parse errors that stand for nothing: control characters and non-characters.
    private static bool IsNoCharacter(int value) =>
        value is (>= 0x01 and <= 0x08) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or (>= 0xFDD0 and <= 0xFDEF) || (value & 0xFFFE) == 0xFFFE;

    private static FrozenDictionary<string, string> Read()
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in TextResources.Lines("html-entities.txt").Skip(1))
        {
            string[] fields = line.Split(' ');
            names.Add(fields[0], string.Concat(fields[1..].Select(f => char.ConvertFromUtf32(int.Parse(f, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)))));
        }
        return names.ToFrozenDictionary(StringComparer.Ordinal);
    }
}
