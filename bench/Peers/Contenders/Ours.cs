using GroupViT.Bench.Peers.Onnx;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Bench.Peers.Contenders;

/// <summary>The cpu device.</summary>
internal sealed class Ours : Contender
{
    private readonly Network network;
    private readonly CpuDevice device = new();
    private readonly ConstantPool constants;
    private readonly Worker worker;
    private readonly Native.Program program;
    private readonly Cell cell;
    private readonly Inputs inputs;
    private readonly Dictionary<string, Tensor> tensors;
    private readonly Dictionary<string, float[]> outputs;
    private readonly int[] lengths;
    private readonly int[] pick;

    public Ours(Cell cell, string modelFolder, Inputs inputs)
    {
        (this.cell, this.inputs) = (cell, inputs);
        network = Network.Open(modelFolder);
        MemoryAccount account = new();
        constants = device.CreateConstants(account);
        worker = device.CreateWorker(account, constants, cell.ThreadCount);
        Graph graph = network.Describe(cell);
        MemoryPlan plan = MemoryPlan.For(graph);
        worker.AllocateArena(plan.Bytes);
        program = new Native.Program(graph, plan, worker);
        tensors = graph.Inputs.ToDictionary(input => input.Name);
        outputs = graph.Outputs.ToDictionary(output => OnnxExport.NameOf(output.Key), output => new float[output.Value.Tensor.Count]);
        lengths = [.. Enumerable.Repeat(cell.Size, cell.Batch)];
        pick = [.. Enumerable.Repeat(cell.Size - 1, cell.Batch)];
    }

    public override string Settings => $"cpu device: {device.Description}; {cell.ThreadCount} used";

    public override IReadOnlyDictionary<string, float[]> Outputs => outputs;

    public override void Run()
    {
        if (cell.Encoder == Encoder.Image)
        {
            program.Upload<float>(tensors["pixel_values"], inputs.Pixels);
        }
        else
        {
            program.Upload<int>(tensors["input_ids"], inputs.Ids);
            program.Upload<int>(tensors["lengths"], lengths);
            program.Upload<int>(tensors["pick"], pick);
        }
        program.Run();
        foreach ((string name, TensorView view) in program.Outputs)
        {
            program.Download<float>(view.Tensor, outputs[OnnxExport.NameOf(name)]);
        }
    }

    public override void Dispose()
    {
        worker.Dispose();
        constants.Dispose();
        device.Dispose();
        network.Dispose();
    }
}
