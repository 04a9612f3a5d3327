using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace GroupViT.Tests.Tools;

/// <summary>segment --explain says what happened, and what it advises happens.</summary>
[Category("Cpu"), FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed partial class ExplainTests : IDisposable
{
    private static readonly string[] Samples = ["night", "meadow", "kitchen", "street", "harbour", "desert"];

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Test]
    public void The_facts_are_those_of_the_label_map([Values("nvlabs", "transformers")] string preset, [ValueSource(nameof(Samples))] string sample)
    {
        (ToolRun run, JsonElement explanation) = Explain(sample, ["--preset", preset]);
        JsonElement answer = JsonDocument.Parse(File.ReadAllBytes(folder.Join($"{sample}.json"))).RootElement;
        JsonElement[] labels = [.. explanation.GetProperty("labels").EnumerateArray()];
        Assert.That(labels, Has.Length.EqualTo(68));
        Assert.That(labels.Select(label => label.GetProperty("rank").GetInt32()), Is.EqualTo(Enumerable.Range(1, 68)));
        Assert.That(labels.Select(label => label.GetProperty("similarity").GetDouble()), Is.Ordered.Descending);
        foreach (JsonElement label in labels)
        {
            Assert.That(label.GetProperty("pixels_won").GetInt64(), Is.EqualTo(answer.GetProperty("labels")[label.GetProperty("id").GetInt32()].GetProperty("pixels").GetInt64()));
            Assert.That(label.GetProperty("kept").GetBoolean(), Is.EqualTo(preset == "transformers" || label.GetProperty("rank").GetInt32() <= 5));
            if (preset == "nvlabs")
            {
                double score = label.GetProperty("softmax_kept").GetDouble() * label.GetProperty("softmax_all").GetDouble();
                Assert.That(label.GetProperty("score").GetDouble(), Is.EqualTo(score).Within(1e-12));
            }
        }
        JsonElement[] groups = [.. explanation.GetProperty("groups").EnumerateArray()];
        Assert.That(groups.Sum(group => group.GetProperty("share").GetDouble()), Is.EqualTo(1).Within(1e-12));
        foreach (JsonElement group in groups)
        {
            double[] shares = [.. group.GetProperty("best").EnumerateArray().Select(best => best.GetProperty("softmax_all").GetDouble())];
            Assert.That(shares, Has.Length.EqualTo(5).And.Ordered.Descending);
            Assert.That(shares.Sum(), Is.LessThanOrEqualTo(1 + 1e-12));
            Assert.That(group.GetProperty("entropy_bits").GetDouble(), Is.InRange(0, Math.Log2(68)));
        }
        Assert.That(run.Output, Does.Contain("group 7:").And.Contain("labels further away won nothing either"));
        string[] winners = [.. labels.Where(label => label.GetProperty("pixels_won").GetInt64() > 0).Select(label => label.GetProperty("label").GetString()!)];
        Assert.That(winners, Has.All.Matches<string>(winner => run.Output.Contains($"'{winner}' won ", StringComparison.Ordinal)));
    }

    [Test]
    public void A_label_that_the_filter_dropped_comes_back_with_the_advised_filter()
    {
        int tried = 0;
        foreach (string sample in Samples)
        {
            // With a filter of one, labels that are in the picture are dropped.
            (ToolRun run, _) = Explain(sample, ["--top-classes", "1"]);
            foreach (Match match in Dropped().Matches(run.Output))
            {
                tried++;
                int before = Pixels(sample, match.Groups["label"].Value, "--top-classes", "1");
                int after = Pixels(sample, match.Groups["label"].Value, "--top-classes", match.Groups["value"].Value);
                Assert.That((before, after > 0), Is.EqualTo((0, true)), match.Value);
            }
        }
        Assert.That(tried, Is.GreaterThan(5));
    }

    [Test]
    public void A_label_below_the_threshold_comes_back_with_the_advised_threshold()
    {
        int tried = 0;
        string[] words = ["--labels", "background, tower, dog, cat, moon, house, elephant, tree, whale, pizza, bicycle", "--templates", "identity"];
        foreach (string sample in Samples)
        {
            (ToolRun run, JsonElement explanation) = Explain(sample, [.. words, "--background-threshold", "0.9999", "--top-classes", "10", "--temperature", "20"]);
            Assert.That(explanation.GetProperty("effective_background_threshold").GetDouble(), Is.LessThanOrEqualTo(0.9999));
            foreach (Match match in Below().Matches(run.Output))
            {
                tried++;
                string[] rules = [.. words, "--top-classes", "10", "--temperature", "20"];
                int before = Pixels(sample, match.Groups["label"].Value, [.. rules, "--background-threshold", "0.9999"]);
                int after = Pixels(sample, match.Groups["label"].Value, [.. rules, "--background-threshold", match.Groups["value"].Value]);
                Assert.That((before, after > 0), Is.EqualTo((0, true)), match.Value);
            }
        }
        Assert.That(tried, Is.GreaterThan(1));
    }

    [Test]
    public void Named_labels_are_explained_and_others_are_not()
    {
        (ToolRun run, JsonElement explanation) = Explain("night", [], "car, moon");
        Assert.That(explanation.GetProperty("labels").EnumerateArray().Select(label => label.GetProperty("label").GetString()), Is.EqualTo((string[])["moon", "car"]));
        Assert.That(run.Output, Does.Contain("'moon' won 3.7 % of the picture").And.Contain("'car' ranked 62nd of 68 for this picture, so the nvlabs preset dropped it").And.Not.Contain("'sun'"));
        ToolRun unknown = ToolRun.OnCpu("segment", Fixtures.Samples("night.png"), "--out", folder.Path, "--explain", "penguin");
        Assert.That((unknown.Code, unknown.Error.Contains("'penguin' cannot be explained", StringComparison.Ordinal)), Is.EqualTo((2, true)), unknown.Error);
        ToolRun slide = ToolRun.OnCpu("segment", Fixtures.Samples("night.png"), "--explain", "--mode", "slide");
        Assert.That((slide.Code, slide.Error.Contains("--mode whole", StringComparison.Ordinal)), Is.EqualTo((2, true)));
        ToolRun json = ToolRun.OnCpu("segment", Fixtures.Samples("night.png"), "--write", "none", "--explain", "moon", "--json");
        Assert.That(json.Json.Single().GetProperty("explanation").GetProperty("labels")[0].GetProperty("label").GetString(), Is.EqualTo("moon"));
    }

    [Test]
    public void Hugging_Faces_rules_are_explained_without_filter_and_threshold()
    {
        (ToolRun run, JsonElement explanation) = Explain("night", ["--preset", "transformers"], "car, moon");
        Assert.That(run.Output, Does.Contain("'car' is 62nd of 68").Or.Contain("'car' is "));
        Assert.That(run.Output, Does.Not.Contain("dropped").And.Not.Contain("threshold").And.Not.Contain("--top-classes"));
        Assert.That(explanation.TryGetProperty("effective_background_threshold", out _), Is.False);
        Assert.That(explanation.GetProperty("rules").GetProperty("maps").GetString(), Is.EqualTo("soft"));
    }

    private (ToolRun Run, JsonElement Explanation) Explain(string sample, string[] options, string? labels = null)
    {
        ToolRun run = ToolRun.OnCpu(["segment", Fixtures.Samples($"{sample}.png"), "--out", folder.Path, "--explain", .. labels is null ? Array.Empty<string>() : [labels], .. options]);
        Assert.That(run.Code, Is.Zero, run.Error);
        return (run, JsonDocument.Parse(File.ReadAllBytes(folder.Join($"{sample}.explain.json"))).RootElement);
    }

    private static int Pixels(string sample, string label, params string[] options)
        => ToolRun.OnCpu(["segment", Fixtures.Samples($"{sample}.png"), "--write", "none", "--json", .. options]).Json.Single().GetProperty("labels").EnumerateArray()
            .Single(one => one.GetProperty("label").GetString() == label).GetProperty("pixels").GetInt32();

    [GeneratedRegex("'(?<label>[a-z ]+)' ranked [0-9]+[a-z]+ of [0-9]+ for this picture, so the nvlabs preset dropped it; --top-classes (?<value>[0-9]+) keeps it")]
    private static partial Regex Dropped();

    [GeneratedRegex("'(?<label>[a-z ]+)' was kept .* is below the background threshold .*; --background-threshold (?<value>[0-9.E-]+) keeps it")]
    private static partial Regex Below();
}
