using System.CommandLine;
using BenchmarkDotNet.Running;
using GroupViT.Bench.Operations;

namespace GroupViT.Bench.Commands;

/// <summary>BenchmarkDotNet's own run over the operations.</summary>
internal static class OperationsCommand
{
    public static Command Create()
    {
        Argument<string[]> arguments = new("ARGUMENTS") { Description = "BenchmarkDotNet's arguments after --, as -- --filter *MatMul* --job short; none for all operations", Arity = ArgumentArity.ZeroOrMore };
        Command command = new("operations", "Run BenchmarkDotNet on single operations, in this process.") { arguments };
        command.SetAction(parsed =>
        {
            string[] given = parsed.GetValue(arguments) ?? [];
            // Without a filter it would ask, and nobody may be there to answer.
            BenchmarkSwitcher.FromAssembly(typeof(OperationBenchmark).Assembly).Run(given.Length == 0 ? ["--filter", "*"] : given, OperationBenchmark.Config);
            return 0;
        });
        return command;
    }
}
