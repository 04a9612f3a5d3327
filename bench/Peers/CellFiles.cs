using GroupViT.Bench.Peers.Onnx;

namespace GroupViT.Bench.Peers;

/// <summary>Where the contenders of a cell find what they are given.</summary>
/// <param name="Model">The model folder.</param>
/// <param name="Folder">The folder of inputs and printed models.</param>
/// <param name="Shape">The cell's.</param>
internal sealed record CellFiles(string Model, string Folder, string Shape)
{
    /// <summary>Raw numbers, see <see cref="Peers.Inputs"/>.</summary>
    public string Inputs => Path.Combine(Folder, $"{Shape}.inputs");

    public string Onnx(OnnxStyle style) => Path.Combine(Folder, $"{Shape}-{style.ToString().ToLowerInvariant()}.onnx");
}
