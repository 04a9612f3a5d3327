using System.Globalization;

namespace GroupViT.Bench.Soaking;

/// <summary>Whether a soak passed, and why not.</summary>
internal sealed record SoakVerdict(IReadOnlyList<string> Faults)
{
    public bool Passed => Faults.Count == 0;

    /// <param name="load">The phase whose memory is judged: its calls allocate nothing, so what grows is ours.</param>
    /// <param name="results">The phase whose results are the collector's.</param>
    /// <param name="cancelling">The phase with cancelled calls.</param>
    /// <param name="wrongAfter">Wrong answers of the calls after all of them.</param>
    /// <param name="before">Resident bytes before the session was opened.</param>
    /// <param name="estimate">Bytes that the session said it would ask for.</param>
    /// <param name="peak">Bytes that it did ask for at most.</param>
    /// <param name="allowance">Bytes that the process may hold besides.</param>
    /// <param name="growth">Bytes that it may grow by from the load's first third to its last.</param>
    public static SoakVerdict Of(SoakPhase load, SoakPhase results, SoakPhase cancelling, int wrongAfter, long before, long estimate, long peak, long allowance, long growth)
    {
        List<string> faults = [];
        foreach (SoakPhase phase in (ReadOnlySpan<SoakPhase>)[load, results, cancelling])
        {
            Fault(phase.Wrong > 0, $"{phase.Name}: {phase.Wrong} answers differ from the first");
            Fault(phase.Errors.Count > 0, $"{phase.Name}: {phase.Errors.Count} calls failed, the first with {(phase.Errors.Count > 0 ? phase.Errors[0] : "")}");
        }
        Fault(load.Milliseconds is null || results.Milliseconds is null, "no call was answered");
        Fault(cancelling.Cancelled == 0, "cancelling: no call was cancelled");
        Fault(wrongAfter > 0, $"after cancelling: {wrongAfter} answers differ from the first");
        Fault(peak > estimate, Text($"the session asked its device for {peak} bytes, {peak - estimate} more than it had said"));
        long most = load.Rss.Max();
        Fault(most > before + estimate + allowance, Text($"load: resident memory reached {Mebibytes(most):F1} MiB; before the session it was {Mebibytes(before):F1}, the estimate is {Mebibytes(estimate):F1}, and {Mebibytes(allowance):F0} are allowed beside it"));
        long grown = Third(load.Rss, 2) - Third(load.Rss, 0);
        Fault(grown > growth, Text($"load: resident memory grew by {Mebibytes(grown):F1} MiB from the first third to the last; {Mebibytes(growth):F0} are allowed"));
        return new SoakVerdict(faults);

        void Fault(bool condition, string fault)
        {
            if (condition)
            {
                faults.Add(fault);
            }
        }
    }

    /// <summary>The median of a third of the samples, 0 to 2.</summary>
    public static long Third(IReadOnlyList<long> samples, int third)
    {
        long[] part = [.. samples.Skip(third * samples.Count / 3).Take(Math.Max(1, samples.Count / 3)).Order()];
        return part[part.Length / 2];
    }

    public override string ToString() => Passed ? "Passed: every answer was the first one's, and memory stayed within the estimate." : string.Join('\n', Faults.Select(fault => $"* FAILED: {fault}"));

    private static double Mebibytes(long bytes) => bytes / 1048576.0;

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
