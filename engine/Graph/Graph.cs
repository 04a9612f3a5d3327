using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>
/// Operations in the order they run, over tensors that have names but no memory. Describing a model fills it; the planner, the devices
/// and the verifier read it.
/// </summary>
/// <remarks>
/// A tap makes an intermediate value an output. The model offers its values by name (<see cref="Tap"/>); only those asked for are
/// kept, and asking switches off just the fusions that would hide the value.
/// </remarks>
internal sealed class Graph(Predicate<string>? tapped = null)
{
    private readonly List<Operation> operations = [];
    private readonly List<Tensor> inputs = [];
    private readonly Dictionary<string, TensorView> outputs = [];

    /// <summary>Whether heads stand side by side in their products, as everybody writes them, and not one after another, as our kernels like them.</summary>
    public bool HeadsSideBySide { get; init; }

    public IReadOnlyList<Operation> Operations => operations;

    public IReadOnlyList<Tensor> Inputs => inputs;

    /// <summary>What is kept to the end of a run: the model's results and the taps that were asked for, by name.</summary>
    public IReadOnlyDictionary<string, TensorView> Outputs => outputs;

    public Tensor Input(Tensor tensor)
    {
        inputs.Add(tensor);
        return tensor;
    }

    public void Add(Operation operation)
    {
        operation.Validate();
        operations.Add(operation);
    }

    public void Output(string name, TensorView view) => outputs[name] = view;

    public bool IsTapped(string name) => tapped?.Invoke(name) ?? false;

    public void Tap(string name, TensorView view)
    {
        if (IsTapped(name))
        {
            outputs[name] = view;
        }
    }
}
