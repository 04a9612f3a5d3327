using System.Buffers;
using System.Diagnostics;
using System.Text;

namespace GroupViT.Fuzz;

/// <summary>What a mutant did that no file may make a parser do.</summary>
internal enum FindingKind
{
    /// <summary>An exception that is not the parser's typed one, or a result that cannot be.</summary>
    Crash,

    /// <summary>Slower than the limit, each of three times.</summary>
    Hang,

    /// <summary>More memory than the parser's bound for a file of this size.</summary>
    Allocation,

    /// <summary>A refusal whose message is as long as the file wants it, or steers a terminal.</summary>
    Message,
}

/// <summary>A mutant to keep.</summary>
internal sealed record Finding(FindingKind Kind, string Detail, byte[] Input, long Mutant);

/// <summary>Limits and length of a run; the same values give the same mutants.</summary>
internal sealed record FuzzOptions
{
    public int Seed { get; init; } = 1;

    /// <summary>Stop after so many mutants.</summary>
    public long Mutants { get; init; } = long.MaxValue;

    /// <summary>Stop after so long.</summary>
    public TimeSpan Time { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>A mutant that takes longer is a hang.</summary>
    public TimeSpan Slow { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A mutant that takes longer is not waited for: the run ends there.</summary>
    public TimeSpan Endless { get; init; } = TimeSpan.FromSeconds(30);

    public int MaxFindings { get; init; } = 10;

    /// <summary>Called with every mutant before the parser sees it, so that one which kills the process can be found again.</summary>
    public Action<byte[]>? Before { get; init; }
}

/// <summary>
/// Feeds a target with mutants of its seeds. Mutants that come past the header and are refused in a way not seen before become parents
/// too, which is what coverage is to larger fuzzers: messages stand for the places in the code.
/// </summary>
internal sealed class FuzzRun
{
    private const int MaxParents = 512;
    private const int MaxWays = 4096;
    private const int MaxInput = 1 << 16;
    private const int MaxMessage = 2000;

    /// <summary>C0, DEL, C1 and what turns the reading direction: it moves a terminal's cursor, clears its lines or ends a log's.</summary>
    private static readonly SearchValues<char> Steering = SearchValues.Create([.. Enumerable.Range(0, 32).Concat(Enumerable.Range(127, 33)).Select(i => (char)i), .. "\u2028\u2029\u202A\u202B\u202C\u202D\u202E"]);

    private readonly FuzzTarget _target;
    private readonly FuzzOptions _options;
    private readonly List<byte[]> _parents;
    private readonly HashSet<string> _ways = new(StringComparer.Ordinal);
    private readonly long[] _stages;
    private readonly List<Finding> _findings = [];
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private byte[]? _current;
    private long _currentStart;
    private long _mutants;
    private double _slowest;
    private double _costliest;
    private volatile bool _stop;
    private Exception? _failure;

    private FuzzRun(FuzzTarget target, FuzzOptions options)
    {
        _target = target;
        _options = options;
        _parents = [.. target.Seeds];
        _stages = new long[target.Stages.Count];
    }

    /// <summary>Runs to the first of the options' limits.</summary>
    /// <exception cref="InvalidOperationException">A seed is not accepted, or the target itself failed.</exception>
    public static FuzzReport Run(FuzzTarget target, FuzzOptions options) => new FuzzRun(target, options).Run();

    /// <summary>Feeds one file as it is.</summary>
    public static FuzzReport Replay(FuzzTarget target, byte[] input, FuzzOptions options)
    {
        FuzzRun run = new(target, options);
        return run.Watch(() => run.Feed(input));
    }

    private FuzzReport Run() => Watch(() =>
    {
        // Twice: what only the first file costs (code, tables) is no mutant's fault.
        foreach (byte[] seed in (IEnumerable<byte[]>)[.. _target.Seeds, .. _target.Seeds])
        {
            _target.Parse(seed);
        }
        Random random = new(_options.Seed);
        long start = Stopwatch.GetTimestamp();
        while (!_stop && _mutants < _options.Mutants && (_options.Time < TimeSpan.Zero || Stopwatch.GetElapsedTime(start) < _options.Time))
        {
            // Half of the time a seed: what damage has gathered in an old line of mutants is mostly in the way.
            byte[] parent = random.Next(2) == 0 ? _target.Seeds[random.Next(_target.Seeds.Count)] : _parents[random.Next(_parents.Count)];
            byte[] other = _parents[random.Next(_parents.Count)];
            byte[] mutant = _target.Mutate(random, parent, other);
            Feed(mutant.Length <= MaxInput ? mutant : mutant[..MaxInput]);
        }
    });

    /// <summary>Runs the work on a thread of its own, and gives up on it when one mutant does not end.</summary>
    private FuzzReport Watch(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        Thread worker = new(() =>
        {
            try
            {
                work();
            }
#pragma warning disable CA1031 // Whatever it is, it is rethrown on the caller's thread.
            catch (Exception error)
#pragma warning restore CA1031
            {
                _failure = error;
            }
        })
        { IsBackground = true, Name = $"fuzz {_target.Name}" };
        worker.Start();
        while (!worker.Join(TimeSpan.FromMilliseconds(100)))
        {
            lock (_gate)
            {
                if (_current is { } input && Stopwatch.GetElapsedTime(_currentStart) > _options.Endless)
                {
                    _stop = true;
                    _findings.Add(new Finding(FindingKind.Hang, $"does not end within {_options.Endless.TotalSeconds:0} s", input, _mutants));
                    break;
                }
            }
        }
        if (_failure is not null)
        {
            throw new InvalidOperationException($"fuzzing {_target.Name} failed apart from any mutant: {_failure.Message}", _failure);
        }
        return new FuzzReport(_target, _mutants, [.. _stages], [.. _findings], Stopwatch.GetElapsedTime(start), _slowest, _costliest, _parents.Count);
    }

    private void Feed(byte[] input)
    {
        _options.Before?.Invoke(input);
        (Exception? thrown, double seconds, long allocated) = Measure(input);
        long bound = _target.AllocationBound(input);
        // The machine may have been busy, or code compiled for the first time: what counts is the best of three.
        for (int again = 0; again < 2 && (seconds > _options.Slow.TotalSeconds || allocated > bound); again++)
        {
            (_, double seconds2, long allocated2) = Measure(input);
            (seconds, allocated) = (Math.Min(seconds, seconds2), Math.Min(allocated, allocated2));
        }
        _mutants++;
        _slowest = Math.Max(_slowest, seconds);
        _costliest = Math.Max(_costliest, (double)allocated / bound);
        if (thrown is not null && !_target.IsRefusal(thrown))
        {
            Report(FindingKind.Crash, thrown.ToString(), $"{thrown.GetType()} {new StackTrace(thrown).GetFrame(0)}", input);
            return;
        }
        if (seconds > _options.Slow.TotalSeconds)
        {
            Report(FindingKind.Hang, $"takes {seconds:F2} s", "", input);
        }
        if (allocated > bound)
        {
            Report(FindingKind.Allocation, $"allocates {allocated} bytes for a file of {input.Length}; at most {bound} are allowed", "", input);
        }
        if (thrown?.Message.Length > MaxMessage)
        {
            Report(FindingKind.Message, $"is refused in {thrown.Message.Length} characters: {thrown.Message.AsSpan(0, 200)}", "", input);
        }
        if (thrown?.Message.AsSpan().IndexOfAny(Steering) >= 0)
        {
            Report(FindingKind.Message, $"is refused with control characters: {Convert.ToHexString(Encoding.UTF8.GetBytes(thrown.Message[..Math.Min(300, thrown.Message.Length)]))}", Skeleton(_target.Kind(thrown)), input);
        }
        int stage = _target.Stage(input, thrown);
        _stages[stage]++;
        Learn(input, stage, thrown);
    }

    private (Exception? Thrown, double Seconds, long Allocated) Measure(byte[] input)
    {
        lock (_gate)
        {
            (_current, _currentStart) = (input, Stopwatch.GetTimestamp());
        }
        Exception? thrown = null;
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        try
        {
            _target.Parse(input);
        }
#pragma warning disable CA1031 // Finding exceptions of any type is what this is for.
        catch (Exception error)
#pragma warning restore CA1031
        {
            thrown = error;
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        lock (_gate)
        {
            _current = null;
        }
        return (thrown, seconds, allocated);
    }

    private void Report(FindingKind kind, string detail, string where, byte[] input)
    {
        // One of each kind and place: a thousand files with one cause are one finding.
        if (_known.Add($"{kind} {where}"))
        {
            _findings.Add(new Finding(kind, detail, input, _mutants));
            _stop |= _findings.Count >= _options.MaxFindings;
        }
    }

    private void Learn(byte[] input, int stage, Exception? thrown)
    {
        if (stage < _target.FirstStagePastHeader || input.Length is 0 or >= MaxInput / 4 || _ways.Count == MaxWays || !_ways.Add($"{stage} {(thrown is null ? "" : Skeleton(_target.Kind(thrown)))}"))
        {
            return;
        }
        if (_parents.Count < MaxParents)
        {
            _parents.Add(input);
        }
        else
        {
            // The oldest mutant makes room; the seeds stay.
            _parents[_target.Seeds.Count + _ways.Count % (MaxParents - _target.Seeds.Count)] = input;
        }
    }

    /// <summary>The message without quotations and digits.</summary>
    private static string Skeleton(string message)
    {
        StringBuilder text = new(message.Length);
        bool quoted = false;
        foreach (char c in message.AsSpan(0, Math.Min(message.Length, 120)))
        {
            quoted ^= c == '\'';
            if (!quoted && !char.IsAsciiDigit(c))
            {
                text.Append(c);
            }
        }
        return text.ToString();
    }
}
