using System.Text;
using GroupViT.Native;
using GroupViT.Tool;
using GroupViT.Tool.Hub;

namespace GroupViT.Tests.Hub;

/// <summary>What a pull leaves in the caches.</summary>
[Category("Cpu")]
internal sealed class HubPullTests
{
    [Test]
    public async Task A_model_is_pulled_into_the_layout_that_Python_shares()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Commit, Is.EqualTo(TestHub.FirstCommit));
        Assert.That(result.Snapshot, Is.EqualTo(fixture.Snapshot()));
        Assert.That(result.Model, Is.EqualTo(result.Snapshot));
        Assert.That(File.ReadAllText(Path.Combine(fixture.Cached, "refs", "main")), Is.EqualTo(TestHub.FirstCommit));
        string[] wanted = ["config.json", "preprocessor_config.json", "model.safetensors"];
        Assert.That(result.Files.Select(file => file.Name), Is.EqualTo(wanted), "the README is no part of a model");
        Assert.That(result.Files.Select(file => file.Downloaded), Is.EqualTo(wanted.Select(name => (long)fixture.Hub.Files[name].Length)));
        foreach (string name in wanted)
        {
            string path = Path.Combine(result.Snapshot, name);
            string blob = TestHub.Hash(name, fixture.Hub.Files[name]);
            Assert.That(File.ReadAllBytes(path), Is.EqualTo(fixture.Hub.Files[name]));
            if (!OperatingSystem.IsWindows())
            {
                Assert.That(new FileInfo(path).LinkTarget, Is.EqualTo($"../../blobs/{blob}"));
            }
        }
        Assert.That(fixture.Blobs(), Is.EqualTo(wanted.Select(name => TestHub.Hash(name, fixture.Hub.Files[name])).Order(StringComparer.Ordinal)), "and nothing incomplete");
    }

    [Test]
    public async Task What_is_here_is_checked_and_not_downloaded_again()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        await fixture.PullAsync();
        int before = fixture.Hub.Seen.Count;
        PullResult again = await fixture.PullAsync();
        Assert.That(again.Files.Sum(file => file.Downloaded), Is.Zero);
        Assert.That(fixture.Hub.Seen.Skip(before).Select(request => request.Path), Is.EqualTo((string[])["/api/models/owner/tiny/revision/main"]), "the listing alone");
    }

    [Test]
    public async Task What_Python_downloaded_is_found_offline_and_by_the_model_option()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("links need developer mode");
        }
        fixture.Leave($"refs/main", Encoding.ASCII.GetBytes(TestHub.FirstCommit));
        Directory.CreateDirectory(fixture.Snapshot());
        foreach (string name in (string[])["config.json", "model.safetensors", "README.md"])
        {
            string blob = TestHub.Hash(name, fixture.Hub.Files[name]);
            fixture.Leave($"blobs/{blob}", fixture.Hub.Files[name]);
            File.CreateSymbolicLink(Path.Combine(fixture.Snapshot(), name), $"../../blobs/{blob}");
        }
        fixture.Variables["HF_HUB_OFFLINE"] = "yes";
        Assert.That((await fixture.PullAsync()).Model, Is.EqualTo(fixture.Snapshot()));
        Assert.That(Locate(fixture, TestHub.Repository), Is.EqualTo(fixture.Snapshot()));
        Assert.That(Locate(fixture, $"{TestHub.Repository}@{TestHub.FirstCommit}"), Is.EqualTo(fixture.Snapshot()));
        Assert.That(fixture.Hub.Seen, Is.Empty);

        fixture.Variables.Remove("HF_HUB_OFFLINE");
        PullResult online = await fixture.PullAsync();
        Assert.That(online.Files.Where(file => file.Downloaded > 0).Select(file => file.Name), Is.EqualTo((string[])["preprocessor_config.json"]), "what was missing");
    }

    [Test]
    public async Task Offline_nothing_is_asked_and_the_error_names_the_variable()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Variables["HF_HUB_OFFLINE"] = "1";
        Assert.That((await fixture.FailAsync<HubOfflineException>()).Message, Does.Contain("HF_HUB_OFFLINE"));
        Assert.That(fixture.Hub.Seen, Is.Empty);
    }

    [Test]
    public async Task Without_links_the_snapshot_has_the_files_and_they_are_known_again()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Variables["HF_HUB_DISABLE_SYMLINKS"] = "1";
        PullResult result = await fixture.PullAsync();
        string weights = Path.Combine(result.Snapshot, "model.safetensors");
        Assert.That(new FileInfo(weights).LinkTarget, Is.Null);
        Assert.That(File.ReadAllBytes(weights), Is.EqualTo(fixture.Weights));
        Assert.That(fixture.Blobs(), Is.Empty, "nothing is there twice");
        Assert.That((await fixture.PullAsync()).Files.Sum(file => file.Downloaded), Is.Zero);

        File.WriteAllBytes(weights, PullFixture.Noise(fixture.Weights.Length, seed: 9));
        Assert.That((await fixture.PullAsync()).Files.Where(file => file.Downloaded > 0).Select(file => file.Name), Is.EqualTo((string[])["model.safetensors"]));
        Assert.That(File.ReadAllBytes(weights), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task A_new_commit_shares_the_blobs_that_did_not_change()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        await fixture.PullAsync();
        byte[] config = Encoding.UTF8.GetBytes("""{"model_type": "groupvit", "newer": true}""");
        fixture.Hub.Commits[TestHub.SecondCommit] = new(fixture.Hub.Files) { ["config.json"] = config };
        fixture.Hub.Revisions["main"] = TestHub.SecondCommit;
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files.Where(file => file.Downloaded > 0).Select(file => file.Name), Is.EqualTo((string[])["config.json"]));
        Assert.That(Locate(fixture, TestHub.Repository), Is.EqualTo(fixture.Snapshot(TestHub.SecondCommit)));
        Assert.That(File.ReadAllBytes(Path.Combine(fixture.Snapshot(), "config.json")), Is.EqualTo(fixture.Hub.Files["config.json"]), "the old commit is what it was");
    }

    [Test]
    public async Task A_revision_that_is_not_complete_does_not_become_the_one_in_use()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        await fixture.PullAsync();
        fixture.Hub.Commits[TestHub.SecondCommit] = new(fixture.Hub.Files) { ["model.safetensors"] = PullFixture.Noise(1000, seed: 2) };
        fixture.Hub.Revisions["main"] = TestHub.SecondCommit;
        fixture.Hub.Interfere = async (context, server) =>
        {
            await (server == "store" ? TestHub.RefuseAsync(context, 500) : Task.CompletedTask);
            return server == "store";
        };
        await fixture.FailAsync<HubUnreachableException>();
        Assert.That(Locate(fixture, TestHub.Repository), Is.EqualTo(fixture.Snapshot()));
    }

    [Test]
    public async Task A_tag_is_a_reference_and_a_commit_is_none()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Revisions["refs/pr/7"] = TestHub.FirstCommit;
        await fixture.PullAsync("refs/pr/7");
        Assert.That(File.ReadAllText(Path.Combine(fixture.Cached, "refs", "refs", "pr", "7")), Is.EqualTo(TestHub.FirstCommit));
        Assert.That(Locate(fixture, $"{TestHub.Repository}@refs/pr/7"), Is.EqualTo(fixture.Snapshot()));
        Assert.That(() => Locate(fixture, TestHub.Repository), Throws.TypeOf<UsageException>().With.Message.Contains("refs/pr/7").And.Message.Contains("groupvit pull owner/tiny"));

        await fixture.PullAsync(TestHub.FirstCommit);
        Assert.That(Directory.GetFiles(Path.Combine(fixture.Cached, "refs"), "*", SearchOption.AllDirectories), Has.Length.EqualTo(1));
    }

    [Test]
    public async Task Weights_in_parts_come_with_their_index()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files.Remove("model.safetensors");
        fixture.Hub.Files["model.safetensors.index.json"] = Encoding.UTF8.GetBytes(
            """{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}""");
        fixture.Hub.Files["model-00001-of-00002.safetensors"] = PullFixture.Noise(1000, seed: 3);
        fixture.Hub.Files["model-00002-of-00002.safetensors"] = PullFixture.Noise(2000, seed: 4);
        fixture.Hub.Files["pytorch_model.bin"] = PullFixture.Noise(3000, seed: 5);
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files.Select(file => file.Name), Is.SupersetOf((string[])["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]));
        Assert.That(result.Files.Select(file => file.Name), Does.Not.Contain("pytorch_model.bin"));
        Assert.That(Locate(fixture, TestHub.Repository), Is.EqualTo(result.Snapshot));
        File.Delete(Path.Combine(result.Snapshot, "model-00002-of-00002.safetensors"));
        Assert.That(() => Locate(fixture, TestHub.Repository), Throws.TypeOf<UsageException>().With.Message.Contains("model-00002-of-00002.safetensors"));
    }

    [TestCase("../model.safetensors")]
    [TestCase("/etc/model.safetensors")]
    [TestCase("deep/model.safetensors")]
    [TestCase("model.bin")]
    [TestCase("absent.safetensors")]
    public async Task An_index_that_names_what_is_no_part_is_refused(string part)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files.Remove("model.safetensors");
        fixture.Hub.Files["model.safetensors.index.json"] = Encoding.UTF8.GetBytes($$"""{"weight_map": {"a": "{{part}}"} }""");
        Assert.That((await fixture.FailAsync<UnusableSnapshotException>()).Message, Does.Contain(part));
        Assert.That(File.Exists(Path.Combine(fixture.Cached, "refs", "main")), Is.False);
    }

    [TestCase("config.json")]
    [TestCase("model.safetensors")]
    public async Task A_repository_that_is_no_model_is_refused_before_anything_is_downloaded(string lacking)
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files.Remove(lacking);
        Assert.That((await fixture.FailAsync<UnusableSnapshotException>()).Message, Does.Contain(lacking));
        Assert.That(fixture.Hub.Downloads, Is.Empty);
    }

    [Test]
    public async Task A_damaged_blob_is_noticed_and_downloaded_again()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        await fixture.PullAsync();
        byte[] damaged = [.. fixture.Weights];
        damaged[1234] ^= 1;
        File.WriteAllBytes(Path.Combine(fixture.Snapshot(), "model.safetensors"), damaged);
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files.Where(file => file.Downloaded > 0).Select(file => file.Name), Is.EqualTo((string[])["model.safetensors"]));
        Assert.That(File.ReadAllBytes(Path.Combine(result.Snapshot, "model.safetensors")), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task A_link_to_a_blob_that_is_gone_is_no_file()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        await fixture.PullAsync();
        string blob = fixture.WeightsBlob;
        if (!File.Exists(blob))
        {
            Assert.Ignore("this platform made no links");
        }
        File.Delete(blob);
        Assert.That(() => Locate(fixture, TestHub.Repository), Throws.TypeOf<UsageException>().With.Message.Contains("incomplete").And.Message.Contains("model.safetensors"));
        fixture.Variables["HF_HUB_OFFLINE"] = "1";
        await fixture.FailAsync<HubOfflineException>();
        fixture.Variables.Remove("HF_HUB_OFFLINE");
        Assert.That((await fixture.PullAsync()).Files[^1].Downloaded, Is.EqualTo(fixture.Weights.Length));
        Assert.That(File.ReadAllBytes(Path.Combine(fixture.Snapshot(), "model.safetensors")), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task Two_pulls_at_once_download_each_file_once()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        TaskCompletionSource both = new();
        int listings = 0;
        fixture.Hub.Interfere = async (context, server) =>
        {
            if (context.Request.Path.StartsWithSegments("/api/models"))
            {
                if (Interlocked.Increment(ref listings) == 2)
                {
                    both.SetResult();
                }
                await both.Task;
            }
            else if (server == "store")
            {
                await Task.Delay(300);
            }
            return false;
        };
        PullResult[] results = await Task.WhenAll(Task.Run(() => fixture.PullAsync()), Task.Run(() => fixture.PullAsync()));
        Assert.That(results.Sum(result => result.Files.Sum(file => file.Downloaded)), Is.EqualTo(results[0].Files.Sum(file => file.Bytes)));
        Assert.That(fixture.Hub.Downloads.Count(request => request.Server == "store"), Is.EqualTo(1));
        Assert.That(fixture.Notes, Has.Some.Contains("another process"));
    }

    [Test]
    public async Task A_cancelled_pull_leaves_no_final_name_and_goes_on_later()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        using CancellationTokenSource cancel = new();
        fixture.Hub.Interfere = async (context, server) =>
        {
            if (server != "store" || context.Request.Headers.Range.Count > 0)
            {
                return false;
            }
            context.Response.ContentLength = fixture.Weights.Length;
            await context.Response.Body.WriteAsync(fixture.Weights.AsMemory(0, 200_000));
            await context.Response.Body.FlushAsync();
            await TestHub.UntilAsync(() => fixture.Arrived == 200_000);
            await cancel.CancelAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        Assert.That(async () => await fixture.PullAsync(cancellation: cancel.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(File.Exists(fixture.WeightsBlob), Is.False);
        long partial = new FileInfo(fixture.WeightsBlob + ".incomplete").Length;
        Assert.That(partial, Is.EqualTo(200_000));
        PullResult result = await fixture.PullAsync();
        Assert.That(result.Files[^1].Downloaded, Is.EqualTo(fixture.Weights.Length - partial));
        Assert.That(File.ReadAllBytes(fixture.WeightsBlob), Is.EqualTo(fixture.Weights));
    }

    [Test]
    public async Task A_pulled_model_opens_by_its_repository_id()
    {
        await using PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files.Clear();
        foreach (string file in Directory.GetFiles(Fixtures.Models("scenes")))
        {
            fixture.Hub.Files[Path.GetFileName(file)] = File.ReadAllBytes(file);
        }
        await fixture.PullAsync();
        using GroupVitModel model = GroupVitModel.Load(Locate(fixture, TestHub.Repository));
        using GroupVitModel builtIn = ModelLocator.Open("scenes");
        Assert.That(model.Fingerprint, Is.EqualTo(builtIn.Fingerprint));
        Assert.That(model.Labels, Is.EqualTo(builtIn.Labels));
        Assert.That(model.Tokenizer.VocabularySize, Is.EqualTo(builtIn.Tokenizer.VocabularySize));
    }

    private static string Locate(PullFixture fixture, string name) => ModelLocator.Locate(name, variable => fixture.Variables.GetValueOrDefault(variable));
}
