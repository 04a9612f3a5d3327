using System.Diagnostics;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Bench;

/// <summary>The script for a borrowed card keeps its books, whatever its parts do: tried with a payload whose programs pass, fail or hang.</summary>
internal sealed class GpuRunTests : IDisposable
{
    private TemporaryFolder folder = null!;
    private string repository = "";

    [OneTimeSetUp]
    public void Pack()
    {
        repository = RepositoryFolder.OrIgnore();
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("the script is for Linux");
            return;
        }
        folder = new TemporaryFolder();
        foreach (string part in (string[])["dotnet", "tests", "bench"])
        {
            Directory.CreateDirectory(folder.Join($"payload/{part}"));
        }
        File.WriteAllText(folder.Join("payload/commit"), "0123456789abcdef\n");
        File.WriteAllText(folder.Join("payload/dotnet/dotnet"), """
            #!/bin/sh
            case "$*" in
            *ceilings*) echo "the table of $GROUPVIT_BENCH_COMMIT"; echo "a row of it" >&2 ;;
            *products*) echo "half a table"; echo "why it ended" >&2; exit 3 ;;
            *memory*) echo "a row before it hung" >&2; sleep 60 ;;
            *) echo "nothing known of $*" >&2; exit 9 ;;
            esac
            """);
        File.SetUnixFileMode(folder.Join("payload/dotnet/dotnet"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Assert.That(Execute("tar", new() { ["LC_ALL"] = "C" }, "-C", folder.Join("payload"), "-czf", folder.Join("payload.tar.gz"), ".").Code, Is.Zero);
    }

    public void Dispose() => folder?.Dispose();

    [Test]
    public void Parts_that_fail_or_hang_are_named_and_the_others_are_there()
    {
        (int code, string result) = Run(new() { ["TOTAL_SECONDS"] = "300", ["PART_SECONDS"] = "4" }, "products", "memory", "ceilings");
        Assert.That(code, Is.EqualTo(1));
        Assert.That(result, Does.Contain("* Commit: 0123456789abcdef").And.Contain("the table of 0123456789ab\n").And.Not.Contain("a row of it"));
        Assert.That(result, Does.Contain("half a table").And.Contain("why it ended").And.Contain("a row before it hung"));
        Assert.That(result, Does.Match(@"\| Products \| failed with exit code 3 \| \d+ \|\n\| Memory \| ran out of its 4 s \| \d+ \|\n\| Ceilings \| passed \| \d+ \|"));
    }

    [Test]
    public void A_part_that_no_longer_fits_is_skipped_by_name()
    {
        (int code, string result) = Run(new() { ["TOTAL_SECONDS"] = "14" }, "first-mask");
        Assert.That(code, Is.EqualTo(1));
        Assert.That(result, Does.Match(@"## Start to first mask\n\nskipped: \d+ s are left for it, and it needs 20").And.Match(@"\| Start to first mask \| skipped: [^|]*\| 0 \|"));
    }

    [Test]
    public void Time_is_kept_for_the_reference_where_it_was_asked_for()
    {
        (int code, string result) = Run(new() { ["TOTAL_SECONDS"] = "120", ["REFERENCE_SECONDS"] = "118", ["PATH"] = folder.Join("payload") + ":/usr/bin:/bin" }, "ceilings", "reference");
        Assert.That(code, Is.EqualTo(1));
        Assert.That(result, Does.Match(@"## Ceilings\n\nskipped: ").And.Contain("## Reference implementation"));
    }

    [Test]
    public void All_passed_is_exit_code_0_and_arguments_may_be_given()
    {
        (int code, string result) = Run(new() { ["TOTAL_SECONDS"] = "300", ["BENCH_ARGS"] = "ceilings --device a\nceilings --device b" }, "bench");
        Assert.That(result, Does.Contain("| Benchmark: ceilings --device a | passed |").And.Contain("| Benchmark: ceilings --device b | passed |"));
        Assert.That(code, Is.Zero);
    }

    [Test]
    public void Without_a_payload_or_with_an_unknown_part_nothing_starts()
    {
        string script = Path.Combine(repository, "bench", "gpu", "run");
        Assert.That(Execute("bash", new() { ["PAYLOAD"] = folder.Join("nothing") }, script), Has.Property("Code").EqualTo(2).And.Property("Errors").Contains("is missing"));
        Assert.That(Execute("bash", new() { ["PAYLOAD"] = folder.Join("payload.tar.gz") }, script, "everything"), Has.Property("Code").EqualTo(2).And.Property("Errors").Contains("Unknown part 'everything'"));
    }

    private (int Code, string Result) Run(Dictionary<string, string> variables, params string[] parts)
    {
        string results = folder.Join(Guid.NewGuid().ToString("N"));
        (variables["OUT"], variables["PAYLOAD"], variables["ALLOW_NO_GPU"]) = (results, folder.Join("payload.tar.gz"), "1");
        Ended ended = Execute("bash", variables, [Path.Combine(repository, "bench", "gpu", "run"), .. parts]);
        TestContext.Out.WriteLine(ended.Errors);
        return (ended.Code, File.ReadAllText(Directory.GetFiles(results).Single()));
    }

    private static Ended Execute(string program, Dictionary<string, string> variables, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string name in (string[])["TOTAL_SECONDS", "PART_SECONDS", "REFERENCE_SECONDS", "FILTER", "BENCH_ARGS", "REFERENCE_ARGS"])
        {
            start.Environment.Remove(name);
        }
        foreach ((string name, string value) in variables)
        {
            start.Environment[name] = value;
        }
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        process.WaitForExit();
        return new Ended(process.ExitCode, output.Result, errors.Result);
    }

    private sealed record Ended(int Code, string Output, string Errors);
}
