using GroupViT.Bench.Commands;
using GroupViT.Bench.Peers.Onnx;

namespace GroupViT.Bench.Peers.Contenders;

/// <summary>Who is compared: an engine with one way of using it.</summary>
/// <param name="Name">As in tables and on the command line.</param>
/// <param name="Engine">Of its ways, the fastest stands for it in the summary.</param>
internal sealed record ContenderKind(string Name, string Engine)
{
    private const string Native = "GroupViT.Native";
    private const string OnnxRuntime = "ONNX Runtime";
    private const string LibTorch = "libtorch";

    /// <summary>For ONNX Runtime: which of the printed models.</summary>
    public OnnxStyle Style { get; private init; }

    /// <summary>For ONNX Runtime: settings chosen instead of left alone.</summary>
    public bool Tuned { get; private init; }

    /// <summary>Libraries whose files, with those they depend on, must be shipped to run it; none where that is not known.</summary>
    public IReadOnlyList<string> Libraries { get; private init; } = [];

    /// <summary>A program of another language that answers as our own contenders' processes do; empty for ours.</summary>
    public IReadOnlyList<string> Command { get; private init; } = [];

    /// <summary>A process that does nothing: what the others' start-up is measured against.</summary>
    public static ContenderKind Nothing { get; } = new("nothing", ".NET");

    public static ContenderKind Ours { get; } = new("ours", Native) { Libraries = ["GroupViT.Native"] };

    public static IReadOnlyList<ContenderKind> Peers { get; } =
    [
        Ort("ort-graph", OnnxStyle.Graph, tuned: false),
        Ort("ort-graph-tuned", OnnxStyle.Graph, tuned: true),
        Ort("ort-exporter", OnnxStyle.Exporter, tuned: false),
        Ort("ort-exporter-tuned", OnnxStyle.Exporter, tuned: true),
        new("torchsharp", LibTorch) { Libraries = ["TorchSharp", "libtorch-cpu-linux-x64"] },
    ];

    public static ContenderKind Named(string name)
        => Peers.Append(Ours).Append(Nothing).FirstOrDefault(kind => kind.Name == name)
        ?? throw new BenchException($"no contender is called '{name}'; there are ours, {string.Join(", ", Peers.Select(kind => kind.Name))}");

    /// <param name="definition">NAME=PROGRAM ARGUMENTS; the cell, the model folder and the folder of files are appended.</param>
    public static ContenderKind Foreign(string definition)
    {
        string[] parts = definition.Split('=', 2, StringSplitOptions.TrimEntries);
        return parts is [{ Length: > 0 } name, { Length: > 0 } command]
            ? new ContenderKind(name, name) { Command = command.Split(' ', StringSplitOptions.RemoveEmptyEntries) }
            : throw new BenchException($"'{definition}' is not NAME=COMMAND");
    }

    /// <summary>Loads the network and puts the input in place.</summary>
    public Contender Open(Cell cell, CellFiles files) => Engine switch
    {
        Native => new Ours(cell, files.Model, Inputs.Read(cell, files.Inputs)),
        OnnxRuntime => new OnnxRuntimeContender(cell, files.Onnx(Style), Inputs.Read(cell, files.Inputs), Tuned),
        LibTorch => new TorchContender(cell, files.Model, Inputs.Read(cell, files.Inputs)),
        _ => throw new NotSupportedException($"{Name} is run by a program of its own"),
    };

    private static ContenderKind Ort(string name, OnnxStyle style, bool tuned)
        => new(name, OnnxRuntime) { Style = style, Tuned = tuned, Libraries = ["Microsoft.ML.OnnxRuntime"] };
}
