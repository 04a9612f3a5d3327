using GroupViT.Bench.Peers.Contenders;
using GroupViT.Bench.Peers.Processes;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Peers.Facts;

/// <summary>What using an engine costs a process.</summary>
/// <param name="Kind">Which.</param>
/// <param name="FirstMilliseconds">From the start of the process to the first result of a cell; files are in the page cache.</param>
/// <param name="PeakBytes">The most resident memory after a few runs.</param>
/// <param name="Shipped">Bytes to ship, or null where nothing knows.</param>
internal sealed record ProcessFacts(ContenderKind Kind, Series FirstMilliseconds, Series PeakBytes, Shipped? Shipped)
{
    private const int Runs = 5;

    /// <summary>Starts every contender several times, in turn; those that do not run the cell are left out.</summary>
    public static IReadOnlyList<ProcessFacts> Measure(IReadOnlyList<ContenderKind> kinds, Cell cell, CellFiles files, int rounds)
    {
        List<double>[] first = [.. kinds.Select(_ => new List<double>())];
        List<double>[] peak = [.. kinds.Select(_ => new List<double>())];
        HashSet<ContenderKind> failed = [];
        // The first round reads what no process has read yet; it is not counted.
        for (int round = -1; round < rounds; round++)
        {
            for (int i = 0; i < kinds.Count; i++)
            {
                if (failed.Contains(kinds[i]))
                {
                    continue;
                }
                try
                {
                    using ContenderProcess process = ContenderProcess.Start(kinds[i], cell, files);
                    if (kinds[i] != ContenderKind.Nothing)
                    {
                        process.Run(0, Runs);
                    }
                    if (round >= 0)
                    {
                        first[i].Add(process.First.TotalMilliseconds);
                        peak[i].Add(process.Peak());
                    }
                }
                catch (ContenderException)
                {
                    failed.Add(kinds[i]);
                }
            }
        }
        return [.. kinds.Index().Where(kind => !failed.Contains(kind.Item)).Select(kind => new ProcessFacts(
            kind.Item, new Series(first[kind.Index]), new Series(peak[kind.Index]), kind.Item.Libraries.Count == 0 ? null : Shipped.Of(kind.Item.Libraries)))];
    }
}
