using GroupViT.Native;

namespace GroupViT.Tool;

/// <summary>Where results are written, and under which names.</summary>
internal sealed class OutputFolder
{
    private readonly HashSet<string> taken = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Makes the folder if it is not there, and tries whether it can be written.</summary>
    /// <exception cref="UsageException">It cannot.</exception>
    public OutputFolder(string path)
    {
        Path = path;
        try
        {
            Directory.CreateDirectory(path);
            string probe = System.IO.Path.Combine(path, $".{Guid.NewGuid():N}.tmp");
            File.Create(probe, 1, FileOptions.DeleteOnClose).Dispose();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"--out {path}: the folder cannot be written: {exception.Message}", exception);
        }
    }

    public string Path { get; }

    /// <summary>A picture's stem, which no other picture of this run has: equal ones get -2, -3, ...</summary>
    public string Claim(string picture)
    {
        string stem = System.IO.Path.GetFileNameWithoutExtension(picture);
        string name = stem;
        for (int i = 2; !taken.Add(name); i++)
        {
            name = $"{stem}-{i}";
        }
        return name;
    }

    /// <summary>Writes a file as it is made, whole or not at all.</summary>
    public string Write(string name, Action<Stream> write, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        string path = System.IO.Path.Combine(Path, name);
        // A large file takes longer than a cancelled program may; what is complete after Ctrl-C is not wanted either.
        AtomicFile.Write(path, stream =>
        {
            using CancellableWrites writes = new(stream, cancellation);
            write(writes);
            cancellation.ThrowIfCancellationRequested();
        });
        return path;
    }

    /// <summary>Writes a file, whole or not at all, from bytes that are complete: so that a cancelled run leaves no half of it.</summary>
    public string Write(string name, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        string path = System.IO.Path.Combine(Path, name);
        AtomicFile.Write(path, stream => stream.Write(bytes.Span));
        return path;
    }
}
