namespace GroupViT.Tool.Converting;

/// <summary>
/// Where a finished model folder goes. It is filled under a temporary name (beside the target, or inside it where it exists, so that
/// both are on one disk) and gets its place at the end; whatever happens before, nothing is left.
/// </summary>
internal sealed class TargetFolder : IDisposable
{
    private readonly string path;
    private readonly bool exists;
    private readonly List<string> parents = [];
    private bool done;

    /// <summary>Looks whether the folder can be had, and makes the temporary one.</summary>
    /// <param name="path">The folder that --out names.</param>
    /// <param name="force">Whether files of the names in <paramref name="names"/> may be replaced there.</param>
    /// <param name="names">What a conversion may write.</param>
    /// <exception cref="UsageException">The folder is a file, holds something, or cannot be written.</exception>
    public TargetFolder(string path, bool force, IReadOnlyList<string> names)
    {
        Name = path;
        Names = names;
        try
        {
            this.path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
            if (File.Exists(this.path))
            {
                throw new UsageException($"--out {path}: is a file; a folder is needed");
            }
            exists = Directory.Exists(this.path);
            if (exists && Directory.EnumerateFileSystemEntries(this.path).FirstOrDefault() is { } entry)
            {
                if (!force)
                {
                    throw new UsageException($"--out {path}: the folder is not empty ({Path.GetFileName(entry)}); name another one, or --force to replace the model in it");
                }
                if (names.FirstOrDefault(name => Directory.Exists(Path.Combine(this.path, name))) is { } folder)
                {
                    throw new UsageException($"--out {path}: {folder} is a folder in it, where a file would be written");
                }
            }
            Temporary = Path.Combine(exists ? this.path : MakeParents(), $".{Guid.NewGuid():N}.tmp");
            Directory.CreateDirectory(Temporary);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            DeleteParents();
            throw new UsageException($"--out {path}: the folder cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>As the user named it.</summary>
    public string Name { get; }

    /// <summary>The empty folder to fill.</summary>
    public string Temporary { get; }

    private IReadOnlyList<string> Names { get; }

    /// <summary>Refuses a source that lies in the target: replacing files there could replace what is being read.</summary>
    /// <param name="source">The file or folder to be converted.</param>
    /// <param name="target">The folder that --out names.</param>
    /// <exception cref="UsageException">It does.</exception>
    public static void RefuseSourceInside(string source, string target)
    {
        string inner = Real(source);
        string outer = Real(target);
        StringComparison comparison = OperatingSystem.IsWindows() || OperatingSystem.IsMacOS() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        if (inner.Equals(outer, comparison) || inner.StartsWith(Path.TrimEndingDirectorySeparator(outer) + Path.DirectorySeparatorChar, comparison))
        {
            throw new UsageException($"--out {target}: {source} lies in it; name a folder that the source is not in");
        }
    }

    /// <summary>Puts the files in place.</summary>
    public void Commit()
    {
        if (exists)
        {
            Replace();
            Directory.Delete(Temporary, recursive: true);
        }
        else
        {
            Directory.Move(Temporary, path);
        }
        done = true;
    }

    public void Dispose()
    {
        if (done)
        {
            return;
        }
        try
        {
            Directory.Delete(Temporary, recursive: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The folder became unwritable meanwhile; the error that led here is already on its way.
        }
        DeleteParents();
    }

    /// <summary>
    /// Old files step aside first, all of a model's: a vocab.json of the old one would be taken for the new one's. If any step fails they
    /// come back.
    /// </summary>
    private void Replace()
    {
        string aside = Path.Combine(Temporary, "replaced");
        Directory.CreateDirectory(aside);
        Stack<(string From, string To)> moved = [];
        try
        {
            foreach (string name in Names.Where(name => File.Exists(Path.Combine(path, name))))
            {
                Move(Path.Combine(path, name), Path.Combine(aside, name));
            }
            // The weights last: without them the folder is no model.
            foreach (string name in Names.Where(name => File.Exists(Path.Combine(Temporary, name))))
            {
                Move(Path.Combine(Temporary, name), Path.Combine(path, name));
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            while (moved.TryPop(out (string From, string To) step))
            {
                File.Move(step.To, step.From);
            }
            throw new UsageException($"--out {Name}: the files there cannot be replaced: {exception.Message}", exception);
        }

        void Move(string from, string to)
        {
            File.Move(from, to);
            moved.Push((from, to));
        }
    }

    private string MakeParents()
    {
        string parent = Path.GetDirectoryName(path) ?? throw new IOException("there is no such folder");
        for (string? missing = parent; missing is not null && !Directory.Exists(missing); missing = Path.GetDirectoryName(missing))
        {
            parents.Add(missing);
        }
        Directory.CreateDirectory(parent);
        return parent;
    }

    private void DeleteParents()
    {
        try
        {
            foreach (string parent in parents.Where(Directory.Exists))
            {
                Directory.Delete(parent);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Someone put a file there meanwhile: then the folder is theirs.
        }
    }

    /// <summary>The path with the links on the way to it resolved, as far as it exists.</summary>
    private static string Real(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        string? parent = Path.GetDirectoryName(full);
        if (parent is null)
        {
            return full;
        }
        string here = Path.Combine(Real(parent), Path.GetFileName(full));
        try
        {
            FileSystemInfo info = Directory.Exists(here) ? new DirectoryInfo(here) : new FileInfo(here);
            return info.LinkTarget is not null && info.ResolveLinkTarget(returnFinalTarget: true) is { } target ? Path.TrimEndingDirectorySeparator(target.FullName) : here;
        }
        catch (IOException)
        {
            // Links in a circle, or nothing there.
            return here;
        }
    }
}
