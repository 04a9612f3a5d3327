using System.Diagnostics;
using GroupViT.Bench.Measuring;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Peers.Processes;

/// <summary>
/// Times processes in turn, as <see cref="Alternating"/> does calls: a round takes one sample of each and one of the machine's ceiling, and
/// ratios are made round by round.
/// </summary>
/// <remarks>
/// A sample is the median of a few runs after one that is not timed, with a pause before it. Thread pools spin for some milliseconds after a
/// run (ONNX Runtime's by default, OpenMP's too), and would otherwise take a processor from whoever comes next. Each round begins with
/// another contender, so that nobody always follows the same one.
/// </remarks>
internal sealed record ProcessRounds
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(40);
    private const double SampleMilliseconds = 60;
    private const int MostRunsPerSample = 20;

    /// <summary>No further round begins after this much time, warm-up not counted.</summary>
    public required TimeSpan Budget { get; init; }

    /// <summary>Rounds that are run whatever the budget.</summary>
    public int LeastRounds { get; init; } = 5;

    /// <summary>How long each process runs before anything is timed: compilers in the background finish.</summary>
    public TimeSpan Warmup { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <param name="processes">Who is timed.</param>
    /// <param name="ceiling">Measures the machine's multiply-adds, in GFLOP/s.</param>
    public AlternatingResult Run(IReadOnlyList<ContenderProcess> processes, Func<double> ceiling)
    {
        int[] runs = [.. processes.Select(RunsPerSample)];
        List<double>[] samples = [.. processes.Select(_ => new List<double>())];
        List<double> ceilings = [];
        long start = Stopwatch.GetTimestamp();
        for (int round = 0; round < LeastRounds || Stopwatch.GetElapsedTime(start) < Budget; round++)
        {
            Thread.Sleep(Pause);
            ceilings.Add(ceiling());
            for (int i = 0; i < processes.Count; i++)
            {
                int turn = (round + i) % processes.Count;
                Thread.Sleep(Pause);
                samples[turn].Add(new Series(processes[turn].Run(untimed: 1, runs[turn])).Median);
            }
        }
        return new AlternatingResult(
            processes.Select((process, i) => (process.Name, Series: new Series(samples[i]))).ToDictionary(pair => pair.Name, pair => pair.Series),
            new Series(ceilings));
    }

    private int RunsPerSample(ContenderProcess process)
    {
        double fastest = double.MaxValue;
        long start = Stopwatch.GetTimestamp();
        for (int call = 0; call < 3 || Stopwatch.GetElapsedTime(start) < Warmup; call++)
        {
            fastest = Math.Min(fastest, process.Run(0, 1)[0]);
        }
        return Math.Clamp((int)Math.Ceiling(SampleMilliseconds / fastest), 1, MostRunsPerSample);
    }
}
