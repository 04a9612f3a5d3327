using GroupViT.Fuzz;

namespace GroupViT.Tests.Fuzzing;

/// <summary>
/// A short run over every parser, the same mutants each time. In the suite only: the parsers hold next to no vector code of ours, so that running them
/// again at every instruction-set level would prove nothing more.
/// </summary>
internal sealed class FuzzTests
{
    /// <summary>Mutants for each target: fewer where one costs more (a vocabulary has 514 entries at least, a gzip is packed anew).</summary>
    private static readonly Dictionary<string, int> Mutants = new()
    {
        ["safetensors"] = 50_000,
        ["index"] = 20_000,
        ["config"] = 20_000,
        ["preprocessor"] = 15_000,
        ["vocabulary"] = 8_000,
        ["merges"] = 8_000,
        ["gzip-vocabulary"] = 5_000,
        ["label-bank"] = 15_000,
        ["labels"] = 10_000,
        ["pickle"] = 20_000,
        ["pytorch-zip"] = 15_000,
        ["png"] = 30_000,
        ["jpeg"] = 20_000,
    };

    private static IEnumerable<TestCaseData> Targets() => TargetList.All().Select(target => new TestCaseData(target).SetArgDisplayNames(target.Name));

    [Test]
    public void Every_target_is_run_and_all_together_with_a_hundred_thousand_mutants()
    {
        Assert.That(Mutants.Keys, Is.EquivalentTo(TargetList.All().Select(target => target.Name)));
        Assert.That(Mutants.Values.Sum(), Is.GreaterThanOrEqualTo(100_000));
    }

    [TestCaseSource(nameof(Targets))]
    public void Damaged_files_are_read_or_refused_quickly_and_within_bounds(FuzzTarget target)
    {
        FuzzReport report = FuzzRun.Run(target, new FuzzOptions { Seed = 20220222, Mutants = Mutants[target.Name] });
        TestContext.Out.WriteLine(report);
        Assert.That(report.Findings.Select(Text), Is.Empty);
        Assert.That(report.Mutants, Is.EqualTo(Mutants[target.Name]));
        Assert.That(report.StageCounts, Has.All.Positive, "every stage is reached, the last one too");
        Assert.That(report.ShareBehindHeader, Is.GreaterThanOrEqualTo(0.3), "mutants that fail at the first byte test the first byte");
    }

    [TestCaseSource(nameof(Targets))]
    public void The_same_seed_gives_the_same_mutants(FuzzTarget target)
    {
        Assert.That(Inputs(3), Is.EqualTo(Inputs(3)));
        Assert.That(Inputs(4), Is.Not.EqualTo(Inputs(3)));

        List<string> Inputs(int seed)
        {
            List<string> inputs = [];
            FuzzRun.Run(target, new FuzzOptions { Seed = seed, Mutants = 200, Before = input => inputs.Add(Convert.ToHexString(input)) });
            return inputs;
        }
    }

    [TestCaseSource(nameof(Targets))]
    public void Every_seed_of_the_corpus_is_accepted(FuzzTarget target)
    {
        foreach (byte[] seed in target.Seeds)
        {
            Assert.That(() => target.Parse(seed), Throws.Nothing);
            Assert.That(target.Stage(seed, null), Is.EqualTo(target.Stages.Count - 1));
            Assert.That(FuzzRun.Replay(target, seed, new FuzzOptions()).Findings, Is.Empty);
        }
    }

    private static string Text(Finding finding) => $"{finding.Kind} at mutant {finding.Mutant}: {finding.Detail}\n{Convert.ToBase64String(finding.Input)}";
}
