namespace GroupViT.Tool.Hub;

/// <summary>From OWNER/NAME, or OWNER/NAME@REVISION, to a model folder in the caches. Never asks the network.</summary>
internal static class CachedModel
{
    /// <summary>The folder to load.</summary>
    /// <param name="name">As <c>--model</c> says.</param>
    /// <param name="environment">Where the caches are.</param>
    /// <returns>Null where the name is no repository's.</returns>
    /// <exception cref="UsageException">The cache does not have it; says what would bring it.</exception>
    public static string? Find(string name, HubEnvironment environment)
    {
        int at = name.IndexOf('@', StringComparison.Ordinal);
        string revision = at < 0 ? HubText.MainRevision : name[(at + 1)..];
        if (RepositoryId.TryParse(at < 0 ? name : name[..at]) is not { } repository || !HubText.IsRevision(revision))
        {
            return null;
        }
        HubCache cache = new(environment.Cache, repository);
        string pull = $"groupvit pull {repository}" + (at < 0 ? "" : $" --revision {revision}");
        string advice = environment.IsOffline ? $"'{pull}' downloads it, once HF_HUB_OFFLINE is unset" : $"'{pull}' downloads it";
        if (!Directory.Exists(cache.Folder))
        {
            throw new UsageException($"model '{name}': there is no such folder or file, and the hub's cache has no {cache.Folder}; {advice}");
        }
        string? commit;
        try
        {
            commit = cache.Resolve(revision);
        }
        catch (UnusableSnapshotException exception)
        {
            throw new UsageException($"model '{name}': {exception.Message}", exception);
        }
        if (commit is null)
        {
            IReadOnlyList<string> others = cache.Revisions();
            string known = others.Count == 0 ? "" : $" (it knows {string.Join(", ", others)}: --model {repository}@{others[0]})";
            throw new UsageException($"model '{name}': {cache.Folder} does not know the revision '{revision}'{known}; {advice}");
        }
        string snapshot = cache.Snapshot(commit);
        string? missing = !Directory.Exists(snapshot) ? "everything" : SnapshotFiles.Missing(snapshot);
        if (missing is not null)
        {
            throw new UsageException($"model '{name}': the cached revision is incomplete ({snapshot} lacks {missing}); {advice}");
        }
        if (SnapshotFiles.WeightsOf(file => LinkedFile.Exists(Path.Combine(snapshot, file))) != SnapshotFiles.PyTorchWeights)
        {
            return snapshot;
        }
        string converted = new ConvertedCache(environment.OwnCache, repository).Folder(commit);
        return Directory.Exists(converted)
            ? converted
            : throw new UsageException($"model '{name}': {snapshot} has its weights as {SnapshotFiles.PyTorchWeights} only; '{pull}' converts it");
    }
}
