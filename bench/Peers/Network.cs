using GroupViT.Bench.Peers.Onnx;
using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Peers;

/// <summary>The checkpoint that every contender runs, and the graph of each cell.</summary>
internal sealed class Network : IDisposable
{
    private readonly Checkpoint checkpoint;

    private Network(Checkpoint checkpoint) => this.checkpoint = checkpoint;

    public GroupVitConfig Config => checkpoint.Config;

    public Checkpoint Checkpoint => checkpoint;

    /// <param name="folder">Holds config.json and model.safetensors.</param>
    public static Network Open(string folder)
        => new(Checkpoint.Open(SafetensorsFile.Open(Path.Combine(folder, ModelFiles.Weights)), GroupVitConfig.Load(Path.Combine(folder, ModelFiles.Config))));

    public Graph Describe(Cell cell, Predicate<string>? tapped = null)
    {
        Graph graph = new(tapped);
        ModelWeights weights = new(checkpoint);
        if (cell.Encoder == Encoder.Image)
        {
            new ImageEncoder(weights).Describe(graph, cell.Batch, cell.Size, cell.Size);
        }
        else
        {
            new TextEncoder(weights).Describe(graph, cell.Batch, cell.Size);
        }
        return graph;
    }

    public OnnxModel Print(Cell cell, OnnxStyle style) => OnnxExport.Print(Describe(cell), style, cell.Shape, Config.Vision.NumChannels);

    public void Dispose() => checkpoint.Dispose();

    /// <summary>Multiplications and additions of the products, in which a causal query counts the keys that it sees.</summary>
    public static long Flops(Graph graph) => graph.Operations.Sum(operation => operation switch
    {
        MatMul product => 2L * product.Y.Batch * product.M * product.N * product.K,
        Attention { Causal: true } attention => 2L * attention.Q.Batch * attention.Q.Rows * (attention.Q.Rows + 1) * attention.Q.Columns,
        Attention attention => 4L * attention.Q.Batch * attention.Q.Rows * attention.K.Rows * attention.Q.Columns,
        GroupAssign assign => 2L * assign.Q.Batch * assign.Groups * assign.Tokens * assign.Q.Columns + 2L * assign.V.Batch * assign.Tokens * assign.V.Columns,
        _ => 0,
    });
}
