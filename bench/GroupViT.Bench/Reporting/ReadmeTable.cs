using System.Text;
using GroupViT.Bench.Measuring;

namespace GroupViT.Bench.Reporting;

/// <summary>The part of README that is made from the result files.</summary>
internal static class ReadmeTable
{
    public const string Start = "<!-- benchmarks: written from bench/results by the command `readme` of bench/GroupViT.Bench -->";
    public const string End = "<!-- end of benchmarks -->";

    /// <summary>Where README's chart lies in the clone.</summary>
    public const string Chart = "docs/ratios.svg";

    /// <summary>What stands between the markers, with an empty line before and behind.</summary>
    public static string Of(IReadOnlyList<ComparisonFile> files)
    {
        if (files.Count == 0)
        {
            return "\n\nNo comparison is recorded yet; [bench/README.md](bench/README.md) says how to make one.\n\n";
        }
        StringBuilder text = new($"\n\n![How many times as long others take]({Chart})\n");
        foreach (ComparisonFile file in files)
        {
            text.Append($"\n{file.Processor}, commit {file.Commit} ([all numbers](bench/results/{file.Name}.md)). Milliseconds are ours, medians; the engines' columns say how many times as long they take.\n\n");
            text.Append(Ratios(file));
            if (file.Processes is { } processes)
            {
                text.Append('\n').Append(processes);
            }
        }
        return text.Append('\n').ToString();
    }

    /// <summary>README with that part made anew.</summary>
    /// <exception cref="FormatException">The markers are not there, once each and in order.</exception>
    public static string Replace(string readme, IReadOnlyList<ComparisonFile> files)
    {
        (int start, int end) = Find(readme);
        return readme[..start] + Of(files) + readme[end..];
    }

    /// <summary>What README has between its markers.</summary>
    /// <exception cref="FormatException">The markers are not there, once each and in order.</exception>
    public static string Current(string readme)
    {
        (int start, int end) = Find(readme);
        return readme[start..end];
    }

    private static (int Start, int End) Find(string readme)
    {
        int start = readme.IndexOf(Start, StringComparison.Ordinal);
        int end = readme.IndexOf(End, StringComparison.Ordinal);
        if (start < 0 || end < start || readme.LastIndexOf(Start, StringComparison.Ordinal) != start || readme.LastIndexOf(End, StringComparison.Ordinal) != end)
        {
            throw new FormatException($"README must have '{Start}' and, further down, '{End}', once each");
        }
        return (start + Start.Length, end);
    }

    private static MarkdownTable Ratios(ComparisonFile file)
    {
        string[] engines = [.. file.Rows.Select(row => row.Engine).Distinct()];
        MarkdownTable table = new(["what", ">ms", ">of the ceiling", .. engines.Select(engine => ">" + engine)]);
        foreach (IGrouping<string, ComparisonRow> cell in file.Rows.GroupBy(row => row.Cell))
        {
            table.Add([
                CellName.InWords(cell.Key), cell.First().Ours, cell.First().Share,
                .. engines.Select(engine => cell.FirstOrDefault(row => row.Engine == engine)?.RatioText ?? ""),
            ]);
        }
        return table;
    }
}
