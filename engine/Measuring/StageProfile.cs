using GroupViT.Kernels;

namespace GroupViT.Native.Measuring;

/// <summary>What one group of a network's operations took.</summary>
/// <param name="Name">The group.</param>
/// <param name="Steps">Operations in it.</param>
/// <param name="Flops">Of their products.</param>
/// <param name="Milliseconds">Their sum, a sample per run.</param>
internal sealed record PartTime(string Name, int Steps, double Flops, Series Milliseconds);

/// <summary>The steps' times of several runs of one network, to be added up by part, by kind of operation, or as one likes.</summary>
internal sealed class StageProfile(IReadOnlyList<Operation> operations)
{
    private readonly List<double[]> runs = [];

    public int Runs => runs.Count;

    /// <summary>One run's milliseconds, a number per operation.</summary>
    public void Add(ReadOnlySpan<double> milliseconds)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(milliseconds.Length, operations.Count);
        runs.Add(milliseconds.ToArray());
    }

    public void Clear() => runs.Clear();

    /// <summary>All operations of one key together, in the order in which the keys occur.</summary>
    public IReadOnlyList<PartTime> By(Func<Operation, string> key)
        => [.. Enumerable.Range(0, operations.Count)
            .GroupBy(step => key(operations[step]))
            .Select(group => new PartTime(
                group.Key, group.Count(), group.Sum(step => operations[step].Flops),
                new Series([.. runs.Select(run => group.Sum(step => run[step]))])))];
}
