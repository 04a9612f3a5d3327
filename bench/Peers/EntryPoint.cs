using System.CommandLine;
using GroupViT.Bench.Commands;
using GroupViT.Bench.Peers.Commands;
using GroupViT.Bench.Peers.Contenders;
using GroupViT.Bench.Peers.Processes;
using GroupViT.Native;

namespace GroupViT.Bench.Peers;

internal static class EntryPoint
{
    /// <returns>0 done; 1 a contender's outputs differ; 2 usage or model.</returns>
    private static int Main(string[] arguments)
    {
        // A contender's process; what it loads counts as its start-up, so nothing else is loaded before.
        if (arguments is ["serve", string kind, string cell, string model, string folder])
        {
            return ContenderServer.Serve(ContenderKind.Named(kind), Cell.Named(cell), new CellFiles(model, folder, Cell.Named(cell).Shape));
        }
        return RunCommand(arguments);
    }

    private static int RunCommand(string[] arguments)
    {
        RootCommand root = new("GroupViT.Native beside its peers; bench/Peers/README.md says what is compared and how.") { CompareCommand.Create(), ExportCommand.Create() };
        ParseResult parsed = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
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
        catch (Exception exception) when (exception is BenchException or ContenderException or GroupVitException or IOException)
        {
            Console.Error.WriteLine(exception.Message);
            return 2;
        }
    }
}
