using System.Text.RegularExpressions;

namespace GroupViT.Tool.Hub;

/// <summary>A repository's name on a hub: owner/name.</summary>
/// <remarks>Names never hold "--" or "..": so its folder in the cache is its own, and no name leads out of the cache.</remarks>
internal sealed partial record RepositoryId
{
    private const int LongestPart = 96;

    private RepositoryId(string owner, string name) => (Owner, Name) = (owner, name);

    public string Owner { get; }

    public string Name { get; }

    /// <summary>The repository's folder in a hub cache.</summary>
    public string Folder => $"models--{Owner}--{Name}";

    public static RepositoryId? TryParse(string text)
    {
        Match match = Shape().Match(text);
        if (!match.Success || text.Contains("--", StringComparison.Ordinal) || text.Contains("..", StringComparison.Ordinal) || text.EndsWith(".git", StringComparison.Ordinal))
        {
            return null;
        }
        RepositoryId id = new(match.Groups["owner"].Value, match.Groups["name"].Value);
        return id.Owner.Length > LongestPart || id.Name.Length > LongestPart ? null : id;
    }

    /// <exception cref="UsageException">The text is no owner/name.</exception>
    public static RepositoryId Parse(string text)
        => TryParse(text) ?? throw new UsageException($"'{HubText.Printable(text)}' is no repository id; it would be OWNER/NAME, as nvidia/groupvit-gcc-yfcc");

    public override string ToString() => $"{Owner}/{Name}";

    [GeneratedRegex(@"^(?<owner>[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?)/(?<name>[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?)\z", RegexOptions.CultureInvariant)]
    private static partial Regex Shape();
}
