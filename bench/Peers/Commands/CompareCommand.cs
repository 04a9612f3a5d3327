using System.CommandLine;
using System.IO.Enumeration;
using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Peers.Contenders;
using GroupViT.Bench.Peers.Facts;

namespace GroupViT.Bench.Peers.Commands;

/// <summary>The comparison itself, with its result file.</summary>
internal static class CompareCommand
{
    private const string FactsCell = "image-224-b1-tall";

    public static Command Create()
    {
        Option<string> cells = PeersOptions.Cells();
        Option<string> contenders = new("--contenders") { Description = "peers' names with wildcards, separated by commas; default: all", HelpName = "NAMES", DefaultValueFactory = _ => "*" };
        Option<double> seconds = BenchOptions.Seconds(20, "for the rounds of a cell, of which there are five at least");
        Option<int> starts = BenchOptions.Whole("--starts", "processes started per contender for cold start and memory, 0 to leave that out", 0, 100, 5);
        Option<string[]> also = new("--also") { Description = "another program that answers as a contender does, such as peers.py; can be given several times", HelpName = "NAME=COMMAND" };
        Option<string?> model = PeersOptions.Model();
        Option<string?> output = BenchOptions.Out();
        Command command = new("compare", "Time our encoders beside ONNX Runtime and libtorch, after proving that they give the same outputs.") { cells, contenders, seconds, starts, also, model, output };
        command.SetAction(parsed =>
        {
            ContenderKind[] kinds =
            [
                ContenderKind.Ours,
                .. ContenderKind.Peers.Where(kind => Matches(parsed.GetRequiredValue(contenders), kind.Name)),
                .. (parsed.GetValue(also) ?? []).Select(ContenderKind.Foreign),
            ];
            return Run(
                parsed, Cell.Matching(parsed.GetRequiredValue(cells)), kinds, TimeSpan.FromSeconds(parsed.GetValue(seconds)), parsed.GetValue(starts),
                parsed.GetValue(model) ?? FullModel.Folder, parsed.GetValue(output));
        });
        return command;
    }

    private static int Run(ParseResult parsed, IReadOnlyList<Cell> cells, IReadOnlyList<ContenderKind> kinds, TimeSpan budget, int starts, string model, string? name)
    {
        DirectoryInfo temporary = Directory.CreateTempSubdirectory("groupvit-peers-");
        try
        {
            using Network network = new(model);
            Comparison comparison = new(network, model, temporary.FullName, kinds, budget, parsed.InvocationConfiguration.Error.WriteLine);
            CellResult[] measured = [.. cells.Select(comparison.Run)];
            Cell factsCell = Cell.Named(FactsCell);
            IReadOnlyList<ProcessFacts> facts = starts == 0 ? [] : ProcessFacts.Measure([ContenderKind.Nothing, .. comparison.Present], factsCell, comparison.Prepare(factsCell), starts);
            Report.Of(PeersOptions.Machine(), PeersOptions.CommandLine(parsed), kinds, measured, factsCell, facts, comparison.Absent).Finish(parsed, name);
            return measured.All(cell => cell.Differences.Values.All(outputs => outputs.All(output => output.Equal))) ? 0 : 1;
        }
        finally
        {
            temporary.Delete(recursive: true);
        }
    }

    private static bool Matches(string patterns, string name)
        => patterns.Split(',', StringSplitOptions.TrimEntries).Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, name));
}
