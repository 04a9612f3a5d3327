using System.Text.Json;
using GroupViT.Native.Text;

namespace GroupViT.Tool.Pictures;

/// <summary>
/// Pictures named on standard input, one JSON object on a line: <c>{"file": PATH}</c>, or <c>{"data": BASE64, "name": NAME}</c> with the bytes
/// of a PNG or JPEG file; <c>id</c> may hold anything and comes back with the answer. A line that is none of these is an entry with a problem.
/// </summary>
internal static class PictureLines
{
    /// <summary>What stands for standard input in the arguments.</summary>
    public const string Argument = "-";

    /// <summary>The longest line: 48 MiB of a picture in base64.</summary>
    public const int MaxLineBytes = 64 << 20;

    /// <summary>Where lines come from; tests put a stream of their own here.</summary>
    public static Func<Stream> Source { get; set; } = Console.OpenStandardInput;

    public static IEnumerable<PictureEntry> Read()
    {
        using Stream stream = Source();
        byte[] buffer = new byte[1 << 16];
        MemoryStream line = new();
        int number = 1;
        bool tooLong = false;
        for (int count; (count = stream.Read(buffer)) > 0;)
        {
            for (int at = 0; at < count;)
            {
                int end = buffer.AsSpan(at, count - at).IndexOf((byte)'\n');
                int length = end < 0 ? count - at : end;
                tooLong |= line.Length + length > MaxLineBytes;
                if (!tooLong)
                {
                    line.Write(buffer, at, length);
                }
                at += length + 1;
                if (end < 0)
                {
                    break;
                }
                if (Entry(line, number++, tooLong) is { } entry)
                {
                    yield return entry;
                }
                tooLong = false;
                line.SetLength(0);
                if (line.Capacity > 1 << 20)
                {
                    line.Capacity = 0;
                }
            }
        }
        if (Entry(line, number, tooLong) is { } last)
        {
            yield return last;
        }
    }

    private static PictureEntry? Entry(MemoryStream line, int number, bool tooLong)
    {
        string name = $"standard input, line {number}";
        if (tooLong)
        {
            return new PictureEntry(name, $"{name}: the line is longer than {MaxLineBytes >> 20} MiB");
        }
        ReadOnlyMemory<byte> bytes = line.GetBuffer().AsMemory(0, (int)line.Length);
        if (!bytes.Span.ContainsAnyExcept(" \t\r"u8))
        {
            return null;
        }
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes);
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
            {
                return new PictureEntry(name, $"{name}: a JSON object was expected, for instance {{\"file\": \"a.png\"}}");
            }
            string? id = root.TryGetProperty("id", out JsonElement given) ? given.GetRawText() : null;
            string? file = Text(root, "file");
            string? data = Text(root, "data");
            if (file is null == data is null)
            {
                return new PictureEntry(name, $"{name}: either \"file\" or \"data\" was expected, as a text") { Id = id };
            }
            return file is not null
                ? new PictureEntry(file) { Id = id }
                : new PictureEntry(Text(root, "name") ?? name) { Id = id, Data = Convert.FromBase64String(data!) };
        }
        catch (Exception exception) when (exception is JsonException or FormatException)
        {
            return new PictureEntry(name, $"{name}: {(exception is JsonException json ? $"no JSON: {GroupViT.Native.JsonProblem.Of(json)}" : "\"data\" is no base64")}");
        }
    }

    private static string? Text(JsonElement root, string name)
        => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text && !text.Contains('\0', StringComparison.Ordinal) ? text : null;
}
