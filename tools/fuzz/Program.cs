using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;

namespace GroupViT.Fuzz;

/// <summary>Long runs: <c>dotnet run -c Release --project tools/fuzz -- --target png --seconds 600 --seed 7</c>.</summary>
internal static class FuzzProgram
{
    private const int NoFindings = 0, Findings = 1, Usage = 2;

    public static int Main(string[] args)
    {
        Option<string> target = new("--target") { Description = "which parser, or all in turn", DefaultValueFactory = _ => "all", HelpName = "NAME" };
        Option<double> seconds = new("--seconds") { Description = "how long, per parser; default: 60", DefaultValueFactory = _ => 60 };
        Option<long> mutants = new("--mutants") { Description = "stop after so many mutants", DefaultValueFactory = _ => long.MaxValue };
        Option<int> seed = new("--seed") { Description = "another seed, other mutants; the same seed, the same mutants; default: 1", DefaultValueFactory = _ => 1 };
        Option<string> folder = new("--out") { Description = "folder for findings; default: artifacts/fuzz", DefaultValueFactory = _ => Path.Combine("artifacts", "fuzz"), HelpName = "DIR" };
        Option<string?> input = new("--input") { Description = "feed this one file as it is, for instance an earlier finding", HelpName = "FILE" };
        RootCommand root = new("Feed the project's parsers with damaged files. Exit code 1: findings were saved.") { target, seconds, mutants, seed, folder, input };
        root.SetAction(parsed =>
        {
            string name = parsed.GetValue(target)!;
            FuzzTarget[] targets = [.. TargetList.All().Where(t => name == "all" || t.Name == name)];
            string? file = parsed.GetValue(input);
            if (targets.Length == 0 || (file is not null && targets.Length != 1))
            {
                Console.Error.WriteLine($"--target: {(file is null ? "" : "with --input, ")}one of {string.Join(", ", TargetList.All().Select(t => t.Name))}{(file is null ? ", all" : "")}");
                return Usage;
            }
            FuzzOptions options = new() { Seed = parsed.GetValue(seed), Mutants = parsed.GetValue(mutants), Time = TimeSpan.FromSeconds(parsed.GetValue(seconds)) };
            int found = 0;
            foreach (FuzzTarget each in targets)
            {
                found += Run(each, options, parsed.GetValue(folder)!, file);
            }
            return found == 0 ? NoFindings : Findings;
        });
        return root.Parse(args).Invoke();
    }

    private static int Run(FuzzTarget target, FuzzOptions options, string folder, string? input)
    {
        Directory.CreateDirectory(folder);
        string current = Path.Combine(folder, $"{target.Name}.current");
        if (input is null && File.Exists(current))
        {
            // Only a run that died leaves it: stack overflows and access violations end the process without an exception.
            string kept = Save(folder, target, "death", File.ReadAllBytes(current));
            Console.WriteLine($"{target.Name}: an earlier run died (or was killed) at {kept}");
        }
        FuzzReport report;
        using (FileStream stream = new(current, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0))
        {
            FuzzOptions kept = options with
            {
                Before = mutant =>
                {
                    stream.Position = 0;
                    stream.Write(mutant);
                    stream.SetLength(mutant.Length);
                },
            };
            report = input is null ? FuzzRun.Run(target, kept) : FuzzRun.Replay(target, File.ReadAllBytes(input), kept);
        }
        File.Delete(current);
        Console.WriteLine(report);
        foreach (Finding finding in report.Findings)
        {
            string path = Save(folder, target, finding.Kind.ToString().ToLower(CultureInfo.InvariantCulture), finding.Input);
            Console.WriteLine($"FINDING {finding.Kind} at mutant {finding.Mutant} (seed {options.Seed}), saved as {path}:\n  {finding.Detail}");
        }
        return report.Findings.Count;
    }

    private static string Save(string folder, FuzzTarget target, string kind, byte[] bytes)
    {
        string path = Path.Combine(folder, $"{target.Name}-{kind}-{Convert.ToHexStringLower(SHA256.HashData(bytes))[..12]}");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
