using System.Collections.Immutable;

namespace GroupViT.Native.Text;

/// <summary>Sentences that a label is put in before it is encoded (spec L.1); <c>{}</c> stands for the label.</summary>
internal static class PromptTemplates
{
    public const string Placeholder = "{}";
    public const int MaxTemplates = 10_000;

    /// <summary>Segmentation's one template.</summary>
    public static ImmutableArray<string> Simple { get; } = ["a photo of a {}."];

    /// <summary>The label alone.</summary>
    public static ImmutableArray<string> Identity { get; } = [Placeholder];

    /// <summary>Classification's seven.</summary>
    public static ImmutableArray<string> Subset { get; } = [.. TextResources.Lines("templates.subset.txt")];

    /// <summary>CLIP's eighty.</summary>
    public static ImmutableArray<string> Full { get; } = [.. TextResources.Lines("templates.full.txt")];

    /// <summary>The names that <see cref="Find"/> knows.</summary>
    public static ImmutableArray<string> Names { get; } = ["simple", "subset", "full", "identity"];

    /// <summary>The set of a name, or null for a name that is none (a file, then).</summary>
    public static ImmutableArray<string>? Find(string name) => name switch
    {
        "simple" => Simple,
        "subset" => Subset,
        "full" => Full,
        "identity" => Identity,
        _ => null,
    };

    /// <summary>The template with the label in its place.</summary>
    public static string Format(string template, string label)
    {
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(label);
        int at = template.IndexOf(Placeholder, StringComparison.Ordinal);
        if (at < 0 || template.IndexOf(Placeholder, at + Placeholder.Length, StringComparison.Ordinal) >= 0)
        {
            throw new LabelException($"the template '{ClipVocabulary.Shown(template)}' must hold {Placeholder} exactly once");
        }
        return string.Concat(template.AsSpan(0, at), label, template.AsSpan(at + Placeholder.Length));
    }

    /// <summary>A file of templates: one on a line, trimmed, with <c>{}</c> exactly once; blank lines and lines that begin with # are skipped.</summary>
    /// <exception cref="LabelException">A line is no template, or there is none; names the file and the line.</exception>
    public static ImmutableArray<string> Read(Stream stream, string name)
    {
        var templates = ImmutableArray.CreateBuilder<string>();
        int number = 0;
        foreach (string raw in UserText.Lines(stream, name))
        {
            number++;
            string line = raw.Trim();
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }
            int at = line.IndexOf(Placeholder, StringComparison.Ordinal);
            if (at < 0)
            {
                throw new LabelException($"{name}, line {number}: the template '{ClipVocabulary.Shown(line)}' lacks {Placeholder}, the place of the label");
            }
            if (line.IndexOf(Placeholder, at + Placeholder.Length, StringComparison.Ordinal) >= 0)
            {
                throw new LabelException($"{name}, line {number}: the template '{ClipVocabulary.Shown(line)}' has {Placeholder} more than once");
            }
            if (templates.Count == MaxTemplates)
            {
                throw new LabelException($"{name}, line {number}: there are more than {MaxTemplates} templates");
            }
            templates.Add(line);
        }
        if (templates.Count == 0)
        {
            throw new LabelException($"{name}: there is no template; one on a line was expected, for instance '{Simple[0]}'");
        }
        return templates.ToImmutable();
    }
}
