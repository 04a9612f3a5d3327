namespace GroupViT.Native;

/// <summary>What a JSON reader says is wrong, fit to be shown: it quotes the text where it stumbled, which may be megabytes long.</summary>
internal static class JsonProblem
{
    private const int Head = 80, Tail = 160;

    /// <summary>The reader's message with a long quotation cut in the middle: the line and the byte stand at its end.</summary>
    public static string Of(Exception error)
        => error.Message.Length <= Head + Tail ? error.Message : string.Concat(error.Message.AsSpan(0, Head), " ... ", error.Message.AsSpan(error.Message.Length - Tail));
}
