using GroupViT.Bench.Measuring;
using GroupViT.Native.Measuring;

namespace GroupViT.Tests.Bench;

/// <summary>Contenders run in turn, as often as they should; times themselves are no test.</summary>
internal sealed class AlternatingTests
{
    [Test]
    public void Contenders_take_turns_after_their_warm_up()
    {
        List<string> calls = [];
        int before = -1;
        AlternatingResult result = new Alternating
        {
            Budget = TimeSpan.Zero,
            Warmup = TimeSpan.Zero,
            LeastRounds = 4,
            WarmedUp = () => before = calls.Count,
        }.Run([Slow("A"), Slow("B"), Slow("C")]);
        Assert.That(string.Concat(calls[..before]), Is.EqualTo("AAABBBCCC"));
        Assert.That(string.Concat(calls[before..]), Is.EqualTo("ABCABCABCABC"));
        Assert.That(result.Rounds, Is.EqualTo(4));
        Assert.That(result.Milliseconds.Keys, Is.EqualTo((string[])["A", "B", "C"]));
        Assert.That(result.Milliseconds.Values.Select(series => series.Count), Is.All.EqualTo(4));
        Assert.That(result.Milliseconds.Values.Select(series => series.Min), Is.All.GreaterThan(1));
        Assert.That(result.Ceiling, Is.Null);

        // Longer than a sample must be, so that a sample is one call.
        Contender Slow(string name) => new(name, () =>
        {
            calls.Add(name);
            Thread.Sleep(3);
        });
    }

    [Test]
    public void A_short_call_is_repeated_within_its_sample()
    {
        int calls = 0;
        int before = 0;
        AlternatingResult result = new Alternating
        {
            Budget = TimeSpan.Zero,
            Warmup = TimeSpan.FromMilliseconds(20),
            LeastRounds = 3,
            WarmedUp = () => before = calls,
        }.Run([new Contender("short", () => calls++)]);
        Assert.That(calls - before, Is.GreaterThan(3 * 100), "a call of nanoseconds is repeated often");
        Assert.That(result["short"].Max, Is.LessThan(1), "a sample is the time of one call");
    }

    [Test]
    public void Rounds_end_with_the_budget_or_the_count_and_a_cancelled_run_at_once()
    {
        Contender sleeper = new("sleeper", () => Thread.Sleep(2));
        Alternating quick = new() { Warmup = TimeSpan.Zero };
        Assert.That((quick with { Budget = TimeSpan.FromMinutes(1), MostRounds = 7 }).Run([sleeper]).Rounds, Is.EqualTo(7));
        Assert.That((quick with { Budget = TimeSpan.FromMilliseconds(100), LeastRounds = 2 }).Run([sleeper]).Rounds, Is.InRange(2, 51));
        Assert.That(() => quick.Run([sleeper], new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void Contenders_have_names_of_their_own()
    {
        Assert.That(() => new Alternating().Run([]), Throws.ArgumentException);
        Assert.That(() => new Alternating().Run([new Contender("a", () => { }), new Contender("a", () => { })]), Throws.ArgumentException);
    }

    [Test]
    public void The_ceiling_is_measured_before_the_first_round_and_again_when_it_is_old()
    {
        int measured = 0;
        AlternatingResult result = new Alternating
        {
            Budget = TimeSpan.Zero,
            Warmup = TimeSpan.Zero,
            LeastRounds = 5,
            Ceiling = () => ++measured * 100,
            CeilingAge = TimeSpan.Zero,
        }.Run([new Contender("sleeper", () => Thread.Sleep(2))]);
        Assert.That(result.Ceiling!.Samples, Is.EqualTo((double[])[100, 200, 300, 400, 500]));
        measured = 0;
        result = new Alternating { Budget = TimeSpan.Zero, Warmup = TimeSpan.Zero, LeastRounds = 5, Ceiling = () => ++measured, CeilingAge = TimeSpan.FromMinutes(1) }
            .Run([new Contender("sleeper", () => Thread.Sleep(2))]);
        Assert.That((measured, result.Ceiling!.Count), Is.EqualTo((1, 5)));
    }

    [Test]
    public void Ratios_and_shares_are_taken_round_by_round()
    {
        AlternatingResult result = new(
            new Dictionary<string, Series> { ["ours"] = new(1.0, 2, 4), ["theirs"] = new(2.0, 3, 12) }, new Series(100.0, 100, 50));
        Assert.That(result.Ratio("theirs", "ours").Samples, Is.EqualTo((double[])[2, 1.5, 3]));
        Assert.That(result.Ratio("theirs", "ours").Median, Is.EqualTo(2), "the ratio of the medians would be 1.5");
        // 80 MFLOP in 1, 2 and 4 ms are 80, 40 and 20 GFLOP/s.
        Assert.That(result.ShareOfCeiling("ours", 80e6).Samples, Is.EqualTo((double[])[0.8, 0.4, 0.4]).Within(1e-12));
        Assert.That(() => (result with { Ceiling = null }).ShareOfCeiling("ours", 1), Throws.InvalidOperationException);
    }
}
