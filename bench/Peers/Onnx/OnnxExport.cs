using GroupViT.Kernels;
using GroupViT.Native;

namespace GroupViT.Bench.Peers.Onnx;

/// <summary>Which of ONNX's ways to say the same network.</summary>
internal enum OnnxStyle
{
    /// <summary>Operation by operation as our graph says: stacked projections, attention as one operator, weights of the token mixers on the left.</summary>
    Graph,

    /// <summary>The operators that a standard exporter produces of the reference's code: separate projections, attention in its parts, convolution, transposes.</summary>
    Exporter,
}

/// <summary>Prints a graph of operations as an ONNX model with fixed shapes and the weights in it.</summary>
internal sealed partial class OnnxExport
{
    private readonly OnnxStyle style;
    private readonly OnnxModel model;
    private readonly OnnxValues values;
    private readonly HashSet<Tensor> used = [];
    private readonly Dictionary<Tensor, PatchUnfold> unfolded = [];

    private OnnxExport(OnnxStyle style, string name)
    {
        this.style = style;
        model = new OnnxModel(name);
        values = new OnnxValues(model);
    }

    /// <remarks>
    /// Names: inputs and outputs are called as in the graph, with underscores. Pictures are [B, channels, height, width]; integers are int64, [B, n].
    /// An input that no operator needs is left out.
    /// </remarks>
    public static OnnxModel Print(Graph graph, OnnxStyle style, string name, int channels)
    {
        OnnxExport export = new(style, name);
        foreach (Tensor input in graph.Inputs)
        {
            export.values.Write(input, NameOf(input.Name));
        }
        foreach (TensorView read in graph.Operations.SelectMany(ReadInParts))
        {
            export.values.Announce(read);
        }
        foreach (Operation operation in graph.Operations)
        {
            export.Print(operation);
        }
        foreach (Tensor input in graph.Inputs.Where(export.used.Contains))
        {
            if (input.Type == ElementType.Int32)
            {
                export.model.Int64Input(NameOf(input.Name), input.Batch, input.Columns);
            }
            else
            {
                export.model.FloatInput(NameOf(input.Name), input.Batch, channels, input.Rows / channels, input.Columns);
            }
        }
        foreach ((string output, TensorView view) in graph.Outputs)
        {
            export.model.FloatOutput(NameOf(output), export.values.Read(view), view.Batch, view.Rows, view.Columns);
        }
        return export.model;
    }

    public static string NameOf(string name) => name.Replace(' ', '_');

    private static IEnumerable<TensorView> ReadInParts(Operation operation) => operation switch
    {
        Attention attention => [attention.Q, attention.K, attention.V],
        GroupAssign assign => [assign.K, assign.V],
        _ => [],
    };

    private void Print(Operation operation)
    {
        switch (operation)
        {
            case PatchUnfold unfold: Unfold(unfold); break;
            case MatMul product: Product(product); break;
            case LayerNorm norm: Norm(norm); break;
            case Attention attention: Attend(attention); break;
            case GroupAssign assign: Assign(assign); break;
            case Add add: AddOrCopy(add); break;
            case GatherRows gather: Gather(gather); break;
            case MeanRows mean:
                values.Write(mean.Y, model.Add("ReduceMean", [values.Read(mean.X), model.Constant(1)], ("keepdims", 1L)));
                break;
            case NormalizeRows unit:
                string length = model.Add("Max", [model.Add("ReduceL2", [values.Read(unit.X), model.Constant(2)], ("keepdims", 1L)), model.Scalar(unit.Floor)]);
                values.Write(unit.Y, model.Add("Div", [values.Read(unit.X), length]));
                break;
            default:
                throw new NotSupportedException($"{operation.GetType().Name} has no ONNX form here: no encoder uses it");
        }
    }

    private void Norm(LayerNorm norm)
    {
        string y = model.Add(
            "LayerNormalization", [values.Read(norm.X), Vector(norm.Gamma), Vector(norm.Beta)], ("axis", -1L), ("epsilon", norm.Epsilon));
        values.Write(norm.Y, Plus(y, norm.Residual));
    }

    private void AddOrCopy(Add add)
    {
        string a = values.Read(add.A);
        if (add.A.Tensor.IsConstant && add.B is null)
        {
            a = model.Add("Expand", [a, model.Constant(add.Y.Batch, add.Y.Rows, add.Y.Columns)]);
        }
        values.Write(add.Y, Plus(a, add.B));
    }

    // One row per batch element of a computed table is GatherND; rows of a constant table are Gather.
    private void Gather(GatherRows gather)
    {
        used.Add(gather.Index);
        string index = NameOf(gather.Index.Name);
        string y = gather.Table.Tensor.IsConstant
            ? model.Add("Gather", [values.Read(gather.Table), index], ("axis", 0L))
            : model.Add("GatherND", [values.Read(gather.Table), model.Add("Unsqueeze", [index, model.Constant(2)])], ("batch_dims", 1L));
        values.Write(gather.Y, Plus(y, gather.Plus));
    }

    private string Vector(Tensor vector) => values.Constant(vector, 0, vector.Columns);

    private string Plus(string value, TensorView? other) => other is { } view ? model.Add("Add", [value, values.Read(view)]) : value;

    private string Activated(string value, Activation activation) => activation switch
    {
        Activation.None => value,
        Activation.Gelu => model.Add("Gelu", [value]),
        Activation.Relu => model.Add("Relu", [value]),
        // ONNX Runtime's optimiser makes one operator of these three.
        Activation.QuickGelu => model.Add("Mul", [value, model.Add("Sigmoid", [model.Add("Mul", [value, model.Scalar(1.702f)])])]),
        _ => throw new ArgumentOutOfRangeException(nameof(activation)),
    };
}
