namespace GroupViT.Tool.Hub;

/// <summary>Files that may be links to files, as snapshots are made of. .NET counts a link to nothing as a file that exists.</summary>
internal static class LinkedFile
{
    /// <summary>True where there is a file to read.</summary>
    public static bool Exists(string path) => Resolve(path) is { Exists: true };

    /// <summary>Bytes of the file, not of the link.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static long Length(string path) => Resolve(path)?.Length ?? throw new FileNotFoundException($"{path}: there is no such file", path);

    private static FileInfo? Resolve(string path)
    {
        FileInfo info = new(path);
        try
        {
            return info.LinkTarget is null ? info : info.ResolveLinkTarget(returnFinalTarget: true) as FileInfo;
        }
        catch (IOException)
        {
            // Links in a circle.
            return null;
        }
    }
}
