using System.CommandLine;
using GroupViT.Bench.Commands;
using GroupViT.Native;

namespace GroupViT.Bench;

internal static class BenchProgram
{
    /// <returns>0 done; 1 what was measured is wrong (soak); 2 usage, or it cannot be measured; 130 cancelled.</returns>
    public static int Main(string[] args)
    {
        // Before anything else is loaded: the empty process of the command startup.
        return args is [StartupCommand.Nothing] ? 0 : Run(args);
    }

    private static int Run(string[] args)
    {
        RootCommand root = new("Benchmarks of GroupViT.Native; bench/README.md says what each measures.")
        {
            CeilingsCommand.Create(),
            KernelsCommand.Create(),
            StagesCommand.Create(),
            EncoderCommand.Create(),
            FolderCommand.Create(),
            SoakCommand.Create(),
            StartupCommand.Create(),
            FirstMaskCommand.Create(),
            OperationsCommand.Create(),
            ProductsCommand.Create(),
            MemoryCommand.Create(),
            PtxCommand.Create(),
            ReportCommands.Chart(),
            ReportCommands.Readme(),
        };
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            foreach (string problem in parsed.Errors.Select(error => error.Message).Distinct())
            {
                Console.Error.WriteLine(problem);
            }
            Console.Error.WriteLine("--help lists what there is");
            return 2;
        }
        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("cancelled");
            return 130;
        }
        catch (Exception exception) when (exception is BenchException or GroupVitException or IOException or InvalidOperationException or FormatException)
        {
            Console.Error.WriteLine(exception.Message);
            return 2;
        }
    }
}
