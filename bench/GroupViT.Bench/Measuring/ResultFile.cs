using System.Text;
using GroupViT.Native;

namespace GroupViT.Bench.Measuring;

/// <summary>Measurements as a Markdown file: what was measured, where and by which command, and the tables.</summary>
/// <param name="Title">The first line.</param>
/// <param name="Machine">Where.</param>
/// <param name="Command">How to measure it again.</param>
internal sealed record ResultFile(string Title, Machine Machine, string Command)
{
    private readonly List<(string Heading, string? Text, MarkdownTable? Table)> sections = [];

    /// <summary>A section with a table, and a paragraph before it if there is one.</summary>
    public ResultFile Add(string heading, MarkdownTable table, string? text = null)
    {
        sections.Add((heading, text, table));
        return this;
    }

    /// <summary>A section of text alone.</summary>
    public ResultFile Add(string heading, string text)
    {
        sections.Add((heading, text, null));
        return this;
    }

    public override string ToString()
    {
        StringBuilder text = new($"# {Title}\n\n");
        foreach (string line in Machine.Lines())
        {
            text.Append("* ").Append(line).Append('\n');
        }
        text.Append("* Command: `").Append(Command).Append("`\n");
        foreach ((string heading, string? paragraph, MarkdownTable? table) in sections)
        {
            text.Append("\n## ").Append(heading).Append('\n');
            if (paragraph is not null)
            {
                text.Append('\n').Append(paragraph.Trim()).Append('\n');
            }
            if (table is not null)
            {
                text.Append('\n').Append(table);
            }
        }
        return text.ToString();
    }

    /// <summary>Writes FOLDER/NAME.md, whole or not at all; returns its path.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public string Write(string folder, string name)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, name + ".md");
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(ToString())));
        return path;
    }
}
