using GroupViT.Bench.Measuring;
using GroupViT.Bench.Peers.Contenders;
using GroupViT.Bench.Peers.Onnx;
using GroupViT.Bench.Peers.Processes;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Peers;

/// <summary>A cell, measured.</summary>
/// <param name="Cell">Which.</param>
/// <param name="Flops">Floating-point operations of one run.</param>
/// <param name="Result">Milliseconds by contender's name; those who did not run or whose outputs differed are not in it. Null where nobody is.</param>
/// <param name="Settings">By contender's name.</param>
/// <param name="Differences">By contender's name, of each output.</param>
internal sealed record CellResult(
    Cell Cell, double Flops, AlternatingResult? Result, IReadOnlyDictionary<string, string> Settings, IReadOnlyDictionary<string, IReadOnlyList<OutputDifference>> Differences);

/// <summary>Runs cells: prints the models, starts the contenders, compares what they make, and times those who make the same.</summary>
internal sealed class Comparison(Network network, string model, string folder, IReadOnlyList<ContenderKind> kinds, TimeSpan budget, Action<string> log)
{
    private readonly Dictionary<string, string> absent = [];
    private readonly HashSet<string> ran = [];
    private string? printed;

    /// <summary>Contenders that could not run a cell here, and why.</summary>
    public IReadOnlyDictionary<string, string> Absent => absent;

    /// <summary>Those that ran every cell.</summary>
    public IReadOnlyList<ContenderKind> Present => [.. kinds.Where(kind => ran.Contains(kind.Name) && !absent.ContainsKey(kind.Name))];

    /// <summary>Writes what the contenders of a cell read, unless it was the last to be written.</summary>
    public CellFiles Prepare(Cell cell)
    {
        CellFiles files = new(model, folder, cell.Shape);
        if (printed == cell.Shape)
        {
            return files;
        }
        // 126 MB a model: only one shape's are kept.
        foreach (string old in Directory.EnumerateFiles(folder, "*.onnx"))
        {
            File.Delete(old);
        }
        Inputs.Of(cell).Write(files.Inputs);
        foreach (OnnxStyle style in Enum.GetValues<OnnxStyle>())
        {
            network.Print(cell, style).Save(files.Onnx(style));
        }
        printed = cell.Shape;
        return files;
    }

    public CellResult Run(Cell cell)
    {
        log($"{cell.Name}:");
        CellFiles files = Prepare(cell);
        Equality equality = Equality.Of(network, cell, Inputs.Of(cell));
        List<ContenderProcess> started = [];
        Dictionary<string, string> settings = [];
        Dictionary<string, IReadOnlyList<OutputDifference>> differences = [];
        try
        {
            List<ContenderProcess> equal = [];
            foreach (ContenderKind kind in kinds)
            {
                try
                {
                    ContenderProcess process = ContenderProcess.Start(kind, cell, files);
                    started.Add(process);
                    differences.Add(kind.Name, equality.Compare(kind.Name, process.Outputs(folder)));
                    settings.Add(kind.Name, process.Settings);
                    ran.Add(kind.Name);
                }
                catch (ContenderException exception)
                {
                    absent[kind.Name] = exception.Message;
                    log($"  {exception.Message}");
                    continue;
                }
                if (differences[kind.Name].FirstOrDefault(output => !output.Equal) is { } unequal)
                {
                    log(FormattableString.Invariant($"  {kind.Name}: {unequal.Output} differs by {unequal.Difference:E2}, more than {unequal.Tolerance:E2}: not timed (smallest margin of an assignment: {equality.Margin:E2})"));
                    continue;
                }
                equal.Add(started[^1]);
            }
            double flops = network.Describe(cell).Operations.Sum(operation => operation.Flops);
            AlternatingResult? result = equal.Count == 0 ? null : Time(cell, equal);
            foreach (ContenderProcess process in result is null ? [] : equal)
            {
                log(FormattableString.Invariant(
                    $"  {process.Name,-20} {result![process.Name].Median,8:F2} ms  (quartiles {result[process.Name].Spread:F2} apart, {result.Rounds} rounds)  {result.ShareOfCeiling(process.Name, flops).Median,6:P0} of {result.Ceiling!.Median:F0} GFLOP/s"));
            }
            return new CellResult(cell, flops, result, settings, differences);
        }
        finally
        {
            started.ForEach(process => process.Dispose());
        }
    }

    // A round needs everybody: a contender that ends in between takes the cell with it, and no more.
    private AlternatingResult? Time(Cell cell, IReadOnlyList<ContenderProcess> processes)
    {
        try
        {
            return new ProcessRounds { Budget = budget }.Run(processes, () => Ceiling.FloatRate(cell.ThreadCount));
        }
        catch (ContenderException exception)
        {
            absent[cell.Name] = $"{cell.Name}: {exception.Message}";
            log($"  {exception.Message}: nobody is timed");
            return null;
        }
    }
}
