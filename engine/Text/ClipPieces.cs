using System.Globalization;
using System.Text;

namespace GroupViT.Native.Text;

/// <summary>
/// CLIP's split (spec B.3 step 3): a contraction, a run of letters, one number character, or a run of whatever else is not
/// white space. Written as a scanner because .NET's regular expressions see UTF-16 units: 𝐀 and 🙂 would both be
/// surrogates, not a letter and a symbol. It never looks back, so its time is linear.
/// </summary>
internal ref struct ClipPieces(ReadOnlySpan<char> text, bool literals)
{
    private readonly ReadOnlySpan<char> _text = text;
    private readonly bool _literals = literals;
    private int _next;

    /// <summary>The piece that <see cref="MoveNext"/> found.</summary>
    public ReadOnlySpan<char> Current { get; private set; }

    /// <summary>Whether <see cref="Current"/> is a special token's literal.</summary>
    public bool IsLiteral { get; private set; }

    public bool MoveNext()
    {
        while (_next < _text.Length && char.IsWhiteSpace(_text[_next]))
        {
            _next++;
        }
        if (_next >= _text.Length)
        {
            return false;
        }
        ReadOnlySpan<char> rest = _text[_next..];
        int length = _literals ? LiteralLength(rest) : 0;
        IsLiteral = length > 0;
        if (length == 0)
        {
            length = ContractionLength(rest);
        }
        if (length == 0)
        {
            length = RunLength(rest);
        }
        Current = rest[..length];
        _next += length;
        return true;
    }

    /// <summary>The length of the special token's literal that the text begins with, or 0.</summary>
    public static int LiteralLength(ReadOnlySpan<char> text) =>
        text.StartsWith(ClipVocabulary.Start, StringComparison.Ordinal) ? ClipVocabulary.Start.Length
        : text.StartsWith(ClipVocabulary.End, StringComparison.Ordinal) ? ClipVocabulary.End.Length
        : 0;

    // The text is in lower case by now. The original's pattern ignores case, which makes ſ (U+017F) an s.
    private readonly int ContractionLength(ReadOnlySpan<char> text)
    {
        if (text.Length < 2 || text[0] != '\'')
        {
            return 0;
        }
        if (text[1] is 's' or 't' or 'm' or 'd' || (_literals && text[1] == '\u017F'))
        {
            return 2;
        }
        return text.Length > 2 && text.Slice(1, 2) is "re" or "ve" or "ll" ? 3 : 0;
    }

    private static int RunLength(ReadOnlySpan<char> text)
    {
        Kind kind = KindOf(text, out int length);
        if (kind == Kind.Number)
        {
            return length;
        }
        while (length < text.Length && KindOf(text[length..], out int units) == kind)
        {
            length += units;
        }
        return length;
    }

    private static Kind KindOf(ReadOnlySpan<char> text, out int units)
    {
        _ = Rune.DecodeFromUtf16(text, out Rune rune, out units);
        if (Rune.IsWhiteSpace(rune))
        {
            return Kind.Space;
        }
        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Kind.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Number,
            _ => Kind.Other,
        };
    }

    private enum Kind
    {
        Space,
        Letter,
        Number,
        Other,
    }
}
