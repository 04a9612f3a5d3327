namespace GroupViT.Bench.Measuring;

/// <summary>The clone that the benchmarks run in: they read fixtures and samples from it, and write results into it.</summary>
internal static class Repository
{
    private static readonly Lazy<string> Found = new(Find);

    /// <exception cref="InvalidOperationException">Neither the current folder nor the program's own is in a clone.</exception>
    public static string Root => Found.Value;

    public static string Join(params ReadOnlySpan<string> parts)
    {
        string path = Root;
        foreach (string part in parts)
        {
            path = Path.Combine(path, part);
        }
        return path;
    }

    /// <summary>Where results are kept: bench/results.</summary>
    public static string Results => Join("bench", "results");

    private static string Find()
    {
        foreach (string start in (string[])[Environment.CurrentDirectory, AppContext.BaseDirectory])
        {
            for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "GroupViT.Native.sln")))
                {
                    return folder.FullName;
                }
            }
        }
        throw new InvalidOperationException("run the benchmarks inside a clone of GroupViT.Native: they need its fixtures");
    }
}
