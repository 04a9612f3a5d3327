using System.Globalization;
using System.Text;
using System.Text.Json;

namespace GroupViT.Fuzz.Mutation;

/// <summary>
/// Damage that leaves JSON well-formed: values exchanged, entries removed and doubled, numbers written otherwise. Without it next to no
/// mutant would come past the grammar.
/// </summary>
internal static class JsonMutator
{
    private static readonly string[] Values =
    [
        "0", "1", "-1", "-0", "1e1", "1.0", "0.5", "1E400", "-1e-400", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "99999999999999999999999999", "null", "true", "false", "\"\"", "\"x\"", "\"\\ud800\"", "\"\\u0000\"", "\"0\"", "[]", "{}", "[0]",
        "[1,2,3]", "[[[[]]]]", "{\"x\":{}}", "[null]", "[0,0]", "[0,18446744073709551615]", "\"../x\"",
    ];

    private static readonly string[] Escapes = ["\\n", "\\u001b[2K\\u202e", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0000", "\\/", "\\\\"];

    /// <summary>A value or a name with its place in the text. A name's parent is the object, a value's the object or list it stands in.</summary>
    private readonly record struct Token(int Start, int End, bool IsName, JsonTokenType Type);

    /// <summary>One to a few changes; text that is no JSON is damaged by bytes.</summary>
    /// <param name="random">The source of chance.</param>
    /// <param name="parent">JSON.</param>
    /// <param name="other">Other JSON, to take values from.</param>
    /// <param name="words">Values of the format in JSON's spelling, quotation marks included.</param>
    public static byte[] Mutate(Random random, byte[] parent, byte[] other, IReadOnlyList<string> words)
    {
        byte[] text = parent;
        int changes = 1;
        while (changes < 6 && random.Next(2) == 0)
        {
            changes++;
        }
        for (; changes > 0; changes--)
        {
            if (Tokens(text) is not { Count: > 0 } tokens)
            {
                return ByteMutator.Mutate(random, text, other, []);
            }
            text = Change(random, text, tokens, other, words);
        }
        // Now and then the grammar itself.
        return random.Next(6) == 0 ? ByteMutator.Mutate(random, text, other, []) : text;
    }

    private static byte[] Change(Random random, byte[] text, List<Token> tokens, byte[] other, IReadOnlyList<string> words)
    {
        Token token = tokens[random.Next(tokens.Count)];
        ReadOnlySpan<byte> old = text.AsSpan(token.Start, token.End - token.Start);
        switch (random.Next(10))
        {
            case 0:
                string value = Values[random.Next(Values.Length)];
                return token.IsName && value[0] != '"' ? text : Replace(text, token, Encoding.UTF8.GetBytes(value));
            case 1 when words.Count > 0:
                string word = words[random.Next(words.Count)];
                return token.IsName && word[0] != '"' ? text : Replace(text, token, Encoding.UTF8.GetBytes(word));
            case 2 or 3 when token.Type == JsonTokenType.Number:
                return Replace(text, token, Encoding.UTF8.GetBytes(OtherNumber(random, Encoding.UTF8.GetString(old))));
            case 4:
                // A value or name of the same text, or of another one.
                byte[] donor = random.Next(3) == 0 && Tokens(other) is { Count: > 0 } ? other : text;
                List<Token> fitting = [.. (donor == text ? tokens : Tokens(donor)!).Where(t => !token.IsName || t.Type is JsonTokenType.String or JsonTokenType.PropertyName)];
                Token source = fitting.Count == 0 ? default : fitting[random.Next(fitting.Count)];
                return source.End == 0 || source.End - source.Start > 8192 ? text : Replace(text, token, donor.AsSpan(source.Start, source.End - source.Start));
            case 5:
                return Remove(text, tokens, random.Next(tokens.Count));
            case 6:
                return Double(text, tokens, random.Next(tokens.Count));
            case 7 when old.Length > 2 && old[0] == '"':
                return Replace(text, token, OtherString(random, old));
            case 8:
                string[] blanks = [" ", "\n", "\t", "\r\n", "          "];
                return Insert(text, token.Start, Encoding.UTF8.GetBytes(blanks[random.Next(blanks.Length)]));
            case 9 when !token.IsName && random.Next(3) == 0:
                int depth = random.Next(4) == 0 ? random.Next(1, 200) : 1;
                return Replace(text, token, [.. Enumerable.Repeat((byte)'[', depth), .. old, .. Enumerable.Repeat((byte)']', depth)]);
            default:
                return text;
        }
    }

    private static string OtherNumber(Random random, string number)
    {
        bool whole = long.TryParse(number, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value);
        return random.Next(8) switch
        {
            0 when whole => (value + 1).ToString(CultureInfo.InvariantCulture),
            1 when whole => (value - 1).ToString(CultureInfo.InvariantCulture),
            2 when whole => (value * 2).ToString(CultureInfo.InvariantCulture),
            3 when whole => (value / 2).ToString(CultureInfo.InvariantCulture),
            4 => "-" + number.TrimStart('-'),
            5 => number + ".0",
            6 => number + "e" + random.Next(-3, 4).ToString(CultureInfo.InvariantCulture),
            _ => number + random.Next(10).ToString(CultureInfo.InvariantCulture),
        };
    }

    private static byte[] OtherString(Random random, ReadOnlySpan<byte> quoted)
    {
        int at = random.Next(1, quoted.Length - 1);
        string escape = random.Next(5) switch
        {
            0 when quoted[at] is >= 0x20 and < 0x7F and not (byte)'\\' and not (byte)'"' => $"\\u{(int)quoted[at]:x4}",
            1 => Escapes[random.Next(Escapes.Length)],
            2 => "ä",
            3 => new string('n', random.Next(1, 2000)),
            _ => ((char)random.Next('a', 'z' + 1)).ToString(),
        };
        bool replace = quoted[at] is >= 0x20 and < 0x7F and not (byte)'\\' && quoted[at - 1] != '\\' && random.Next(2) == 0;
        return [.. quoted[..at], .. Encoding.UTF8.GetBytes(escape), .. quoted[(replace ? at + 1 : at)..]];
    }

    /// <summary>Takes out an entry with its name, or a list's item, and the comma that goes with it.</summary>
    private static byte[] Remove(byte[] text, List<Token> tokens, int index)
    {
        (int start, int end) = Entry(tokens, index);
        int comma = SkipBlanks(text, end);
        if (comma < text.Length && text[comma] == ',')
        {
            return [.. text.AsSpan(0, start), .. text.AsSpan(comma + 1)];
        }
        int before = start - 1;
        while (before > 0 && text[before] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
        {
            before--;
        }
        return before > 0 && text[before] == ',' ? [.. text.AsSpan(0, before), .. text.AsSpan(end)] : start > 0 ? [.. text.AsSpan(0, start), .. text.AsSpan(end)] : text;
    }

    private static byte[] Double(byte[] text, List<Token> tokens, int index)
    {
        (int start, int end) = Entry(tokens, index);
        return start == 0 || end - start > 8192 ? text : Insert(text, start, [.. text.AsSpan(start, end - start), (byte)',']);
    }

    /// <summary>An entry from its name's start to its value's end; a list's item alone.</summary>
    private static (int Start, int End) Entry(List<Token> tokens, int index)
    {
        if (tokens[index].IsName && index + 1 < tokens.Count)
        {
            return (tokens[index].Start, tokens[index + 1].End);
        }
        return index > 0 && tokens[index - 1].IsName ? (tokens[index - 1].Start, tokens[index].End) : (tokens[index].Start, tokens[index].End);
    }

    private static int SkipBlanks(byte[] text, int at)
    {
        while (at < text.Length && text[at] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
        {
            at++;
        }
        return at;
    }

    private static byte[] Replace(byte[] text, Token token, ReadOnlySpan<byte> with) => [.. text.AsSpan(0, token.Start), .. with, .. text.AsSpan(token.End)];

    private static byte[] Insert(byte[] text, int at, ReadOnlySpan<byte> what) => [.. text.AsSpan(0, at), .. what, .. text.AsSpan(at)];

    /// <summary>Names and values in order, an object or list before what it holds; null if the text is no JSON.</summary>
    private static List<Token>? Tokens(byte[] text)
    {
        List<Token> tokens = [];
        Stack<int> open = new();
        var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = 256 });
        try
        {
            while (reader.Read())
            {
                int start = (int)reader.TokenStartIndex, end = (int)reader.BytesConsumed;
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartObject or JsonTokenType.StartArray:
                        open.Push(tokens.Count);
                        tokens.Add(new Token(start, 0, false, reader.TokenType));
                        break;
                    case JsonTokenType.EndObject or JsonTokenType.EndArray:
                        int opened = open.Pop();
                        tokens[opened] = tokens[opened] with { End = end };
                        break;
                    case JsonTokenType.PropertyName:
                        // What the reader has consumed includes the colon.
                        tokens.Add(new Token(start, start + reader.ValueSpan.Length + 2, true, reader.TokenType));
                        break;
                    default:
                        tokens.Add(new Token(start, end, false, reader.TokenType));
                        break;
                }
            }
        }
        catch (JsonException)
        {
            return null;
        }
        return tokens;
    }
}
