namespace GroupViT.Tests;

/// <summary>The clone that the tests were built in, for what checks its files.</summary>
internal static class RepositoryFolder
{
    /// <summary>Its path; a test that runs elsewhere is ignored.</summary>
    public static string OrIgnore()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "GroupViT.Native.sln")))
        {
            folder = folder.Parent;
        }
        if (folder is null)
        {
            Assert.Ignore("the tests run outside the repository");
        }
        return folder!.FullName;
    }
}
