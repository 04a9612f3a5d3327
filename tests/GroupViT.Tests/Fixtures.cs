namespace GroupViT.Tests;

/// <summary>Paths of the reference's recorded answers, copied beside the test binary.</summary>
internal static class Fixtures
{
    public static string Root { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "fixtures");

    public static string Path(params ReadOnlySpan<string> parts)
    {
        string path = Root;
        foreach (string part in parts)
        {
            path = System.IO.Path.Combine(path, part);
        }
        return path;
    }

    /// <summary>A model that ships with the project.</summary>
    public static string Models(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "models", name);

    /// <summary>A sample picture, or its truth.</summary>
    public static string Samples(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "samples", name);
}

internal sealed class FixturesTests
{
    [Test]
    public void The_fixtures_are_beside_the_tests() => Assert.That(File.Exists(Fixtures.Path("tokens.json")));
}
