using System.Globalization;
using GroupViT.Native;

namespace GroupViT.Tool.Hub;

/// <summary>A file of a pulled model.</summary>
/// <param name="Name">In the snapshot.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Downloaded">So many of them came over the network now.</param>
internal sealed record PulledFile(string Name, long Bytes, long Downloaded);

/// <summary>A model that is here now.</summary>
/// <param name="Commit">Which commit the revision is.</param>
/// <param name="Snapshot">Its folder in the hub's cache.</param>
/// <param name="Model">The folder to load: the snapshot, or the one converted from it.</param>
/// <param name="Files">Of the snapshot.</param>
internal sealed record PullResult(string Commit, string Snapshot, string Model, IReadOnlyList<PulledFile> Files)
{
    public bool IsConverted => Model != Snapshot;
}

/// <summary>Brings a model from a hub into the cache, as far as it is not there.</summary>
internal sealed class HubPull
{
    private readonly HubEnvironment environment;
    private readonly HubHttpOptions options;
    private readonly ISnapshotConverter converter;
    private readonly ITransferProgress progress;
    private readonly Action<string> note;
    private readonly RepositoryId repository;
    private readonly string revision;
    private readonly HubCache cache;
    private readonly Retry retry;

    /// <param name="environment">Where the hub and the caches are.</param>
    /// <param name="options">Timeouts.</param>
    /// <param name="converter">For snapshots with PyTorch weights.</param>
    /// <param name="repository">What to pull.</param>
    /// <param name="revision">Of it: a branch, a tag or a commit.</param>
    /// <param name="progress">Told how downloads go.</param>
    /// <param name="note">Told what a user may want to know meanwhile.</param>
    public HubPull(
        HubEnvironment environment, HubHttpOptions options, ISnapshotConverter converter, RepositoryId repository, string revision, ITransferProgress progress, Action<string> note)
    {
        if (!HubText.IsRevision(revision))
        {
            throw new UsageException($"--revision: '{HubText.Printable(revision)}' is no name of a branch, tag or commit");
        }
        (this.environment, this.options, this.converter, this.repository, this.revision, this.progress, this.note) =
            (environment, options, converter, repository, revision, progress, note);
        cache = new HubCache(environment.Cache, repository, environment.WithoutSymlinks);
        retry = new Retry(options, note);
    }

    /// <summary>Pulls.</summary>
    /// <exception cref="HubException">The model could not be had, and why.</exception>
    public Task<PullResult> RunAsync(CancellationToken cancellation) => environment.IsOffline ? OfflineAsync(cancellation) : OnlineAsync(cancellation);

    private async Task<PullResult> OfflineAsync(CancellationToken cancellation)
    {
        string? commit = cache.Resolve(revision);
        string snapshot = cache.Snapshot(commit ?? "");
        if (commit is null || !Directory.Exists(snapshot) || SnapshotFiles.Missing(snapshot) is not null)
        {
            throw new HubOfflineException($"{repository}: HF_HUB_OFFLINE forbids the network, and {cache.Folder} holds no complete revision '{revision}'; unset the variable to download it");
        }
        List<PulledFile> files = [.. Directory.EnumerateFiles(snapshot).Where(LinkedFile.Exists).Select(path => new PulledFile(Path.GetFileName(path), LinkedFile.Length(path), 0)).OrderBy(file => file.Name, StringComparer.Ordinal)];
        return new PullResult(commit, snapshot, await ModelAsync(commit, snapshot, cancellation), files);
    }

    private async Task<PullResult> OnlineAsync(CancellationToken cancellation)
    {
        using HubTransport transport = new(environment.Endpoint(), environment.Token(), options);
        if (transport.WithholdsToken)
        {
            note("the token is not sent: HF_ENDPOINT is plain http");
        }
        HubClient client = new(transport, options, repository);
        RepositoryListing listing = await retry.RunAsync(() => client.ListAsync(revision, cancellation), cancellation);
        string commit = listing.Commit;
        if (HubText.IsCommit(revision) && commit != revision)
        {
            throw new HubAnswerException($"{repository}: the hub answers with commit {commit}, not with {revision}, which was asked for");
        }
        IReadOnlyList<string> names = SnapshotFiles.Choose(listing.Files, repository);
        List<PulledFile> files = [];
        foreach (string name in names)
        {
            files.Add(await FetchAsync(client, commit, name, cancellation));
        }
        if (names[^1] == SnapshotFiles.Index)
        {
            IReadOnlyList<string> shards = SnapshotFiles.Shards(cache.SnapshotFile(commit, SnapshotFiles.Index));
            if (shards.FirstOrDefault(shard => !listing.Files.Contains(shard)) is { } absent)
            {
                throw new UnusableSnapshotException($"{repository}: {SnapshotFiles.Index} names {absent}, which the repository does not have");
            }
            foreach (string shard in shards)
            {
                files.Add(await FetchAsync(client, commit, shard, cancellation));
            }
        }
        // Last: until now the revision is the commit whose files were complete before.
        if (revision != commit)
        {
            cache.WriteRef(revision, commit);
        }
        string snapshot = cache.Snapshot(commit);
        return new PullResult(commit, snapshot, await ModelAsync(commit, snapshot, cancellation), files);
    }

    private async Task<string> ModelAsync(string commit, string snapshot, CancellationToken cancellation)
    {
        if (SnapshotFiles.WeightsOf(file => LinkedFile.Exists(Path.Combine(snapshot, file))) != SnapshotFiles.PyTorchWeights)
        {
            return snapshot;
        }
        return await new ConvertedCache(environment.OwnCache, repository).ConvertAsync(
            commit, snapshot, SnapshotFiles.PyTorchWeights, converter, () => note($"{repository}: another process converts it; waiting"), cancellation);
    }

    private async Task<PulledFile> FetchAsync(HubClient client, string commit, string name, CancellationToken cancellation)
    {
        string path = cache.SnapshotFile(commit, name);
        // What is linked under its hash can be checked without asking the hub.
        if (LinkedFile.Exists(path) && cache.LinkedHash(commit, name) is { } linked)
        {
            if (linked.IsOf(path, cancellation))
            {
                return new PulledFile(name, LinkedFile.Length(path), 0);
            }
            note($"{path}: is damaged, and downloaded again");
        }
        HubFile file = await retry.RunAsync(() => client.DescribeAsync(commit, name, SnapshotFiles.Largest(name), cancellation), cancellation);
        using IDisposable taken = await FileLock.TakeAsync(cache.Lock(file.Hash), () => note($"{repository}: {name}: another process downloads it; waiting"), cancellation);
        if (Holds(path, file, cancellation))
        {
            return new PulledFile(name, file.Size, 0);
        }
        string blob = cache.Blob(file.Hash);
        long downloaded = 0;
        bool isNew = !Holds(blob, file, cancellation);
        if (isNew)
        {
            using HubDownload download = new(client, options, repository, commit, file, progress);
            await download.RunAsync(retry, cache.Incomplete(file.Hash), blob, cancellation);
            downloaded = file.Size - download.Resumed;
        }
        cache.Place(commit, name, file.Hash, isNew);
        return new PulledFile(name, file.Size, downloaded);
    }

    private static bool Holds(string path, HubFile file, CancellationToken cancellation)
        => LinkedFile.Exists(path) && LinkedFile.Length(path) == file.Size && file.Hash.IsOf(path, cancellation);
}
