using System.CommandLine;
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
        RootCommand root = new("GroupViT.Native beside its peers.") { CompareCommand.Create(), ExportCommand.Create() };
        try
        {
            return root.Parse(arguments).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (Exception exception) when (exception is UsageException or ModelFileException or IOException)
        {
            Console.Error.WriteLine(exception.Message);
            return 2;
        }
    }
}
