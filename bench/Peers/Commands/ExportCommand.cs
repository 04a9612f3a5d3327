using System.CommandLine;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Peers.Onnx;

namespace GroupViT.Bench.Peers.Commands;

/// <summary>The printed models and the inputs as files, for whoever runs them elsewhere.</summary>
internal static class ExportCommand
{
    public static Command Create()
    {
        Option<string> cells = PeersOptions.Cells();
        Option<string?> model = PeersOptions.Model();
        Option<string> folder = new("--out") { Description = "folder to write into; existing files are replaced", HelpName = "DIR", Required = true };
        Command command = new("export", "Write the ONNX models and inputs of cells (126 MB a model of pictures, 96 MB of texts).") { cells, model, folder };
        command.SetAction(parsed => Run(Cell.Matching(parsed.GetRequiredValue(cells)), parsed.GetValue(model) ?? FullModel.Folder, parsed.GetRequiredValue(folder)));
        return command;
    }

    private static int Run(IReadOnlyList<Cell> cells, string modelFolder, string folder)
    {
        Directory.CreateDirectory(folder);
        using Network network = new(modelFolder);
        foreach (Cell cell in cells.DistinctBy(cell => cell.Shape))
        {
            CellFiles files = new(modelFolder, folder, cell.Shape);
            Inputs.Of(cell).Write(files.Inputs);
            Console.WriteLine(files.Inputs);
            foreach (OnnxStyle style in Enum.GetValues<OnnxStyle>())
            {
                OnnxModel model = network.Print(cell, style);
                model.Save(files.Onnx(style));
                Console.WriteLine($"{files.Onnx(style)}: {string.Join(", ", model.Operators.Select(pair => $"{pair.Count} {pair.Type}"))}");
            }
        }
        return 0;
    }
}
