using System.Text;
using System.Text.RegularExpressions;

namespace GroupViT.Tool.Hub;

/// <summary>Names and texts that come from a hub or go into its paths, checked before they are used.</summary>
internal static partial class HubText
{
    public const string MainRevision = "main";

    /// <summary>Longest path of a file in a repository, in bytes of UTF-8.</summary>
    public const int LongestPath = 1024;

    /// <summary>Longest name that file systems hold, in bytes of UTF-8.</summary>
    public const int LongestName = 255;

    private const int LongestRevision = 250;
    private const int LongestText = 300;

    /// <summary>True for the full name of a commit.</summary>
    public static bool IsCommit(string text) => Commit().IsMatch(text);

    /// <summary>True for a branch, tag, reference or commit whose name is also safe as a path below refs/.</summary>
    public static bool IsRevision(string text)
        => text.Length is > 0 and <= LongestRevision && Revision().IsMatch(text) && !text.Contains("..", StringComparison.Ordinal) && WhatIsWrongWithPath(text) is null;

    /// <summary>Why a path from a hub must not become a path here, or null where it may.</summary>
    /// <remarks>Stricter than one platform needs: a cache may be shared, and what is a name on one is a drive or a device on another.</remarks>
    public static string? WhatIsWrongWithPath(string path)
    {
        if (path.Length == 0)
        {
            return "it is empty";
        }
        if (path.Length > LongestPath || Encoding.UTF8.GetByteCount(path) > LongestPath)
        {
            return $"it is longer than {LongestPath} bytes";
        }
        if (path.Any(c => char.IsControl(c) || c is '\\' or ':'))
        {
            return "it holds a control character, a backslash or a colon";
        }
        if (path[0] == '/')
        {
            return "it is absolute";
        }
        foreach (string segment in path.Split('/'))
        {
            if (segment is "" or "." or "..")
            {
                return "it leads out of its folder";
            }
            if (Encoding.UTF8.GetByteCount(segment) > LongestName)
            {
                return $"a name in it is longer than {LongestName} bytes";
            }
            if (segment[^1] is '.' or ' ' || Reserved().IsMatch(segment))
            {
                return "Windows has no such file name";
            }
        }
        return null;
    }

    /// <summary>Somebody else's text, fit for a terminal and for one line.</summary>
    public static string Printable(string text)
    {
        StringBuilder result = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, LongestText)))
        {
            // Format characters too: some of them turn the direction of a terminal's text.
            result.Append(char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) == System.Globalization.UnicodeCategory.Format ? '?' : c);
        }
        return text.Length > LongestText ? $"{result}..." : result.ToString();
    }

    [GeneratedRegex(@"^[0-9a-f]{40}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Commit();

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._/+-]*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Revision();

    [GeneratedRegex(@"^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\z)", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Reserved();
}
