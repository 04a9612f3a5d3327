using System.Globalization;
using System.Text.RegularExpressions;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tool.Evaluation;

/// <summary>ImageNet's validation pictures: a folder for each class, or a list with a label on each line (spec G, L.5).</summary>
internal static partial class ImageNetSet
{
    private static readonly string[] PictureEndings = [".jpg", ".jpeg", ".png"];

    /// <param name="folder">The folder of the classes' folders (or one above it, if they are in <c>val</c>); with a list, what its paths start from.</param>
    /// <param name="list">A file with a path and a label's number on each line, or null.</param>
    public static EvaluationSet Open(string folder, string? list)
    {
        if (!Directory.Exists(folder))
        {
            throw new DatasetException($"{folder}: {(File.Exists(folder) ? "is a file, not the folder of a data set" : "there is no such folder")}");
        }
        IReadOnlyList<string> labels = ClassNames.Get("imagenet");
        string root = list is null && Directory.Exists(Path.Combine(folder, "val")) ? Path.Combine(folder, "val") : folder;
        List<EvaluationSample> samples = list is null ? FromFolders(root, labels) : FromList(folder, list, labels.Count);
        if (samples.Count == 0)
        {
            throw new DatasetException($"{list ?? root}: the data set is empty: no PNG or JPEG file was found");
        }
        return new EvaluationSet
        {
            Kind = DatasetKind.ImageNet,
            Labels = labels,
            Samples = samples,
            Description = list is null ? $"folders of {root}" : $"list {list}",
            Rules = new SegmentationOptions(),
            Templates = "subset",
        };
    }

    private static List<EvaluationSample> FromFolders(string root, IReadOnlyList<string> labels)
    {
        string[] folders = [.. Directory.EnumerateDirectories(root).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        if (folders.Length == 0)
        {
            throw new DatasetException($"{root}: there are no folders of classes in it (one for each, named n01440764 and so on, by number, or by name); with a flat folder give --list");
        }
        bool words = folders.All(name => WordNet().IsMatch(name));
        if (words && folders.Length != labels.Count)
        {
            throw new DatasetException($"{root}: there are {folders.Length} folders named after WordNet; only all {labels.Count}, in their order, say which class is which. Name them by number (0 to {labels.Count - 1}) or by class");
        }
        List<EvaluationSample> samples = [];
        for (int i = 0; i < folders.Length; i++)
        {
            int label = words ? i : Label(Path.Combine(root, folders[i]), folders[i], labels);
            samples.AddRange(Directory.EnumerateFiles(Path.Combine(root, folders[i]))
                .Where(file => PictureEndings.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
                .Order(StringComparer.Ordinal)
                .Select(file => new EvaluationSample($"{folders[i]}/{Path.GetFileName(file)}", file, null, label)));
        }
        return samples;
    }

    private static int Label(string path, string name, IReadOnlyList<string> labels)
    {
        if (int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return number < labels.Count ? number : throw new DatasetException($"{path}: the number is none of 0 to {labels.Count - 1}");
        }
        string text = name.Replace('_', ' ');
        int[] found = [.. Enumerable.Range(0, labels.Count).Where(i => string.Equals(labels[i], text, StringComparison.OrdinalIgnoreCase))];
        return found.Length switch
        {
            1 => found[0],
            0 => throw new DatasetException($"{path}: '{text}' is no class of ImageNet; folders are named by WordNet (all {labels.Count}), by number or by class"),
            _ => throw new DatasetException($"{path}: '{text}' names the classes {string.Join(" and ", found)}; name the folder by number"),
        };
    }

    private static List<EvaluationSample> FromList(string folder, string list, int count)
    {
        List<EvaluationSample> samples = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        try
        {
            using FileStream stream = new(list, FileMode.Open, FileAccess.Read, FileShare.Read);
            int number = 0;
            foreach (string line in UserText.Lines(stream, list))
            {
                number++;
                string text = line.Trim();
                if (text.Length == 0)
                {
                    continue;
                }
                int space = text.LastIndexOfAny([' ', '\t', ',']);
                if (space <= 0 || !int.TryParse(text[(space + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int label) || label >= count)
                {
                    throw new DatasetException($"{list}, line {number}: a path and a label from 0 to {count - 1} were expected, not '{(text.Length > 80 ? text[..80] : text)}'");
                }
                string name = text[..space].TrimEnd(' ', '\t', ',');
                if (!seen.Add(name))
                {
                    throw new DatasetException($"{list}, line {number}: '{name}' is there twice");
                }
                samples.Add(new EvaluationSample(name, Path.Combine(folder, name), null, label));
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException($"{list}: the list cannot be read: {exception.Message}", exception);
        }
        return samples;
    }

    [GeneratedRegex("^n[0-9]{8}$")]
    private static partial Regex WordNet();
}
