namespace GroupViT.Pickle;

/// <summary>A PyTorch file that is refused: damaged, of another kind, or asking for something that is not plain data.</summary>
public sealed class PickleFileException : Exception
{
    private const int MostCharacters = 600;

    /// <summary>Names the file and, where there is one, the item and the byte offset at fault.</summary>
    /// <param name="path">The file as the user named it.</param>
    /// <param name="problem">What is wrong and what would be right, as a sentence without the file's name.</param>
    /// <param name="item">The tensor, archive entry, opcode or global at fault, if one is.</param>
    /// <param name="offset">The byte offset in the file, if known.</param>
    /// <param name="inner">The cause, if another error was.</param>
    public PickleFileException(string path, string problem, string? item = null, long? offset = null, Exception? inner = null)
        : base(Compose(path, problem, item, offset), inner)
    {
        Path = path;
        Problem = problem;
        Item = item;
        Offset = offset;
    }

    /// <summary>The file as the user named it.</summary>
    public string Path { get; }

    /// <summary>What is wrong, without file, item and offset; may hold names as they stand in the file.</summary>
    public string Problem { get; }

    /// <summary>The byte offset in the file, or null.</summary>
    public long? Offset { get; }

    /// <summary>The tensor, archive entry, opcode or global at fault, or null.</summary>
    public string? Item { get; }

    private static string Compose(string path, string problem, string? item, long? offset)
    {
        string where = item is null ? path : $"{path}: {Printable(item)}";
        return offset is null ? $"{where}: {Printable(problem)}" : $"{where} (byte {offset}): {Printable(problem)}";
    }

    /// <summary>Names come from the file: without control characters, which could make a terminal say something else, and not without end.</summary>
    private static string Printable(string text)
    {
        var printable = new System.Text.StringBuilder();
        foreach (char c in text)
        {
            if (printable.Length > MostCharacters)
            {
                return printable.Append("...").ToString();
            }
            if (char.IsControl(c) || char.GetUnicodeCategory(c) is System.Globalization.UnicodeCategory.Format or System.Globalization.UnicodeCategory.LineSeparator)
            {
                printable.Append(System.Globalization.CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            }
            else
            {
                printable.Append(c);
            }
        }
        return printable.ToString();
    }
}
