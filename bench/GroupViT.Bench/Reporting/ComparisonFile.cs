using System.Globalization;
using GroupViT.Bench.Measuring;

namespace GroupViT.Bench.Reporting;

/// <summary>One line of a comparison, its numbers as they were written.</summary>
/// <param name="Cell">What was run.</param>
/// <param name="Ours">Our milliseconds.</param>
/// <param name="Engine">The other engine.</param>
/// <param name="Way">Which of its ways was the fastest, or empty.</param>
/// <param name="Theirs">Its milliseconds.</param>
/// <param name="RatioText">Theirs over ours, as written.</param>
/// <param name="Share">Our share of the machine's ceiling.</param>
internal sealed record ComparisonRow(string Cell, string Ours, string Engine, string Way, string Theirs, string RatioText, string Share)
{
    public double Ratio => double.Parse(RatioText, CultureInfo.InvariantCulture);
}

/// <summary>A file of bench/results that compares us with others: its table of ratios, and of processes if it has one.</summary>
/// <param name="Name">The file's name without ending.</param>
/// <param name="Processor">Where it was measured.</param>
/// <param name="Commit">Of what.</param>
/// <param name="Rows">In the file's order.</param>
/// <param name="Processes">What each engine costs a process, or null.</param>
internal sealed record ComparisonFile(string Name, string Processor, string Commit, IReadOnlyList<ComparisonRow> Rows, MarkdownTable? Processes)
{
    /// <summary>The columns by which a table of ratios is known; more may follow.</summary>
    public static IReadOnlyList<string> Columns { get; } = ["cell", "ours ms", "peer", "peer ms", "ratio", "share of ceiling"];

    private static readonly string[] ProcessColumns = ["contender", "first result ms", "net ms", "peak MB", "to ship MB"];

    /// <summary>Every comparison in a folder, by name; none where there is no folder.</summary>
    /// <exception cref="FormatException">A table of ratios holds something else; names the file and the row.</exception>
    public static IReadOnlyList<ComparisonFile> All(string folder)
        => Directory.Exists(folder)
            ? [.. Directory.EnumerateFiles(folder, "*.md").Order(StringComparer.Ordinal).Select(path => Parse(Path.GetFileNameWithoutExtension(path), File.ReadAllText(path))).OfType<ComparisonFile>()]
            : [];

    /// <summary>A file's comparison, or null where it holds none.</summary>
    public static ComparisonFile? Parse(string name, string text)
    {
        IReadOnlyList<MarkdownTable> tables;
        try
        {
            tables = MarkdownTable.Parse(text);
        }
        catch (FormatException exception)
        {
            throw new FormatException($"{name}.md: {exception.Message}", exception);
        }
        MarkdownTable? ratios = tables.FirstOrDefault(table => Columns.All(table.Headers.Contains));
        return ratios is null ? null : new ComparisonFile(
            name, Fact(text, "Processor"), Fact(text, "Commit"), [.. ratios.Rows.Select(row => Row(name, ratios, row))],
            tables.FirstOrDefault(table => ProcessColumns.All(table.Headers.Contains)));
    }

    private static ComparisonRow Row(string file, MarkdownTable table, IReadOnlyList<string> row)
    {
        string peer = table.Cell(row, "peer");
        int way = peer.IndexOf(" (", StringComparison.Ordinal);
        string ratio = table.Cell(row, "ratio");
        if (!double.TryParse(ratio, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) || !(value > 0) || !double.IsFinite(value))
        {
            throw new FormatException($"{file}.md: the ratio of {table.Cell(row, "cell")} and {peer} is '{ratio}', which is no number above 0");
        }
        return new ComparisonRow(
            table.Cell(row, "cell"), table.Cell(row, "ours ms"), way < 0 ? peer : peer[..way], way < 0 ? "" : peer[(way + 2)..].TrimEnd(')'), table.Cell(row, "peer ms"), ratio, table.Cell(row, "share of ceiling"));
    }

    private static string Fact(string text, string name)
    {
        string start = $"* {name}: ";
        return text.Split('\n').FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal))?[start.Length..].Trim() ?? "unknown";
    }
}
