using System.CommandLine;
using GroupViT.Bench.Commands;

namespace GroupViT.Bench.Peers.Commands;

/// <summary>Options and words that the commands share, beside those of <see cref="BenchOptions"/>.</summary>
internal static class PeersOptions
{
    public static Option<string> Cells() => new("--cells")
    {
        Description = $"names with wildcards, separated by commas; default: all of {string.Join(", ", Cell.All.Select(cell => cell.Name))}", HelpName = "NAMES", DefaultValueFactory = _ => "*",
    };

    public static Option<string?> Model() => new("--model")
    {
        Description = "folder with config.json and model.safetensors of the official architecture; default: formula weights, made under artifacts/", HelpName = "DIR",
    };

    /// <summary>The command to measure again. A script that runs this program elsewhere names itself.</summary>
    public static string CommandLine(ParseResult parsed)
        => (Environment.GetEnvironmentVariable("GROUPVIT_BENCH_RUNNER") ?? "dotnet run -c Release --project bench/Peers --") + " "
        + string.Join(' ', parsed.Tokens.Select(token => token.Value.AsSpan().ContainsAny(" *?") ? $"'{token.Value}'" : token.Value));

    /// <summary>This machine. A script that runs this program where there is no git says the commit.</summary>
    public static Measuring.Machine Machine()
    {
        Measuring.Machine machine = Measuring.Machine.Here();
        return machine with { Commit = Environment.GetEnvironmentVariable("GROUPVIT_BENCH_COMMIT") ?? machine.Commit };
    }
}
