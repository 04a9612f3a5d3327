using System.Text.RegularExpressions;

namespace GroupViT.Bench.Reporting;

/// <summary>The short names of cells (image-448-b8-tall) in words.</summary>
internal static partial class CellName
{
    /// <summary>A name of another kind is its own words.</summary>
    public static string InWords(string name)
    {
        Match match = Short().Match(name);
        if (!match.Success)
        {
            return name;
        }
        string size = match.Groups["size"].Value;
        string threads = match.Groups["threads"].Value switch
        {
            "all" => "all threads",
            "1" => "1 thread",
            string count => $"{count} threads",
        };
        return match.Groups["what"].Value == "image"
            ? $"image {size} x {size}, batch {match.Groups["batch"].Value}, {threads}"
            : $"text of {size} tokens, batch {match.Groups["batch"].Value}, {threads}";
    }

    [GeneratedRegex(@"^(?<what>image|text)-(?<size>\d+)-b(?<batch>\d+)-t(?<threads>all|\d+)$")]
    private static partial Regex Short();
}
