using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Peers.Contenders;

/// <summary>The cpu device; a run copies the input in and the outputs out.</summary>
internal sealed class Ours : Contender
{
    private readonly GroupVitModel model;
    private readonly PreparedImageEncoder? image;
    private readonly PreparedTextEncoder? text;
    private readonly Inputs inputs;
    private readonly int[] lengths;

    public Ours(Cell cell, string modelFolder, Inputs inputs)
    {
        this.inputs = inputs;
        model = GroupVitModel.Load(modelFolder);
        lengths = [.. Enumerable.Repeat(cell.Size, cell.Batch)];
        PreparedNetwork network;
        if (cell.Encoder == Encoder.Image)
        {
            image = new PreparedImageEncoder(model, "cpu", cell.Batch, cell.Size, cell.Size, cell.Threads);
            Outputs = new Dictionary<string, float[]> { ["embedding"] = image.Embedding, ["group_embeddings"] = image.GroupEmbeddings, ["maps"] = image.Maps };
            network = image.Network;
        }
        else
        {
            text = new PreparedTextEncoder(model, "cpu", cell.Batch, cell.Size, cell.Threads);
            Outputs = new Dictionary<string, float[]> { ["projected"] = text.Projected };
            network = text.Network;
        }
        Settings = $"device cpu ({network.DeviceDescription}), {network.Threads} threads used";
    }

    public override string Settings { get; }

    public override IReadOnlyDictionary<string, float[]> Outputs { get; }

    public override void Run()
    {
        image?.Run(inputs.Pixels);
        text?.Run(inputs.Ids, lengths);
    }

    public override void Dispose()
    {
        image?.Dispose();
        text?.Dispose();
        model.Dispose();
    }
}
