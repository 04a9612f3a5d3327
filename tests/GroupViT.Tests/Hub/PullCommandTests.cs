using System.Text.Json;
using GroupViT.Tests.Tools;
using GroupViT.Tool;
using GroupViT.Tool.Commands;
using GroupViT.Tool.Hub;

namespace GroupViT.Tests.Hub;

/// <summary>groupvit pull, as it is typed and as it answers.</summary>
[Category("Cpu")]
internal sealed class PullCommandTests
{
    [Test]
    public async Task It_says_what_came_and_how_to_use_it()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        ToolRun first = Run(fixture);
        Assert.That(first.Code, Is.Zero, first.Error);
        Assert.That(first.Output, Does.Contain("model.safetensors").And.Contains("293.0 KiB").And.Contains(TestHub.FirstCommit).And.Contains("--model owner/tiny"));
        Assert.That(first.Error, Is.Empty);
        Assert.That(Run(fixture).Output, Does.Contain("was here").And.Not.Contains("\u001b"));
        Assert.That(Run(fixture, quiet: true).Output, Is.Empty);
    }

    [Test]
    public async Task It_prints_one_JSON_object_for_machines()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        JsonElement json = Run(fixture, json: true).Json.Single();
        Assert.That(json.GetProperty("repository").GetString(), Is.EqualTo("owner/tiny"));
        Assert.That(json.GetProperty("commit").GetString(), Is.EqualTo(TestHub.FirstCommit));
        Assert.That(json.GetProperty("model").GetString(), Is.EqualTo(fixture.Snapshot()));
        Assert.That(json.GetProperty("converted").GetBoolean(), Is.False);
        Assert.That(json.GetProperty("files").EnumerateArray().Sum(file => file.GetProperty("downloaded").GetInt64()), Is.EqualTo(300_000 + 26 + 2));
    }

    [Test]
    public async Task A_repository_that_is_not_there_is_one_line_and_the_code_2()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Variables["HF_TOKEN"] = "hf_secret";
        ToolRun run = Run(fixture, repository: "owner/none");
        Assert.That(run.Code, Is.EqualTo(2));
        Assert.That(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(1));
        Assert.That(run.Error, Does.StartWith("groupvit: owner/none:").And.Not.Contains("hf_secret"));
        Assert.That(run.Output, Is.Empty);
    }

    [Test]
    public async Task Cancelling_is_the_code_130()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        Assert.That(Run(fixture, cancellation: new CancellationToken(canceled: true)).Code, Is.EqualTo(130));
    }

    [TestCase("pull")]
    [TestCase("pull", "no-repository")]
    [TestCase("pull", "owner/name", "--revision", "../x")]
    [TestCase("pull", "--revison", "x")]
    public void A_command_line_that_is_not_right_is_the_code_2(params string[] arguments) => Assert.That(ToolRun.Of(arguments).Code, Is.EqualTo(2));

    [Test]
    public void The_help_names_it() => Assert.That(ToolRun.Of("--help").Output, Does.Contain("pull"));

    [Test]
    public async Task A_lock_is_for_one_alone_and_the_wait_can_be_cancelled()
    {
        using TemporaryFolder folder = new();
        string path = folder.Join("locks/a.lock");
        int waits = 0;
        using CancellationTokenSource cancel = new();
        using (await FileLock.TakeAsync(path, () => waits++, CancellationToken.None))
        {
            Task<IDisposable> second = FileLock.TakeAsync(path, () => waits++, cancel.Token);
            await Task.Delay(250);
            Assert.That(second.IsCompleted, Is.False);
            await cancel.CancelAsync();
            Assert.That(async () => await second, Throws.InstanceOf<OperationCanceledException>());
        }
        using (await FileLock.TakeAsync(path, () => waits++, CancellationToken.None))
        {
            Assert.That(waits, Is.EqualTo(1));
        }
    }

    private static ToolRun Run(PullFixture fixture, string repository = TestHub.Repository, bool json = false, bool quiet = false, CancellationToken cancellation = default)
    {
        using StringWriter output = new() { NewLine = "\n" };
        using StringWriter error = new() { NewLine = "\n" };
        int code = ExitCodes.Run(error, () => PullCommand.Run(
            new Output(output, error, json, quiet), fixture.Environment, fixture.Options, fixture.Converter, RepositoryId.Parse(repository), "main", cancellation));
        return new ToolRun(code, output.ToString(), error.ToString());
    }
}
