using System.Runtime.InteropServices;

namespace GroupViT.Bench.Peers.Onnx;

/// <summary>An ONNX model being written: nodes in the order they run, constants, inputs and outputs with fixed shapes.</summary>
/// <remarks>Message and field numbers are those of the public format (onnx.proto of ONNX 1.15, IR version 9).</remarks>
internal sealed class OnnxModel(string name)
{
    /// <summary>The first with Gelu; LayerNormalization came with 17.</summary>
    public const int Opset = 20;

    /// <summary>ONNX Runtime's own operators, which its optimiser makes of patterns of standard ones.</summary>
    public const string Contrib = "com.microsoft";

    private const int IrVersion = 9;

    private readonly List<Node> nodes = [];
    private readonly Dictionary<string, ProtoMessage> constants = [];
    private readonly List<ProtoMessage> inputs = [];
    private readonly List<ProtoMessage> outputs = [];
    private readonly Dictionary<string, string> renamed = [];

    private enum ElementType : long
    {
        Float = 1,
        Int64 = 7,
    }

    private sealed record Node(string Type, string Domain, string[] Inputs, string[] Outputs, (string Name, object Value)[] Attributes);

    /// <summary>How many nodes there are of each operator.</summary>
    public IEnumerable<(string Type, int Count)> Operators => nodes.GroupBy(node => node.Type).Select(group => (group.Key, group.Count())).OrderBy(pair => pair.Key, StringComparer.Ordinal);

    /// <summary>Adds a node with one output and returns that output's name.</summary>
    /// <param name="type">The operator.</param>
    /// <param name="inputs">Names of values; an empty one leaves an optional input out.</param>
    /// <param name="attributes">long, float or long[].</param>
    public string Add(string type, string[] inputs, params (string Name, object Value)[] attributes) => Add(type, "", 1, inputs, attributes)[0];

    public string[] Add(string type, string domain, int outputCount, string[] inputs, params (string Name, object Value)[] attributes)
    {
        string[] made = [.. Enumerable.Range(0, outputCount).Select(i => $"{type.ToLowerInvariant()}_{nodes.Count}" + (outputCount > 1 ? $"_{i}" : ""))];
        nodes.Add(new Node(type, domain, inputs, made, attributes));
        return made;
    }

    public bool HasConstant(string constant) => constants.ContainsKey(constant);

    public string Constant(string constant, float[] values, params ReadOnlySpan<int> shape)
        => Constant(constant, ElementType.Float, MemoryMarshal.AsBytes(values.AsSpan()).ToArray(), shape);

    public string Constant(params long[] values)
    {
        string constant = $"int64[{string.Join(',', values)}]";
        return Constant(constant, ElementType.Int64, MemoryMarshal.AsBytes(values.AsSpan()).ToArray(), values.Length);
    }

    public string Scalar(float value)
    {
        string constant = FormattableString.Invariant($"float({value:R})");
        return Constant(constant, ElementType.Float, BitConverter.GetBytes(value), []);
    }

    public string Scalar(long value)
    {
        string constant = $"int64({value})";
        return Constant(constant, ElementType.Int64, BitConverter.GetBytes(value), []);
    }

    public void FloatInput(string input, params ReadOnlySpan<int> shape) => inputs.Add(ValueInfo(input, ElementType.Float, shape));

    public void Int64Input(string input, params ReadOnlySpan<int> shape) => inputs.Add(ValueInfo(input, ElementType.Int64, shape));

    /// <summary>Makes a value a result of the model, under a name of its own.</summary>
    public void FloatOutput(string output, string value, params ReadOnlySpan<int> shape)
    {
        renamed.Add(value, output);
        outputs.Add(ValueInfo(output, ElementType.Float, shape));
    }

    public void Save(string path)
    {
        ProtoMessage graph = new();
        foreach (Node node in nodes)
        {
            graph.With(1, NodeProto(node));
        }
        graph.With(2, name);
        foreach (ProtoMessage constant in constants.Values)
        {
            graph.With(5, constant);
        }
        inputs.ForEach(input => graph.With(11, input));
        outputs.ForEach(output => graph.With(12, output));

        ProtoMessage model = new ProtoMessage().With(1, IrVersion).With(2, "GroupViT.Native").With(7, graph).With(8, OperatorSet("", Opset));
        if (nodes.Any(node => node.Domain == Contrib))
        {
            model.With(8, OperatorSet(Contrib, 1));
        }
        using FileStream file = File.Create(path);
        model.WriteTo(file);
    }

    private string Constant(string constant, ElementType type, ReadOnlyMemory<byte> bytes, params ReadOnlySpan<int> shape)
    {
        if (!constants.ContainsKey(constant))
        {
            ProtoMessage tensor = new();
            foreach (int side in shape)
            {
                tensor.With(1, (long)side);
            }
            constants.Add(constant, tensor.With(2, (long)type).With(8, constant).With(9, bytes));
        }
        return constant;
    }

    private string Final(string value) => renamed.GetValueOrDefault(value, value);

    private ProtoMessage NodeProto(Node node)
    {
        ProtoMessage message = new();
        foreach (string input in node.Inputs)
        {
            message.With(1, Final(input));
        }
        foreach (string output in node.Outputs)
        {
            message.With(2, Final(output));
        }
        message.With(3, node.Outputs[0]).With(4, node.Type);
        foreach ((string attribute, object value) in node.Attributes)
        {
            message.With(5, AttributeProto(attribute, value));
        }
        return node.Domain.Length == 0 ? message : message.With(7, node.Domain);
    }

    // The field of the value and its number in the enumeration of attribute types.
    private static ProtoMessage AttributeProto(string name, object value)
    {
        ProtoMessage message = new ProtoMessage().With(1, name);
        switch (value)
        {
            case float number:
                return message.With(2, number).With(20, 1);
            case long number:
                return message.With(3, number).With(20, 2);
            case long[] numbers:
                Array.ForEach(numbers, number => message.With(8, number));
                return message.With(20, 7);
            default:
                throw new ArgumentException($"attribute {name} is a {value.GetType().Name}; long, float and long[] are written", nameof(value));
        }
    }

    private static ProtoMessage OperatorSet(string domain, long version) => new ProtoMessage().With(1, domain).With(2, version);

    private static ProtoMessage ValueInfo(string name, ElementType type, ReadOnlySpan<int> shape)
    {
        ProtoMessage dimensions = new();
        foreach (int side in shape)
        {
            dimensions.With(1, new ProtoMessage().With(1, (long)side));
        }
        ProtoMessage tensor = new ProtoMessage().With(1, (long)type).With(2, dimensions);
        return new ProtoMessage().With(1, name).With(2, new ProtoMessage().With(1, tensor));
    }
}
