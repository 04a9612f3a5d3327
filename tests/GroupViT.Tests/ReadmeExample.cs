using GroupViT.Native;

namespace GroupViT.Tests;

/// <summary>The library example of the README: compiled here, run here, and held equal to what is printed there.</summary>
internal sealed class ReadmeExample
{
    private static string Repository => RepositoryFolder.OrIgnore();

    [Test]
    public void The_example_runs_and_finds_what_is_in_the_picture()
    {
        string before = Environment.CurrentDirectory;
        TextWriter console = Console.Out;
        using StringWriter written = new();
        try
        {
            Environment.CurrentDirectory = Repository;
            Console.SetOut(written);
            Example();
        }
        finally
        {
            Console.SetOut(console);
            Environment.CurrentDirectory = before;
        }
        Assert.That(written.ToString(), Does.Match("grass: 4\\d").And.Match("sky: 3\\d").And.Match("horse: \\d").And.Match("tree: 1\\d"));
    }

    [Test]
    public void The_printed_example_is_this_one()
    {
        string[] source = File.ReadAllLines(Path.Combine(Repository, "tests", "GroupViT.Tests", "ReadmeExample.cs"));
        int start = Array.FindIndex(source, line => line == "    private static void Example()") + 2;
        IEnumerable<string> here = source.Skip(start).TakeWhile(line => line != "    }").Select(line => line.Length > 8 ? line[8..] : "");
        string[] readme = File.ReadAllLines(Path.Combine(Repository, "README.md"));
        IEnumerable<string> printed = readme.SkipWhile(line => line != "```csharp").Skip(1).TakeWhile(line => line != "```");
        Assert.That(printed, Is.EqualTo(here));
        Assert.That(printed.Count(), Is.LessThanOrEqualTo(12));
    }

    private static void Example()
    {
        using GroupVitModel model = GroupVitModel.Load("tools/models/scenes");
        using Session session = model.OpenSession(new SessionOptions { Device = "auto" });
        LabelBank bank = session.EncodeLabels(["grass", "sky", "horse", "tree"]);
        SegmentationResult result = session.Segment(Picture.FromFile("tools/samples/meadow.png"), bank);
        foreach (LabelShare label in result.Labels)
        {
            Console.WriteLine($"{label.Label}: {label.Share:P1}");
        }
    }
}
