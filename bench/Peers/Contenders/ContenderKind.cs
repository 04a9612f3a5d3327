using GroupViT.Bench.Peers.Onnx;

namespace GroupViT.Bench.Peers.Contenders;

/// <summary>Who is compared: an engine with one way of using it.</summary>
/// <param name="Name">As in tables and on the command line.</param>
/// <param name="Engine">Whose shipped files and whose processes these are.</param>
/// <param name="Style">For ONNX Runtime: which of the printed models.</param>
/// <param name="Tuned">For ONNX Runtime: settings chosen instead of left alone.</param>
internal sealed record ContenderKind(string Name, string Engine, OnnxStyle Style = default, bool Tuned = false)
{
    public const string OnnxRuntime = "ONNX Runtime";
    public const string LibTorch = "libtorch";

    /// <summary>A process that does nothing: what the others' start-up is measured against.</summary>
    public static ContenderKind Nothing { get; } = new("nothing", ".NET");

    public static ContenderKind Ours { get; } = new("ours", "GroupViT.Native");

    public static IReadOnlyList<ContenderKind> Peers { get; } =
    [
        new("ort-graph", OnnxRuntime, OnnxStyle.Graph),
        new("ort-graph-tuned", OnnxRuntime, OnnxStyle.Graph, Tuned: true),
        new("ort-exporter", OnnxRuntime, OnnxStyle.Exporter),
        new("ort-exporter-tuned", OnnxRuntime, OnnxStyle.Exporter, Tuned: true),
        new("torchsharp", LibTorch),
    ];

    public static ContenderKind Named(string name)
        => Peers.Append(Ours).Append(Nothing).FirstOrDefault(kind => kind.Name == name)
        ?? throw new UsageException($"no contender is called '{name}'; there are ours, {string.Join(", ", Peers.Select(kind => kind.Name))}");

    /// <summary>Loads the network and puts the input in place.</summary>
    public Contender Open(Cell cell, CellFiles files) => Engine switch
    {
        OnnxRuntime => new OnnxRuntimeContender(cell, files.Onnx(Style), Inputs.Read(cell, files.Inputs), Tuned),
        "GroupViT.Native" => new Ours(cell, files.Model, Inputs.Read(cell, files.Inputs)),
        _ => throw new NotSupportedException(Name),
    };
}
