using System.Globalization;
using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Peers.Contenders;
using GroupViT.Bench.Peers.Facts;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Peers;

/// <summary>What was measured, as one Markdown file.</summary>
internal static class Report
{
    public static ResultFile Of(
        Machine machine, string command, IReadOnlyList<ContenderKind> kinds, IReadOnlyList<CellResult> cells, Cell factsCell, IReadOnlyList<ProcessFacts> facts, IReadOnlyDictionary<string, string> absent)
    {
        ResultFile file = new("GroupViT.Native beside its peers, fp32, on the CPU", machine, command);
        file.Add("Summary", Summary(kinds, cells), """
            The same network, weights and inputs; outputs were equal to within fp32's tolerances before anything was timed. Of each peer, the
            fastest of its ways. Times are medians; a ratio is the median of the rounds' ratios, peer over ours: above 1, ours is faster. The last column is
            our share of the multiply-add ceiling that was measured between the rounds.
            """);
        file.Add("All contenders", Details(kinds, cells), "Spread: the distance between the quartiles of the rounds, in per cent of the median.");
        file.Add("Equality", Differences(cells), "Of each contender the output that comes nearest to its limit: its largest difference from ours, and twice the tolerance that our own are held to against the reference.");
        if (facts.Count > 0)
        {
            file.Add("A process", Facts(facts), $"""
                Cell {factsCell.Name}. First result: from the start of a process to its first result, model loaded, files in the page cache, median and least of {facts[0].FirstMilliseconds.Count}; net is the median
                without that of an empty .NET process. Peak: most resident memory after six runs. To ship: files beside the program and the .NET runtime.
                """);
        }
        file.Add("Settings", string.Join('\n', cells.SelectMany(cell => cell.Settings.Select(setting => (Key: $"{setting.Key}: {setting.Value}", cell.Cell.Name))).GroupBy(pair => pair.Key)
            .Select(group => $"* {group.Key} ({string.Join(", ", group.Select(pair => pair.Name))})")));
        if (absent.Count > 0)
        {
            file.Add("Not run", string.Join('\n', absent.Select(pair => $"* {Essence(pair.Value)}")));
        }
        return file;
    }

    private static MarkdownTable Summary(IReadOnlyList<ContenderKind> kinds, IReadOnlyList<CellResult> cells)
    {
        MarkdownTable table = new("cell", ">ours ms", "peer", ">peer ms", ">ratio", ">share of ceiling");
        foreach (CellResult cell in cells)
        {
            if (cell.Result is not { } result || !result.Milliseconds.TryGetValue(ContenderKind.Ours.Name, out Series? ours))
            {
                continue;
            }
            string share = result.ShareOfCeiling(ContenderKind.Ours.Name, cell.Flops).Median.Percent();
            foreach (IGrouping<string, ContenderKind> engine in kinds.Where(kind => kind != ContenderKind.Ours && result.Milliseconds.ContainsKey(kind.Name)).GroupBy(kind => kind.Engine))
            {
                ContenderKind best = engine.MinBy(kind => result[kind.Name].Median)!;
                table.Add(
                    cell.Cell.Name, ours.Median.Cell(2), best.Name == best.Engine ? best.Name : $"{best.Engine} ({best.Name})", result[best.Name].Median.Cell(2),
                    result.Ratio(best.Name, ContenderKind.Ours.Name).Median.Cell(2), share);
            }
        }
        return table;
    }

    private static MarkdownTable Details(IReadOnlyList<ContenderKind> kinds, IReadOnlyList<CellResult> cells)
    {
        MarkdownTable table = new("cell", "contender", ">ms", ">spread", ">least ms", ">ratio to ours", ">its quartiles", ">GFLOP/s", ">of ceiling", ">rounds");
        foreach (CellResult cell in cells)
        {
            foreach (ContenderKind kind in kinds.Where(kind => cell.Result?.Milliseconds.ContainsKey(kind.Name) ?? false))
            {
                AlternatingResult result = cell.Result!;
                Series series = result[kind.Name];
                Series? ratio = result.Milliseconds.ContainsKey(ContenderKind.Ours.Name) ? result.Ratio(kind.Name, ContenderKind.Ours.Name) : null;
                table.Add(
                    cell.Cell.Name, kind.Name, series.Median.Cell(2), (series.Spread / series.Median).Percent(), series.Min.Cell(2), ratio is null ? "" : ratio.Median.Cell(2),
                    ratio is null ? "" : $"{ratio.Quantile(0.25).Cell(2)} to {ratio.Quantile(0.75).Cell(2)}", (cell.Flops / (series.Median * 1e6)).Cell(0),
                    result.ShareOfCeiling(kind.Name, cell.Flops).Median.Percent(), result.Rounds.ToString(CultureInfo.InvariantCulture));
            }
        }
        return table;
    }

    private static MarkdownTable Differences(IReadOnlyList<CellResult> cells)
    {
        MarkdownTable table = new("cell", "contender", "output", ">largest difference", ">allowed", "equal");
        foreach (CellResult cell in cells)
        {
            foreach ((string contender, IReadOnlyList<OutputDifference> outputs) in cell.Differences)
            {
                OutputDifference worst = outputs.MaxBy(output => output.Difference / output.Tolerance)!;
                table.Add(
                    cell.Cell.Name, contender, worst.Output, worst.Difference.ToString("0.0E+0", CultureInfo.InvariantCulture),
                    worst.Tolerance.ToString("0.0E+0", CultureInfo.InvariantCulture), worst.Equal ? "yes" : "no: not timed");
            }
        }
        return table;
    }

    private static MarkdownTable Facts(IReadOnlyList<ProcessFacts> facts)
    {
        MarkdownTable table = new("contender", ">first result ms", ">least ms", ">net ms", ">peak MB", ">to ship MB", ">of it native MB");
        double empty = facts.First(fact => fact.Kind == ContenderKind.Nothing).FirstMilliseconds.Median;
        foreach (ProcessFacts fact in facts)
        {
            double first = fact.FirstMilliseconds.Median;
            table.Add(
                fact.Kind == ContenderKind.Nothing ? "an empty .NET process" : fact.Kind.Name, first.Cell(0), fact.FirstMilliseconds.Min.Cell(0), fact.Kind == ContenderKind.Nothing ? "" : (first - empty).Cell(0),
                Megabytes(fact.PeakBytes.Max), fact.Shipped is { } shipped ? Megabytes(shipped.Total) : "", fact.Shipped is { } all ? Megabytes(all.Native) : "");
        }
        return table;
    }

    private static string Megabytes(double bytes) => (bytes / 1e6).Cell(1);

    // .NET says what happened first, Python last.
    private static string Essence(string said)
    {
        string[] lines = said.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines[0].EndsWith("Traceback (most recent call last):", StringComparison.Ordinal) ? $"{lines[0].Split(':')[0]}: {lines[^1]}" : lines[0];
    }
}
