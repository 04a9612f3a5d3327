using GroupViT.Native;
using GroupViT.Tool;
using GroupViT.Tool.Hub;

namespace GroupViT.Tests.Hub;

/// <summary>Snapshots whose weights are a PyTorch file: made into model folders in our own cache.</summary>
[Category("Cpu")]
internal sealed class ConversionTests
{
    [Test]
    public async Task A_snapshot_with_PyTorch_weights_is_converted_once_into_our_own_cache()
    {
        await using PullFixture fixture = await StartAsync();
        FakeConverter converter = new();
        fixture.Converter = converter;
        PullResult result = await fixture.PullAsync();
        Assert.That(result.IsConverted);
        Assert.That(result.Model, Does.StartWith(fixture.Own));
        Assert.That(File.ReadAllText(Path.Combine(result.Model, "model.safetensors")), Is.EqualTo("converted"));
        Assert.That(File.ReadAllBytes(Path.Combine(result.Snapshot, "pytorch_model.bin")), Is.EqualTo(fixture.Weights));
        Assert.That(File.Exists(Path.Combine(result.Snapshot, "model.safetensors")), Is.False, "the hub's cache is the hub's");
        Assert.That(Locate(fixture), Is.EqualTo(result.Model));
        Assert.That((await fixture.PullAsync()).Model, Is.EqualTo(result.Model));
        fixture.Variables["HF_HUB_OFFLINE"] = "1";
        Assert.That((await fixture.PullAsync()).Model, Is.EqualTo(result.Model));
        Assert.That(converter.Runs, Is.EqualTo(1));
        Assert.That(Folders(fixture), Is.EqualTo((string[])[TestHub.FirstCommit]), "and nothing temporary");
    }

    [Test]
    public async Task A_snapshot_that_Python_downloaded_is_converted_offline()
    {
        await using PullFixture fixture = await StartAsync();
        await fixture.FailAsync<ModelFileException>();
        fixture.Variables["HF_HUB_OFFLINE"] = "1";
        fixture.Converter = new FakeConverter();
        Assert.That((await fixture.PullAsync()).IsConverted);
    }

    [Test]
    public async Task Weights_that_are_no_PyTorch_file_are_refused_and_leave_nothing()
    {
        await using PullFixture fixture = await StartAsync();
        Assert.That((await fixture.FailAsync<ModelFileException>()).Message, Does.Contain("pytorch_model.bin").And.Contains("begins with the bytes"));
        Assert.That(Folders(fixture), Is.Empty);
        Assert.That(() => Locate(fixture), Throws.TypeOf<UsageException>().With.Message.Contains("pytorch_model.bin").And.Message.Contains("groupvit pull owner/tiny"));
    }

    [Test]
    public async Task A_real_PyTorch_file_becomes_the_model_that_it_is()
    {
        await using PullFixture fixture = await StartAsync();
        foreach (string file in (string[])["config.json", "preprocessor_config.json", "pytorch_model.bin"])
        {
            fixture.Hub.Files[file] = File.ReadAllBytes(Fixtures.Path("tiny", file));
        }
        PullResult result = await fixture.PullAsync();
        Assert.That(File.ReadAllBytes(Path.Combine(result.Model, "model.safetensors")), Is.EqualTo(File.ReadAllBytes(Fixtures.Path("tiny", "model.safetensors"))));
        Assert.That(fixture.Notes, Has.Some.Contains("no tokenizer"));
        using GroupVitModel model = GroupVitModel.Load(Locate(fixture));
        Assert.That(model.Config, Is.EqualTo(GroupVitConfig.Load(Fixtures.Path("tiny", "config.json"))));
        Assert.That(Folders(fixture), Is.EqualTo((string[])[TestHub.FirstCommit]), "and nothing temporary");
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task A_conversion_that_fails_or_makes_no_model_leaves_nothing(bool throws)
    {
        await using PullFixture fixture = await StartAsync();
        fixture.Converter = new FakeConverter { Throws = throws, LeavesOut = !throws };
        Exception? error = await Assert.CatchAsync(async () => await fixture.PullAsync());
        Assert.That(error, Is.TypeOf(throws ? typeof(ModelFileException) : typeof(UnusableSnapshotException)));
        Assert.That(Folders(fixture), Is.Empty);
        fixture.Converter = new FakeConverter();
        Assert.That((await fixture.PullAsync()).IsConverted, "the next one may");
    }

    [Test]
    public async Task What_a_process_that_was_ended_left_is_cleared_away()
    {
        await using PullFixture fixture = await StartAsync();
        string left = Path.Combine(fixture.Own, "converted-1", "models--owner--tiny", $".{TestHub.FirstCommit}.0123");
        Directory.CreateDirectory(left);
        File.WriteAllText(Path.Combine(left, "model.safetensors"), "half");
        fixture.Converter = new FakeConverter();
        await fixture.PullAsync();
        Assert.That(Folders(fixture), Is.EqualTo((string[])[TestHub.FirstCommit]));
    }

    [Test]
    public async Task Safetensors_are_preferred_and_nothing_is_converted()
    {
        await using PullFixture fixture = await StartAsync();
        fixture.Hub.Files["model.safetensors"] = PullFixture.Noise(1000, seed: 6);
        PullResult result = await fixture.PullAsync();
        Assert.That(result.IsConverted, Is.False);
        Assert.That(File.Exists(Path.Combine(result.Snapshot, "pytorch_model.bin")), Is.False);
        Assert.That(Directory.Exists(fixture.Own), Is.False);
    }

    private static async Task<PullFixture> StartAsync()
    {
        PullFixture fixture = await PullFixture.StartAsync();
        fixture.Hub.Files.Remove("model.safetensors");
        fixture.Hub.Files["pytorch_model.bin"] = fixture.Weights;
        return fixture;
    }

    private static string[] Folders(PullFixture fixture)
    {
        string parent = Path.Combine(fixture.Own, "converted-1", "models--owner--tiny");
        return Directory.Exists(parent) ? [.. new DirectoryInfo(parent).GetFileSystemInfos().Select(entry => entry.Name)] : [];
    }

    private static string Locate(PullFixture fixture) => ModelLocator.Locate(TestHub.Repository, variable => fixture.Variables.GetValueOrDefault(variable));

    private sealed class FakeConverter : ISnapshotConverter
    {
        public int Runs { get; private set; }

        public bool Throws { get; init; }

        public bool LeavesOut { get; init; }

        public void Convert(string snapshot, string weights, string destination, CancellationToken cancellation)
        {
            Runs++;
            Assert.That(Directory.EnumerateFileSystemEntries(destination), Is.Empty);
            Assert.That(File.Exists(Path.Combine(snapshot, weights)));
            File.Copy(Path.Combine(snapshot, "config.json"), Path.Combine(destination, "config.json"));
            if (Throws)
            {
                throw new ModelFileException(weights, "no weights");
            }
            if (!LeavesOut)
            {
                File.WriteAllText(Path.Combine(destination, "model.safetensors"), "converted");
            }
        }
    }
}
