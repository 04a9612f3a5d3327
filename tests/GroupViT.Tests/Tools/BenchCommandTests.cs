using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Measuring;
using GroupViT.Tool;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit bench: what it prints fits together. How fast anything is, is no test.</summary>
[Category("Cpu")]
internal sealed class BenchCommandTests
{
    [Test]
    public void The_numbers_of_a_bench_fit_together()
    {
        ToolRun run = ToolRun.OnCpu("bench", "--size", "56x112", "--batch", "2", "--runs", "11", "--json");
        Assert.That((run.Code, run.Error), Is.EqualTo((0, "")));
        JsonElement json = run.Json.Single();
        Assert.That((Text(json, "model"), Text(json, "device"), Text(json, "precision")), Is.EqualTo(("scenes", "cpu", "fp32")));
        Assert.That((Number(json, "height"), Number(json, "width"), Number(json, "batch"), Number(json, "threads"), Number(json, "runs")), Is.EqualTo((56.0, 112.0, 2.0, 2.0, 11.0)));

        JsonElement time = json.GetProperty("milliseconds");
        double median = Number(time, "median");
        Assert.That(median, Is.InRange(Number(time, "min"), Number(time, "max")).And.Positive);
        Assert.That(Number(time, "spread"), Is.InRange(0, Number(time, "max") - Number(time, "min")));
        Assert.That(Number(json, "pictures_per_second") * median, Is.EqualTo(2000).Within(1e-6));
        Assert.That(Number(json, "gflops") * median, Is.EqualTo(1000 * Number(json, "gflop")).Within(1e-6));
        JsonElement ceiling = json.GetProperty("ceiling");
        Assert.That(Number(json, "share_of_ceiling"), Is.EqualTo(Number(json, "gflops") / Number(ceiling, "gflops")).Within(1e-9));
        foreach (string name in (string[])["gflops", "gflops_one_thread", "read_gigabytes_per_second", "triad_gigabytes_per_second"])
        {
            Assert.That(Number(ceiling, name), Is.Positive, name);
        }

        JsonElement[] stages = [.. json.GetProperty("stages").EnumerateArray()];
        Assert.That(stages.Select(stage => Text(stage, "name")), Is.EqualTo((string[])
            ["embeddings", "stage 0 tokens", "stage 0 blocks", "stage 0 grouping", "stage 1 tokens", "stage 1 blocks", "stage 1 grouping", "stage 2 blocks", "head"]));
        Assert.That(stages.Sum(stage => Number(stage, "gflop")), Is.EqualTo(Number(json, "gflop")).Within(1e-9));
        Assert.That(stages.Select(stage => Number(stage.GetProperty("milliseconds"), "median")), Is.All.Positive);

        using GroupVitModel model = ModelLocator.Open("scenes");
        using PreparedImageEncoder encoder = new(model, "cpu", 2, 56, 112, 2);
        Assert.That(stages.Sum(stage => Number(stage, "steps")), Is.EqualTo(encoder.Network.Operations.Count));
        JsonElement bytes = json.GetProperty("bytes");
        Assert.That(
            (Number(bytes, "weights"), Number(bytes, "arena"), Number(bytes, "scratch")),
            Is.EqualTo(((double)encoder.Network.WeightBytes, (double)encoder.Network.ArenaBytes, (double)encoder.Network.ScratchBytes)));
        Assert.That(Number(bytes, "peak"), Is.GreaterThan(Number(bytes, "weights")));
    }

    [Test]
    public void Without_a_terminal_a_bench_is_plain_text()
    {
        ToolRun run = ToolRun.OnCpu("bench", "--size", "56", "--runs", "10");
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Output, Does.Contain("input 56x56, batch 1, 2 threads").And.Contain("ceiling: ").And.Contain("10 runs: ").And.Contain("of the ceiling").And.Contain("memory: weights "));
        Assert.That(run.Lines.Count(line => line.StartsWith("stage 0 blocks ", StringComparison.Ordinal)), Is.EqualTo(1));
        Assert.That(run.Output, Does.Not.Contain('\u001b').And.Not.Contain('█'));
        Assert.That(run.Error, Does.StartWith("groupvit: warm; now 10 runs"));
    }

    [TestCase("from 10 to 1000000, not '9'", "--runs", "9")]
    [TestCase("from 10 to 1000000, not '0'", "--runs", "0")]
    [TestCase("from 10 to 1000000, not 'many'", "--runs", "many")]
    [TestCase("multiples of the model's patch of 8 pixels, as 56x104", "--size", "55x100")]
    [TestCase("--size takes", "--size", "0")]
    [TestCase("--size takes", "--size", "1x2x3")]
    [TestCase("from 1 to 1024", "--batch", "0")]
    [TestCase("no kernels for fp16; what there is: fp32", "--precision", "fp16")]
    [TestCase("cpu, simulator", "--device", "cuda:93")]
    [TestCase("no such folder or file", "--model", "nowhere")]
    public void What_cannot_be_benched_is_exit_code_2_and_prints_no_figure(string says, params string[] options)
    {
        string[] device = options[0] == "--device" ? [] : ["--device", "cpu"];
        ToolRun run = ToolRun.Of(["bench", .. device, .. options]);
        Assert.That((run.Code, run.Output), Is.EqualTo((2, "")), run.Error);
        Assert.That(run.Error, Does.StartWith("groupvit: ").And.Contain(says));
    }

    [Test]
    public void A_cancelled_bench_is_exit_code_130_and_prints_no_figure()
    {
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        using StringWriter output = new();
        Assert.That(GroupVitProgram.Run(["bench", "--device", "cpu"], output, TextWriter.Null, cancelled.Token), Is.EqualTo(130));
        Assert.That(output.ToString(), Is.Empty);
    }

    [Test]
    public void Fewer_than_ten_runs_are_refused_by_the_measurement_itself()
    {
        using GroupVitModel model = ModelLocator.Open("scenes");
        Assert.That(
            () => BenchRun.Measure(model, "cpu", Precision.Float32, (56, 56), 1, 1, BenchRun.LeastRuns - 1, _ => { }, CancellationToken.None), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private static double Number(JsonElement json, string name) => json.GetProperty(name).GetDouble();

    private static string? Text(JsonElement json, string name) => json.GetProperty(name).GetString();
}
