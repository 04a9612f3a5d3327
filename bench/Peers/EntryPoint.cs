using GroupViT.Bench.Peers.Contenders;
using GroupViT.Bench.Peers.Onnx;
using GroupViT.Bench.Peers.Processes;

namespace GroupViT.Bench.Peers;

internal static class EntryPoint
{
    private static int Main(string[] arguments)
    {
        if (arguments is ["serve", ..])
        {
            return ContenderServer.Serve(ContenderKind.Named(arguments[1]), Cell.Named(arguments[2]), new CellFiles(arguments[3], arguments[4], Cell.Named(arguments[2]).Shape));
        }
        string folder = Directory.CreateTempSubdirectory("groupvit-peers-").FullName;
        Network.Synthesize(folder);
        using Network network = Network.Open(folder);
        foreach (Cell cell in Cell.Matching(arguments[0]))
        {
            CellFiles files = new(folder, folder, cell.Shape);
            Inputs inputs = Inputs.Of(cell);
            inputs.Write(files.Inputs);
            foreach (OnnxStyle style in Enum.GetValues<OnnxStyle>())
            {
                OnnxModel model = network.Print(cell, style);
                Console.WriteLine(string.Join(", ", model.Operators));
                model.Save(files.Onnx(style));
            }
            Console.WriteLine($"{cell.Name} {Network.Flops(network.Describe(cell)) / 1e9} GFLOP");
            Equality equality = Equality.Of(network, cell, inputs);
            Console.WriteLine($"margin {equality.Margin}");
            foreach (ContenderKind kind in ContenderKind.Peers.Prepend(ContenderKind.Ours))
            {
                try
                {
                    using ContenderProcess process = ContenderProcess.Start(kind, cell, files);
                    Console.WriteLine($"{kind.Name}: {process.Settings}; first {process.First.TotalMilliseconds:F0} ms");
                    Console.WriteLine(string.Join(' ', process.Run(2, 5)));
                    Console.WriteLine(string.Join("; ", equality.Compare(process.Outputs(folder))));
                    Console.WriteLine(process.Peak() >> 20);
                }
                catch (ContenderException e)
                {
                    Console.WriteLine(e.Message);
                }
            }
        }
        return 0;
    }
}
