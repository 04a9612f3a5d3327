using System.Text;
using GroupViT.Tool.Converting;
using GroupViT.Tool.Hub;

namespace GroupViT.Tests.Hub;

/// <summary>A hub with a small model, and caches of the test's own.</summary>
internal sealed class PullFixture : IAsyncDisposable
{
    private readonly Tools.TemporaryFolder folder = new();

    private PullFixture(TestHub hub)
    {
        Hub = hub;
        Converter = new SnapshotConverter(Note);
        Environment = new HubEnvironment(name => Variables.GetValueOrDefault(name));
        Variables["HF_HOME"] = folder.Join("hf");
        Variables["GROUPVIT_CACHE"] = folder.Join("own");
        Variables["HF_ENDPOINT"] = hub.Endpoint.AbsoluteUri;
        hub.Files["config.json"] = Encoding.UTF8.GetBytes("""{"model_type": "groupvit"}""");
        hub.Files["preprocessor_config.json"] = Encoding.UTF8.GetBytes("{}");
        hub.Files["README.md"] = Encoding.UTF8.GetBytes("not a part of the model");
        hub.Files["model.safetensors"] = Weights;
        Options = new HubHttpOptions
        {
            HeadTimeout = TimeSpan.FromSeconds(20),
            ListTimeout = TimeSpan.FromSeconds(20),
            StallTimeout = TimeSpan.FromSeconds(20),
            ProgressBytes = 100_000,
            Clock = Clock,
            UseProxy = false,
            AcceptCertificate = (_, certificate, _, _) => certificate?.GetCertHashString() == TestHub.Certificate.GetCertHashString(),
        };
    }

    public TestHub Hub { get; }

    public ImpatientClock Clock { get; } = new();

    public Dictionary<string, string> Variables { get; } = [];

    public HubEnvironment Environment { get; }

    public HubHttpOptions Options { get; set; }

    public ISnapshotConverter Converter { get; set; }

    public List<string> Notes { get; } = [];

    /// <summary>300,000 bytes without a pattern.</summary>
    public byte[] Weights { get; } = Noise(300_000, seed: 1);

    /// <summary>The repository in the cache.</summary>
    public string Cached => folder.Join("hf/hub/models--owner--tiny");

    public string Own => folder.Join("own");

    public string WeightsBlob => Path.Combine(Cached, "blobs", TestHub.Sha256(Weights));

    /// <summary>So many bytes of the weights are on the disk, under the name of what is not complete.</summary>
    public long Arrived => new FileInfo(WeightsBlob + ".incomplete") is { Exists: true } file ? file.Length : 0;

    public string Snapshot(string commit = TestHub.FirstCommit) => Path.Combine(Cached, "snapshots", commit);

    public static async Task<PullFixture> StartAsync() => new(await TestHub.StartAsync());

    public static byte[] Noise(int count, int seed)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public Task<PullResult> PullAsync(string revision = "main", CancellationToken cancellation = default)
        => new HubPull(Environment, Options, Converter, RepositoryId.Parse(TestHub.Repository), revision, NoProgress.Instance, Note).RunAsync(cancellation);

    /// <summary>The error that a pull ends with; fails if it is of another type or there is none.</summary>
    public async Task<T> FailAsync<T>(string revision = "main")
        where T : Exception
    {
        try
        {
            await PullAsync(revision);
        }
        catch (Exception exception)
        {
            Assert.That(exception, Is.TypeOf<T>(), exception.ToString());
            return (T)exception;
        }
        Assert.Fail($"the pull succeeded where {typeof(T).Name} was expected");
        throw new InvalidOperationException();
    }

    /// <summary>Puts what another program may have left into the cache.</summary>
    public void Leave(string path, byte[] content)
    {
        string file = Path.Combine(Cached, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, content);
    }

    /// <summary>The names in blobs/, in order.</summary>
    public string[] Blobs() => Directory.Exists(Path.Combine(Cached, "blobs"))
        ? [.. Directory.GetFiles(Path.Combine(Cached, "blobs")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)] : [];

    public async ValueTask DisposeAsync()
    {
        await Hub.DisposeAsync();
        folder.Dispose();
    }

    private void Note(string text)
    {
        lock (Notes)
        {
            Notes.Add(text);
        }
    }
}
