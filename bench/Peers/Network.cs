using GroupViT.Bench.Peers.Onnx;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Peers;

/// <summary>The model that every contender runs, and the graph of each cell.</summary>
internal sealed class Network(string folder) : IDisposable
{
    public GroupVitModel Model { get; } = GroupVitModel.Load(folder);

    public GroupVitConfig Config => Model.Config;

    public Checkpoint Checkpoint => Model.Checkpoint;

    public ModelWeights Weights => Model.Weights;

    /// <param name="cell">Which encoder, for what input.</param>
    /// <param name="tapped">Intermediate values to bring out.</param>
    public Graph Describe(Cell cell, Predicate<string>? tapped = null)
    {
        // Other engines get the operations in the layout that they know.
        Graph graph = new(tapped) { HeadsSideBySide = true };
        if (cell.Encoder == Encoder.Image)
        {
            new ImageEncoder(Weights).Describe(graph, cell.Batch, cell.Size, cell.Size);
        }
        else
        {
            new TextEncoder(Weights).Describe(graph, cell.Batch, cell.Size);
        }
        return graph;
    }

    public OnnxModel Print(Cell cell, OnnxStyle style) => OnnxExport.Print(Describe(cell), style, cell.Shape, Config.Vision.NumChannels);

    public void Dispose() => Model.Dispose();
}
