namespace GroupViT.Tool.Hub;

/// <summary>Model folders made of snapshots that had their weights as PyTorch files; in our own cache, never in the hub's.</summary>
/// <param name="root">Our cache.</param>
/// <param name="repository">Whose.</param>
internal sealed class ConvertedCache(string root, RepositoryId repository)
{
    // Another number makes every snapshot be converted anew: for when the conversion changes.
    private const string Generation = "converted-1";

    /// <summary>The folder for a commit. Where it exists it is complete: it gets its name last.</summary>
    public string Folder(string commit) => Path.Combine(root, Generation, repository.Folder, commit);

    /// <summary>The folder for a commit, made now if it is not there.</summary>
    /// <param name="commit">The snapshot's.</param>
    /// <param name="snapshot">Its folder.</param>
    /// <param name="weights">The PyTorch file in it.</param>
    /// <param name="converter">Does it.</param>
    /// <param name="waiting">Told if another process is at it.</param>
    /// <param name="cancellation">Of the caller.</param>
    public async Task<string> ConvertAsync(string commit, string snapshot, string weights, ISnapshotConverter converter, Action waiting, CancellationToken cancellation)
    {
        string folder = Folder(commit);
        using IDisposable taken = await FileLock.TakeAsync(Path.Combine(root, ".locks", $"{repository.Folder}--{commit}.lock"), waiting, cancellation);
        if (Directory.Exists(folder))
        {
            return folder;
        }
        string parent = Path.GetDirectoryName(folder)!;
        Directory.CreateDirectory(parent);
        // Under the lock, so whatever has such a name was left by a process that was ended.
        foreach (string left in Directory.EnumerateDirectories(parent, $".{commit}.*"))
        {
            Directory.Delete(left, recursive: true);
        }
        string temporary = Path.Combine(parent, $".{commit}.{Guid.NewGuid():N}");
        Directory.CreateDirectory(temporary);
        try
        {
            converter.Convert(snapshot, weights, temporary, cancellation);
            if (SnapshotFiles.Missing(temporary) is { } missing)
            {
                throw new UnusableSnapshotException($"{repository}: the conversion of {weights} left no {missing}");
            }
            Directory.Move(temporary, folder);
        }
        catch
        {
            Directory.Delete(temporary, recursive: true);
            throw;
        }
        return folder;
    }
}
