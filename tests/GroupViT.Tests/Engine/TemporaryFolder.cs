namespace GroupViT.Tests.Engine;

/// <summary>A folder of a test's own, gone when the test is through.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder() => Root = Directory.CreateTempSubdirectory("groupvit-tests-").FullName;

    public string Root { get; }

    public static TemporaryFolder Empty() => new();

    /// <summary>A folder with copies of another's files (not of its folders), except those named.</summary>
    public static TemporaryFolder CopyOf(string folder, params ReadOnlySpan<string> without)
    {
        TemporaryFolder copy = new();
        foreach (string file in Directory.GetFiles(folder))
        {
            if (!without.Contains(Path.GetFileName(file)))
            {
                File.Copy(file, copy[Path.GetFileName(file)]);
            }
        }
        return copy;
    }

    public string this[string file] => Path.Combine(Root, file);

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
