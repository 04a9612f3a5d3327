using System.CommandLine;
using System.IO.Enumeration;
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
        Option<string> cells = new("--cells") { Description = "names with wildcards, separated by commas; default: all", HelpName = "NAMES", DefaultValueFactory = _ => "*" };
        Option<string> contenders = new("--contenders") { Description = "peers' names with wildcards, separated by commas; default: all", HelpName = "NAMES", DefaultValueFactory = _ => "*" };
        Option<double> seconds = new("--seconds") { Description = "time for the rounds of a cell; five rounds are run whatever it is", HelpName = "S", DefaultValueFactory = _ => 20 };
        Option<int> starts = new("--starts") { Description = "processes started per contender for cold start and memory; 0 leaves that out", HelpName = "N", DefaultValueFactory = _ => 5 };
        Option<string[]> also = new("--also") { Description = "another program that answers as a contender does, such as peers.py; can be repeated", HelpName = "NAME=COMMAND" };
        Option<string?> model = CommonOptions.Model();
        Option<string?> folder = new("--out") { Description = "folder of the result file; default: bench/results", HelpName = "DIR" };
        Option<string> name = new("--name") { Description = "name of the result file, without .md", HelpName = "NAME", DefaultValueFactory = _ => "peers-cpu" };
        Command command = new("compare", "Time our encoders beside ONNX Runtime and libtorch, after proving that they give the same outputs.") { cells, contenders, seconds, starts, also, model, folder, name };
        command.SetAction(parsed =>
        {
            ContenderKind[] kinds =
            [
                ContenderKind.Ours,
                .. ContenderKind.Peers.Where(kind => Matches(parsed.GetRequiredValue(contenders), kind.Name)),
                .. (parsed.GetValue(also) ?? []).Select(ContenderKind.Foreign),
            ];
            return Run(
                string.Join(' ', parsed.Tokens.Select(token => token.Value)), Cell.Matching(parsed.GetRequiredValue(cells)), kinds, TimeSpan.FromSeconds(parsed.GetValue(seconds)),
                parsed.GetValue(starts), parsed.GetValue(model), parsed.GetValue(folder) ?? Repository.Results, parsed.GetRequiredValue(name));
        });
        return command;
    }

    private static int Run(
        string arguments, IReadOnlyList<Cell> cells, IReadOnlyList<ContenderKind> kinds, TimeSpan budget, int starts, string? model, string results, string name)
    {
        string modelFolder = model ?? FullModel.Folder;
        DirectoryInfo temporary = Directory.CreateTempSubdirectory("groupvit-peers-");
        try
        {
            using Network network = Network.Open(modelFolder);
            Comparison comparison = new(network, modelFolder, temporary.FullName, kinds, budget, Console.WriteLine);
            CellResult[] measured = [.. cells.Select(comparison.Run)];
            Cell factsCell = Cell.Named(FactsCell);
            IReadOnlyList<ProcessFacts> facts = [];
            if (starts > 0)
            {
                Console.WriteLine("processes:");
                facts = ProcessFacts.Measure([ContenderKind.Nothing, .. comparison.Present], factsCell, comparison.Prepare(factsCell), starts);
            }
            // A script that runs this in another root says so, and says what it cannot be asked there.
            string runner = Environment.GetEnvironmentVariable("GROUPVIT_BENCH_RUNNER") ?? "dotnet run -c Release --project bench/Peers --";
            Machine machine = Machine.Here();
            machine = machine with { Commit = Environment.GetEnvironmentVariable("GROUPVIT_BENCH_COMMIT") ?? machine.Commit };
            ResultFile report = Report.Of(machine, $"{runner} {arguments}", kinds, measured, factsCell, facts, comparison.Absent);
            Console.WriteLine();
            Console.WriteLine(report);
            Console.WriteLine($"written to {report.Write(results, name)}");
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
