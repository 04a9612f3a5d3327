using System.Xml.Linq;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Reporting;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Bench;

/// <summary>From result files to README's table and chart.</summary>
internal sealed class ReportingTests
{
    private static readonly Machine Somewhere = new("Some Processor", 2, "Vector512", "an OS", ".NET 10", "0123456789ab", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    [Test]
    public void A_result_file_says_where_and_how_and_is_written_whole()
    {
        using TemporaryFolder folder = new();
        ResultFile result = new ResultFile("Title", Somewhere, "bench now").Add("Times", new MarkdownTable("a", ">b").Add("x", "1"), "A paragraph.").Add("Words", "Text alone.");
        string path = result.Write(folder.Join("results"), "name");
        Assert.That(Directory.GetFiles(folder.Join("results")).Select(Path.GetFileName), Is.EqualTo((string[])["name.md"]));
        Assert.That(File.ReadAllText(path), Is.EqualTo("""
            # Title

            * Processor: Some Processor, 2 threads, Vector512
            * System: an OS
            * Runtime: .NET 10
            * Commit: 0123456789ab
            * Date: 2026-01-02 03:04 UTC
            * Command: `bench now`

            ## Times

            A paragraph.

            | a   |   b |
            | --- | --: |
            | x   |   1 |

            ## Words

            Text alone.

            """));
    }

    [Test]
    public void A_comparison_is_read_from_its_file()
    {
        ComparisonFile file = ComparisonFile.Parse("here", Comparison("1.25"))!;
        Assert.That((file.Name, file.Processor, file.Commit, file.Processes), Is.EqualTo(("here", "Some Processor, 2 threads, Vector512", "0123456789ab", (MarkdownTable?)null)));
        Assert.That(file.Rows, Has.Count.EqualTo(3));
        Assert.That(file.Rows[0], Is.EqualTo(new ComparisonRow("image-224-b1-t1", "70.00", "ONNX Runtime", "onnx-all", "87.50", "1.25", "97 %")));
        Assert.That((file.Rows[1].Engine, file.Rows[1].Way, file.Rows[1].Ratio), Is.EqualTo(("libtorch", "", 2.5)));
    }

    [Test]
    public void A_file_without_a_comparison_is_none_and_one_with_nonsense_is_refused()
    {
        Assert.That(ComparisonFile.Parse("kernels", new ResultFile("Kernels", Somewhere, "x").Add("Shapes", new MarkdownTable("shape", ">ms").Add("a", "1")).ToString()), Is.Null);
        foreach (string ratio in (string[])["", "fast", "0.00", "-1", "NaN"])
        {
            Assert.That(() => ComparisonFile.Parse("here", Comparison(ratio)), Throws.TypeOf<FormatException>().With.Message.Contains("here.md").And.Message.Contains("image-224-b1-t1"), ratio);
        }
        using TemporaryFolder folder = new();
        Assert.That(ComparisonFile.All(folder.Join("missing")), Is.Empty);
    }

    [Test]
    public void Readme_gets_a_row_for_each_cell_and_a_column_for_each_engine()
    {
        MarkdownTable table = MarkdownTable.Parse(ReadmeTable.Of([ComparisonFile.Parse("here", Comparison("1.25"))!])).Single();
        Assert.That(table.Headers, Is.EqualTo((string[])["what", "ms", "of the ceiling", "ONNX Runtime", "libtorch"]));
        Assert.That(table.Rows, Is.EqualTo((string[][])
        [
            ["image 224 x 224, batch 1, 1 thread", "70.00", "97 %", "1.25", "2.50"],
            ["text of 77 tokens, batch 8, all threads", "3.00", "50 %", "0.90", ""],
        ]));
    }

    [Test]
    public void Readme_also_says_what_a_process_costs_where_that_was_measured()
    {
        MarkdownTable processes = new MarkdownTable("contender", ">first result ms", ">net ms", ">peak MB", ">to ship MB").Add("ours", "300", "250", "190.0", "9.1");
        string text = ReadmeTable.Of([ComparisonFile.Parse("here", $"{Comparison("1.25")}\n## A process\n\n{processes}")!]);
        Assert.That(text, Does.EndWith($"\n\n{processes}\n"));
    }

    [Test]
    public void Only_what_stands_between_the_markers_is_replaced()
    {
        ComparisonFile[] files = [ComparisonFile.Parse("here", Comparison("1.25"))!];
        string readme = $"before\n{ReadmeTable.Start}\nold\n{ReadmeTable.End}\nbehind\n";
        string replaced = ReadmeTable.Replace(readme, files);
        Assert.That(replaced, Is.EqualTo($"before\n{ReadmeTable.Start}{ReadmeTable.Of(files)}{ReadmeTable.End}\nbehind\n"));
        Assert.That(ReadmeTable.Current(replaced), Is.EqualTo(ReadmeTable.Of(files)));
        Assert.That(ReadmeTable.Current(replaced), Is.Not.EqualTo(ReadmeTable.Of([ComparisonFile.Parse("here", Comparison("1.26"))!])), "another ratio is another table");
        Assert.That(ReadmeTable.Replace(replaced, files), Is.EqualTo(replaced));
        foreach (string broken in (string[])["no markers", $"{ReadmeTable.Start} only", $"{ReadmeTable.End}{ReadmeTable.Start}", readme + readme])
        {
            Assert.That(() => ReadmeTable.Replace(broken, files), Throws.TypeOf<FormatException>(), broken);
        }
    }

    [Test]
    public void The_readme_and_its_chart_are_those_of_the_committed_results()
    {
        string root = RepositoryFolder.OrIgnore();
        IReadOnlyList<ComparisonFile> files = ComparisonFile.All(Path.Combine(root, "bench", "results"));
        Assert.That(
            ReadmeTable.Current(File.ReadAllText(Path.Combine(root, "README.md"))), Is.EqualTo(ReadmeTable.Of(files)),
            "run: dotnet run -c Release --project bench/GroupViT.Bench -- readme");
        string chart = Path.Combine(root, ReadmeTable.Chart);
        if (files.Count == 0)
        {
            Assert.That(File.Exists(chart), Is.False, "a chart without results");
            return;
        }
        Assert.That(File.ReadAllText(chart), Is.EqualTo(RatioChart.Of(files)), "run: dotnet run -c Release --project bench/GroupViT.Bench -- chart");
    }

    [Test]
    public void A_bar_is_as_long_as_its_ratio_and_one_is_marked()
    {
        XElement svg = XDocument.Parse(RatioChart.Of([ComparisonFile.Parse("here", Comparison("1.25"))!])).Root!;
        XNamespace ns = "http://www.w3.org/2000/svg";
        double[] bars = [.. svg.Elements(ns + "rect").Where(rect => (string?)rect.Attribute("x") == "250").Select(rect => (double)rect.Attribute("width")!)];
        Assert.That(bars, Has.Length.EqualTo(3));
        Assert.That(bars[1] / bars[0], Is.EqualTo(2.5 / 1.25).Within(0.01));
        Assert.That(bars[2] / bars[0], Is.EqualTo(0.9 / 1.25).Within(0.01));
        double one = (double)svg.Elements(ns + "line").Single(line => (string?)line.Attribute("stroke") == "#222").Attribute("x1")!;
        Assert.That(one - 250, Is.EqualTo(bars[0] / 1.25).Within(0.2));
        Assert.That(svg.Descendants(ns + "text").Select(text => text.Value), Does.Contain("ONNX Runtime").And.Contain("libtorch").And.Contain("1.25").And.Contain("image 224 x 224, batch 1, 1 thread"));
        Assert.That(() => RatioChart.Of([]), Throws.ArgumentException);
    }

    [TestCase("image-448-b8-tall", "image 448 x 448, batch 8, all threads")]
    [TestCase("image-224-b1-t1", "image 224 x 224, batch 1, 1 thread")]
    [TestCase("text-77-b8-t4", "text of 77 tokens, batch 8, 4 threads")]
    [TestCase("segment 448", "segment 448")]
    public void Cells_are_named_in_words(string name, string words) => Assert.That(CellName.InWords(name), Is.EqualTo(words));

    private static string Comparison(string firstRatio) => new ResultFile("Peers", Somewhere, "compare")
        .Add("Summary", new MarkdownTable("cell", ">ours ms", "peer", ">peer ms", ">ratio", ">share of ceiling")
            .Add("image-224-b1-t1", "70.00", "ONNX Runtime (onnx-all)", "87.50", firstRatio, "97 %")
            .Add("image-224-b1-t1", "70.00", "libtorch", "175.00", "2.50", "97 %")
            .Add("text-77-b8-tall", "3.00", "ONNX Runtime (onnx-all)", "2.70", "0.90", "50 %"))
        .ToString();
}
