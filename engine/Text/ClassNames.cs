using System.Collections.Immutable;

namespace GroupViT.Native.Text;

/// <summary>Lists of labels: the data sets' own (spec L.2, L.3, L.5) and a user's. The id of a label is its position.</summary>
internal static class ClassNames
{
    /// <summary>A first label of this name is no text but a threshold (spec F.1).</summary>
    public const string Background = "background";

    public const int MaxLabels = 65_535;

    /// <summary>The names that <see cref="Get"/> knows: 21, 60, 81 and 1000 labels.</summary>
    public static ImmutableArray<string> Sets { get; } = ["voc", "context", "coco", "imagenet"];

    private static readonly Lazy<ImmutableArray<string>>[] Lists =
        [.. Sets.Select(set => new Lazy<ImmutableArray<string>>(() => [.. TextResources.Lines($"classes.{set}.txt")]))];

    /// <summary>A data set's labels. ImageNet's hold two names twice (missile, sunglasses), as the original list does.</summary>
    /// <exception cref="LabelException">There is no such set; lists those there are.</exception>
    public static ImmutableArray<string> Get(string set)
    {
        int at = Sets.IndexOf(set);
        return at >= 0 ? Lists[at].Value : throw new LabelException($"there is no label set '{set}'; there are {string.Join(", ", Sets)}");
    }

    /// <summary>A file with one label on a line, trimmed; blank lines are skipped, there are no comments (a label may begin with #).</summary>
    /// <exception cref="LabelException">No label, or one that occurs twice; names the file and the lines.</exception>
    public static ImmutableArray<string> Read(Stream stream, string name)
    {
        var labels = new List<(string? Label, int Position)>();
        int number = 0;
        foreach (string line in UserText.Lines(stream, name))
        {
            number++;
            string label = line.Trim();
            if (label.Length > 0)
            {
                labels.Add((label, number));
            }
        }
        return Check(labels, name, "line");
    }

    /// <summary>Labels between commas, trimmed. A label that holds a comma has to come from a file.</summary>
    /// <exception cref="LabelException">An empty label or list, or a label that occurs twice; names the positions, counted from 1.</exception>
    public static ImmutableArray<string> Parse(string list)
    {
        ArgumentNullException.ThrowIfNull(list);
        return string.IsNullOrWhiteSpace(list)
            ? Check([], "the label list", "position")
            : Check([.. list.Split(',').Select((label, i) => (label.Trim(), i + 1))], "the label list", "position");
    }

    /// <summary>Labels that an application gave, which are taken as they are.</summary>
    /// <exception cref="LabelException">An empty label or list, or a label that occurs twice; names the positions, counted from 1.</exception>
    public static ImmutableArray<string> Check(IReadOnlyList<string> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        return Check([.. labels.Select((label, i) => (label, i + 1))], "the label list", "position");
    }

    private static ImmutableArray<string> Check(List<(string? Label, int Position)> labels, string name, string unit)
    {
        if (labels.Count == 0)
        {
            throw new LabelException($"{name} holds no label; at least one is needed");
        }
        if (labels.Count > MaxLabels)
        {
            throw new LabelException($"{name} holds {labels.Count} labels; a mask of 16 bits tells {MaxLabels} apart");
        }
        var first = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach ((string? label, int position) in labels)
        {
            if (string.IsNullOrWhiteSpace(label))
            {
                throw new LabelException($"{name}: the label at {unit} {position} is empty");
            }
            if (!first.TryAdd(label, position))
            {
                throw new LabelException($"{name}: the label '{ClipVocabulary.Shown(label)}' occurs twice, at {unit} {first[label]} and {unit} {position}");
            }
        }
        return [.. labels.Select(l => l.Label!)];
    }
}
