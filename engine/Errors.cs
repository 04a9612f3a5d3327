namespace GroupViT.Native;

/// <summary>A model file (weights, configuration, vocabulary, label bank) that cannot be used.</summary>
public sealed class ModelFileException : GroupVitException
{
    /// <summary>Names the file and, where there is one, the tensor or field and the byte offset at fault.</summary>
    /// <param name="file">The file as the user named it.</param>
    /// <param name="problem">What is wrong and what would be right, as a sentence without the file's name.</param>
    /// <param name="item">The tensor's or field's name, if one is at fault.</param>
    /// <param name="offset">The byte offset in the file, if known.</param>
    /// <param name="inner">The cause, if another error was.</param>
    public ModelFileException(string file, string problem, string? item = null, long? offset = null, Exception? inner = null)
        : base(Compose(file, problem, item, offset), inner)
    {
        File = file;
        Item = item;
        Offset = offset;
    }

    /// <summary>The file as the user named it.</summary>
    public string File { get; }

    /// <summary>The tensor or configuration field at fault, or null.</summary>
    public string? Item { get; }

    /// <summary>The byte offset in the file, or null.</summary>
    public long? Offset { get; }

    private static string Compose(string file, string problem, string? item, long? offset)
    {
        string where = item is null ? file : $"{file}: {item}";
        return PlainText.Of(offset is null ? $"{where}: {problem}" : $"{where} (byte {offset}): {problem}");
    }
}

/// <summary>A picture that cannot be decoded: not a picture, damaged, or larger than the limits allow.</summary>
public sealed class ImageFileException : GroupVitException
{
    /// <summary>Names the picture and what is wrong with it.</summary>
    public ImageFileException(string file, string problem, Exception? inner = null)
        : base(PlainText.Of($"{file}: {problem}"), inner) => File = file;

    /// <summary>The picture as the user named it ("picture" for pixels and streams without a name).</summary>
    public string File { get; }
}

/// <summary>A request above what the session was opened for; the message holds the number that would do.</summary>
public sealed class SessionLimitException : GroupVitException
{
    /// <summary>Says which maximum was passed, by what, and what to set it to.</summary>
    public SessionLimitException(string message)
        : base(message)
    {
    }
}

/// <summary>Labels or texts that cannot be used: empty, duplicate, longer than the context, or of another model.</summary>
public sealed class LabelException : GroupVitException
{
    /// <summary>Says which label is at fault and why.</summary>
    public LabelException(string message)
        : base(message)
    {
    }
}

/// <summary>A result that is not a number: the weights or the picture hold NaN or infinity, or a value overflowed.</summary>
public sealed class NumericalException : GroupVitException
{
    /// <summary>Names the value that is not finite.</summary>
    public NumericalException(string message)
        : base(message)
    {
    }
}
