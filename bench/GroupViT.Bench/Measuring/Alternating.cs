using System.Diagnostics;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Measuring;

/// <summary>One of several things that are compared.</summary>
/// <param name="Name">Its name in the tables.</param>
/// <param name="Run">One call of it; returns when the work is done.</param>
internal sealed record Contender(string Name, Action Run);

/// <summary>
/// Times contenders in turn, A B C A B C ..., so that whatever slows a machine for a while slows all of them; compare them by
/// <see cref="AlternatingResult.Ratio"/>, round by round.
/// </summary>
internal sealed record Alternating
{
    private const double LeastSampleMilliseconds = 1;

    /// <summary>No further round begins after this much time, warm-up not counted. Default 5 s.</summary>
    public TimeSpan Budget { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Rounds that are run whatever the budget. Default 10.</summary>
    public int LeastRounds { get; init; } = 10;

    /// <summary>Rounds after which no more is learned. Default 1,000.</summary>
    public int MostRounds { get; init; } = 1000;

    /// <summary>How long each contender is called, at least three times, before anything is timed: compilers in the background finish. Default 0.5 s.</summary>
    public TimeSpan Warmup { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Called once, between warm-up and the first round.</summary>
    public Action? WarmedUp { get; init; }

    /// <summary>The machine's ceiling in GFLOP/s, measured before the first round and again between rounds; none by default.</summary>
    public Func<double>? Ceiling { get; init; }

    /// <summary>How long a measured ceiling is believed. Default 0.25 s.</summary>
    public TimeSpan CeilingAge { get; init; } = TimeSpan.FromSeconds(0.25);

    /// <summary>Milliseconds per call of each contender, one sample per round.</summary>
    /// <remarks>A call below a millisecond is repeated within its sample until that much is timed.</remarks>
    public AlternatingResult Run(IReadOnlyList<Contender> contenders, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(contenders);
        if (contenders.Count == 0 || contenders.Select(contender => contender.Name).Distinct().Count() != contenders.Count)
        {
            throw new ArgumentException("there must be contenders, each with a name of its own", nameof(contenders));
        }
        int[] repetitions = [.. contenders.Select(contender => Repetitions(contender, cancellation))];
        List<double>[] samples = [.. contenders.Select(_ => new List<double>())];
        List<double> ceilings = [];
        GC.Collect();
        WarmedUp?.Invoke();
        long start = Stopwatch.GetTimestamp();
        long measured = 0;
        double ceiling = 0;
        for (int round = 0; round < MostRounds && (round < LeastRounds || Stopwatch.GetElapsedTime(start) < Budget); round++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Ceiling is not null)
            {
                if (measured == 0 || Stopwatch.GetElapsedTime(measured) > CeilingAge)
                {
                    ceiling = Ceiling();
                    measured = Stopwatch.GetTimestamp();
                }
                ceilings.Add(ceiling);
            }
            for (int i = 0; i < contenders.Count; i++)
            {
                samples[i].Add(Time(contenders[i], repetitions[i]));
            }
        }
        return new AlternatingResult(
            contenders.Select((contender, i) => (contender.Name, Series: new Series(samples[i]))).ToDictionary(pair => pair.Name, pair => pair.Series),
            ceilings.Count == 0 ? null : new Series(ceilings));
    }

    private int Repetitions(Contender contender, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        double fastest = double.MaxValue;
        for (int call = 0; call < 3 || Stopwatch.GetElapsedTime(start) < Warmup; call++)
        {
            cancellation.ThrowIfCancellationRequested();
            fastest = Math.Min(fastest, Time(contender, 1));
        }
        return (int)Math.Ceiling(LeastSampleMilliseconds / Math.Max(fastest, 1e-5));
    }

    private static double Time(Contender contender, int repetitions)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repetitions; i++)
        {
            contender.Run();
        }
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds / repetitions;
    }
}

/// <summary>What <see cref="Alternating"/> measured; all series have a sample per round.</summary>
/// <param name="Milliseconds">Per call, by contender.</param>
/// <param name="Ceiling">GFLOP/s as last measured before the round; null where nobody asked.</param>
internal sealed record AlternatingResult(IReadOnlyDictionary<string, Series> Milliseconds, Series? Ceiling)
{
    public Series this[string contender] => Milliseconds[contender];

    public int Rounds => Milliseconds.Values.First().Count;

    /// <summary>How many times as long as <paramref name="reference"/> the contender takes, by round; its median is the ratio to report.</summary>
    public Series Ratio(string contender, string reference) => this[contender].Over(this[reference]);

    /// <summary>GFLOP/s by round over the ceiling of that round, 0 to 1 (or a little more where the machine sped up in between).</summary>
    /// <param name="contender">Whose share.</param>
    /// <param name="flops">Floating-point operations of one call.</param>
    public Series ShareOfCeiling(string contender, double flops)
    {
        Series ceiling = Ceiling ?? throw new InvalidOperationException("no ceiling was measured");
        return new Series([.. this[contender].Samples.Select(milliseconds => flops / (milliseconds * 1e6))]).Over(ceiling);
    }
}
