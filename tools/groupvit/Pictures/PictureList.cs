using System.IO.Enumeration;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Pictures;

/// <summary>An argument that names no picture.</summary>
internal sealed class NoPictureException(string message) : Exception(message);

/// <summary>A picture to work on, or what is wrong with an argument that names none.</summary>
internal sealed record PictureEntry(string Path, string? Problem = null)
{
    /// <summary>The bytes of its file, where they were given instead of a path.</summary>
    public byte[]? Data { get; init; }

    /// <summary>JSON that comes back with the answer, or null.</summary>
    public string? Id { get; init; }
}

/// <summary>From the command line's files, folders and patterns to pictures.</summary>
internal static class PictureList
{
    private static readonly string[] Endings = [".png", ".jpg", ".jpeg"];
    private static readonly string[] Written = [".overlay.png", ".mask.png", ".ids.png", ".cutout.png", ".groups.png"];

    /// <summary>
    /// A folder stands for its PNG and JPEG files, but not for the masks and overlays that this program wrote there; a pattern (*, ?, and **
    /// for folders of any depth) for the files that match. Both are sorted by name. All else is taken for a file.
    /// </summary>
    public static List<PictureEntry> Expand(IEnumerable<string> arguments)
    {
        List<PictureEntry> entries = [];
        foreach (string argument in arguments)
        {
            try
            {
                Expand(argument, entries);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                entries.Add(new PictureEntry(argument, $"{argument}: cannot be listed: {exception.Message}"));
            }
        }
        return entries;
    }

    /// <summary>Decodes a picture of the list.</summary>
    /// <exception cref="ImageFileException">It cannot be decoded.</exception>
    /// <exception cref="NoPictureException">There is none.</exception>
    public static Picture Decode(PictureEntry entry, AlphaMode alpha, long maxPixels)
        => entry.Problem is not null ? throw new NoPictureException(entry.Problem)
            : entry.Data is { } data ? Picture.FromStream(new MemoryStream(data), entry.Path, alpha, maxPixels)
            : Picture.FromFile(entry.Path, alpha, maxPixels);

    private static void Expand(string argument, List<PictureEntry> entries)
    {
        string[] found;
        string problem;
        if (Directory.Exists(argument))
        {
            found = [.. Directory.EnumerateFiles(argument).Where(IsPicture)];
            problem = $"{argument}: the folder holds no PNG or JPEG file";
        }
        else if (argument.AsSpan().ContainsAny('*', '?') && !File.Exists(argument))
        {
            found = [.. Match(argument)];
            problem = $"{argument}: no file matches";
        }
        else
        {
            entries.Add(new PictureEntry(argument));
            return;
        }
        Array.Sort(found, StringComparer.Ordinal);
        if (found.Length == 0)
        {
            entries.Add(new PictureEntry(argument, problem));
        }
        entries.AddRange(found.Select(path => new PictureEntry(path)));
    }

    private static bool IsPicture(string path)
        => Endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase)
        && !Written.Any(ending => path.EndsWith(ending, StringComparison.Ordinal));

    private static IEnumerable<string> Match(string pattern)
    {
        string root = Path.GetPathRoot(pattern) ?? "";
        string[] parts = pattern[root.Length..].Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
        IEnumerable<string> folders = [root];
        foreach (string part in parts[..^1])
        {
            folders = part == "**" ? folders.SelectMany(WithDescendants)
                : part.AsSpan().ContainsAny('*', '?') ? folders.SelectMany(folder => Folders(folder).Where(child => Matches(part, child)))
                : folders.Select(folder => Path.Combine(folder, part)).Where(Directory.Exists);
        }
        string last = parts[^1] == "**" ? "*" : parts[^1];
        return folders.SelectMany(folder => Directory.EnumerateFiles(Listed(folder)).Where(file => Matches(last, file)).Select(file => Path.Combine(folder, Path.GetFileName(file))));
    }

    private static IEnumerable<string> WithDescendants(string folder) => Folders(folder).SelectMany(WithDescendants).Prepend(folder);

    // Links to folders are left out: they can lead round in circles.
    private static IEnumerable<string> Folders(string folder)
        => new DirectoryInfo(Listed(folder)).EnumerateDirectories().Where(child => child.LinkTarget is null).Select(child => Path.Combine(folder, child.Name));

    private static string Listed(string folder) => folder.Length == 0 ? "." : folder;

    private static bool Matches(string pattern, string path)
    {
        string name = Path.GetFileName(path);
        return (name[0] != '.' || pattern[0] == '.') && FileSystemName.MatchesSimpleExpression(pattern.Replace("\\", "\\\\", StringComparison.Ordinal), name, ignoreCase: OperatingSystem.IsWindows());
    }
}
