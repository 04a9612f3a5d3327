using System.Text;

namespace GroupViT.Native;

/// <summary>
/// What a JSON reader says is wrong, fit to be shown: it quotes the text where it stumbled, which may be megabytes long and hold
/// characters that steer a terminal.
/// </summary>
internal static class JsonProblem
{
    private const int Head = 80, Tail = 160;

    /// <summary>The reader's message with a long quotation cut in the middle (the line and the byte stand at its end), without control characters.</summary>
    public static string Of(Exception error)
    {
        string message = error.Message;
        if (message.Length > Head + Tail)
        {
            message = string.Concat(message.AsSpan(0, Head), " ... ", message.AsSpan(message.Length - Tail));
        }
        StringBuilder text = new(message.Length);
        foreach (char c in message)
        {
            text.Append(char.IsControl(c) || char.IsSurrogate(c) ? '?' : c);
        }
        return text.ToString();
    }
}
