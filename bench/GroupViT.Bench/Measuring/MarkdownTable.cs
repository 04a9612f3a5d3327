using System.Text;

namespace GroupViT.Bench.Measuring;

/// <summary>A table as Markdown, its columns padded so that it can be read as text as well; and read back from there.</summary>
internal sealed class MarkdownTable
{
    private readonly string[] headers;
    private readonly bool[] numbers;
    private readonly List<string[]> rows = [];

    /// <param name="headers">One per column; one that begins with '&gt;' heads numbers, which stand at the right.</param>
    public MarkdownTable(params IReadOnlyList<string> headers)
    {
        if (headers.Count == 0)
        {
            throw new ArgumentException("a table needs a column", nameof(headers));
        }
        this.headers = [.. headers.Select(header => header.TrimStart('>'))];
        numbers = [.. headers.Select(header => header.StartsWith('>'))];
    }

    /// <summary>Without the '&gt;' of columns of numbers.</summary>
    public IReadOnlyList<string> Headers => headers;

    public IReadOnlyList<IReadOnlyList<string>> Rows => rows;

    public MarkdownTable Add(params IReadOnlyList<string> cells)
    {
        if (cells.Count != headers.Length)
        {
            throw new ArgumentException($"a row of {cells.Count} cells does not fit {headers.Length} columns", nameof(cells));
        }
        rows.Add([.. cells]);
        return this;
    }

    /// <summary>A row's cell by its column's header.</summary>
    /// <exception cref="FormatException">The table has no such column.</exception>
    public string Cell(IReadOnlyList<string> row, string header)
    {
        int column = Array.IndexOf(headers, header);
        return column >= 0 ? row[column] : throw new FormatException($"a table with the columns {string.Join(", ", headers)} has no '{header}'");
    }

    public override string ToString()
    {
        string[][] cells = [.. rows.Prepend(headers).Select(row => row.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)).ToArray())];
        int[] widths = [.. headers.Select((_, column) => Math.Max(3, cells.Max(row => row[column].Length)))];
        StringBuilder text = new();
        for (int i = 0; i < cells.Length; i++)
        {
            text.Append('|');
            for (int column = 0; column < widths.Length; column++)
            {
                string cell = cells[i][column];
                text.Append(' ').Append(numbers[column] ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column])).Append(" |");
            }
            text.Append('\n');
            if (i == 0)
            {
                text.Append('|');
                for (int column = 0; column < widths.Length; column++)
                {
                    text.Append(' ').Append('-', widths[column] - (numbers[column] ? 1 : 0)).Append(numbers[column] ? ":" : "").Append(" |");
                }
                text.Append('\n');
            }
        }
        return text.ToString();
    }

    /// <summary>Every table of a Markdown text, in order; what stands between code fences is no table.</summary>
    /// <exception cref="FormatException">A table's row has another number of cells than its head.</exception>
    public static IReadOnlyList<MarkdownTable> Parse(string text)
    {
        List<MarkdownTable> tables = [];
        MarkdownTable? open = null;
        string[]? head = null;
        bool fenced = false;
        foreach (string line in text.Split('\n').Select(line => line.Trim()))
        {
            fenced ^= line.StartsWith("```", StringComparison.Ordinal);
            if (fenced || !line.StartsWith('|'))
            {
                (open, head) = (null, null);
                continue;
            }
            string[] cells = Cells(line);
            if (open is not null)
            {
                if (cells.Length != open.headers.Length)
                {
                    throw new FormatException($"a row of {cells.Length} cells does not fit {open.headers.Length} columns: {line}");
                }
                open.rows.Add(cells);
            }
            else if (head is null)
            {
                head = cells;
            }
            else if (cells.Length == head.Length && cells.All(IsRule))
            {
                tables.Add(open = new MarkdownTable([.. head.Select((header, column) => cells[column].EndsWith(':') ? ">" + header : header)]));
            }
            else
            {
                throw new FormatException($"a table's second line rules off its head, unlike: {line}");
            }
        }
        return tables;
    }

    private static bool IsRule(string cell) => cell.Length > 0 && cell.Contains('-', StringComparison.Ordinal) && cell.All(character => character is '-' or ':');

    private static string[] Cells(string line)
    {
        List<string> cells = [];
        StringBuilder cell = new();
        // What stands before the first bar and behind the last is no cell.
        for (int i = 1; i < line.Length; i++)
        {
            if (line[i] == '\\' && i + 1 < line.Length && line[i + 1] == '|')
            {
                cell.Append(line[++i]);
            }
            else if (line[i] == '|')
            {
                cells.Add(cell.ToString().Trim());
                cell.Clear();
            }
            else
            {
                cell.Append(line[i]);
            }
        }
        return [.. cells];
    }
}
