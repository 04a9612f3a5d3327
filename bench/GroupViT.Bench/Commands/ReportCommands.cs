using System.CommandLine;
using System.Text;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Reporting;
using GroupViT.Native;

namespace GroupViT.Bench.Commands;

/// <summary>What the result files become: README's table and its chart.</summary>
internal static class ReportCommands
{
    public static Command Chart()
    {
        Command command = new("chart", $"Draw {ReadmeTable.Chart} from the comparisons in bench/results.");
        command.SetAction(parsed =>
        {
            IReadOnlyList<ComparisonFile> files = ComparisonFile.All(Repository.Results);
            if (files.Count == 0)
            {
                throw new BenchException($"no file in {Repository.Results} has a table with the columns {string.Join(", ", ComparisonFile.Columns)}");
            }
            Write(Repository.Join(ReadmeTable.Chart), RatioChart.Of(files), parsed);
            return 0;
        });
        return command;
    }

    public static Command Readme()
    {
        Command command = new("readme", "Write README's table of ratios from the comparisons in bench/results.");
        command.SetAction(parsed =>
        {
            string readme = Repository.Join("README.md");
            Write(readme, ReadmeTable.Replace(File.ReadAllText(readme), ComparisonFile.All(Repository.Results)), parsed);
            return 0;
        });
        return command;
    }

    private static void Write(string path, string text, ParseResult parsed)
    {
        AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
        parsed.InvocationConfiguration.Error.WriteLine($"wrote {path}");
    }
}
