using System.Globalization;
using System.Text;

namespace GroupViT.Fuzz;

/// <summary>What came of a run.</summary>
/// <param name="Target">The parser.</param>
/// <param name="Mutants">How many files it was fed.</param>
/// <param name="StageCounts">How many of them ended in each of the target's stages; those with a crash in none.</param>
/// <param name="Findings">What must not be.</param>
/// <param name="Elapsed">Wall time, mutation included.</param>
/// <param name="SlowestSeconds">The slowest mutant.</param>
/// <param name="CostliestShare">The largest allocation, as a share of that file's bound.</param>
/// <param name="Parents">Seeds and mutants that went a new way.</param>
internal sealed record FuzzReport(
    FuzzTarget Target,
    long Mutants,
    IReadOnlyList<long> StageCounts,
    IReadOnlyList<Finding> Findings,
    TimeSpan Elapsed,
    double SlowestSeconds,
    double CostliestShare,
    int Parents)
{
    /// <summary>The share of mutants that came past the format's magic and header.</summary>
    public double ShareBehindHeader => Mutants == 0 ? 0 : (double)StageCounts.Skip(Target.FirstStagePastHeader).Sum() / Mutants;

    /// <summary>One line for the run, one for each stage.</summary>
    public override string ToString()
    {
        CultureInfo invariant = CultureInfo.InvariantCulture;
        StringBuilder text = new();
        text.Append(invariant, $"{Target.Name}: {Mutants} mutants in {Elapsed.TotalSeconds:0.0} s, {Parents} parents, slowest {SlowestSeconds * 1000:0.0} ms, ");
        text.Append(invariant, $"at most {CostliestShare:P0} of the memory bound, {ShareBehindHeader:P1} past magic and header, {Findings.Count} findings");
        for (int stage = 0; stage < StageCounts.Count; stage++)
        {
            text.Append('\n').Append(invariant, $"  {Target.Stages[stage],-40} {StageCounts[stage],10} {(Mutants == 0 ? 0 : (double)StageCounts[stage] / Mutants),8:P1}");
        }
        return text.ToString();
    }
}
