using System.Text;
using GroupViT.Native;

namespace GroupViT.Tool.Hub;

/// <summary>One repository in a hub's cache, as huggingface_hub lays it out: blobs by hash, snapshots by commit with links to them, refs by name.</summary>
/// <param name="root">The cache.</param>
/// <param name="repository">Which.</param>
/// <param name="withoutSymlinks">True copies files into snapshots even where links could be made.</param>
internal sealed class HubCache(string root, RepositoryId repository, bool withoutSymlinks = false)
{
    private const int LongestRef = 200;

    /// <summary>The repository's folder.</summary>
    public string Folder { get; } = Path.Combine(root, repository.Folder);

    public string Blob(ContentHash hash) => Path.Combine(Folder, "blobs", hash.Hex);

    /// <summary>A blob whose download is not through; the next one, ours or Python's, goes on from its end.</summary>
    public string Incomplete(ContentHash hash) => Blob(hash) + ".incomplete";

    public string Lock(ContentHash hash) => Path.Combine(root, ".locks", repository.Folder, hash.Hex + ".lock");

    public string Snapshot(string commit) => Path.Combine(Folder, "snapshots", commit);

    public string SnapshotFile(string commit, string file) => Path.Combine(Snapshot(commit), Path.Combine(file.Split('/')));

    public string RefFile(string revision) => Path.Combine(Folder, "refs", Path.Combine(revision.Split('/')));

    /// <summary>The commit that a revision is in the cache; null where the cache does not know it.</summary>
    /// <exception cref="UnusableSnapshotException">The file of that reference holds no commit.</exception>
    public string? Resolve(string revision)
    {
        string file = RefFile(revision);
        if (!File.Exists(file))
        {
            return HubText.IsCommit(revision) ? revision : null;
        }
        using StreamReader reader = new(file);
        char[] head = new char[LongestRef];
        string commit = new string(head, 0, reader.ReadBlock(head)).Trim();
        return !commit.Contains('/', StringComparison.Ordinal) && HubText.IsRevision(commit)
            ? commit
            : throw new UnusableSnapshotException($"{file}: what is there is no commit; 'groupvit pull {repository}' writes it anew");
    }

    /// <summary>The branches and tags that the cache knows.</summary>
    public IReadOnlyList<string> Revisions()
    {
        string refs = Path.Combine(Folder, "refs");
        return !Directory.Exists(refs) ? []
            : [.. Directory.EnumerateFiles(refs, "*", SearchOption.AllDirectories).Take(100).Select(file => Path.GetRelativePath(refs, file).Replace('\\', '/')).Where(HubText.IsRevision).Order(StringComparer.Ordinal)];
    }

    /// <summary>Writes which commit a revision is.</summary>
    public void WriteRef(string revision, string commit)
    {
        string file = RefFile(revision);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        AtomicFile.Write(file, stream => stream.Write(Encoding.ASCII.GetBytes(commit)));
    }

    /// <summary>The hash under whose name a snapshot's file is kept; null for a copy, or a link to something else.</summary>
    public ContentHash? LinkedHash(string commit, string file)
    {
        string path = SnapshotFile(commit, file);
        return new FileInfo(path).LinkTarget is { } target && ContentHash.TryParse(Path.GetFileName(target)) is { } hash
            && Path.GetFullPath(target, Path.GetDirectoryName(Path.GetFullPath(path))!) == Path.GetFullPath(Blob(hash)) ? hash : null;
    }

    /// <summary>Puts a blob into a snapshot: a relative link to it; where there are no links, the blob itself if nobody else has it, else a copy.</summary>
    /// <param name="commit">The snapshot's.</param>
    /// <param name="file">The name there.</param>
    /// <param name="hash">The blob's.</param>
    /// <param name="isNew">True where this process just made the blob.</param>
    /// <returns>True for a link.</returns>
    public bool Place(string commit, string file, ContentHash hash, bool isNew)
    {
        string path = SnapshotFile(commit, file);
        string folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        string blob = Blob(hash);
        string temporary = Path.Combine(folder, $".{Guid.NewGuid():N}.tmp");
        try
        {
            if (!withoutSymlinks && TryLink(temporary, Path.GetRelativePath(Path.GetFullPath(folder), Path.GetFullPath(blob))))
            {
                File.Move(temporary, path, overwrite: true);
                return true;
            }
            if (isNew)
            {
                File.Move(blob, path, overwrite: true);
            }
            else
            {
                File.Copy(blob, temporary);
                File.Move(temporary, path, overwrite: true);
            }
            return false;
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    private static bool TryLink(string path, string target)
    {
        try
        {
            File.CreateSymbolicLink(path, target);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            // Windows without developer mode, and file systems without links.
            return false;
        }
    }
}
