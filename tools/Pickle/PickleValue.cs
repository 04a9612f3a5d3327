namespace GroupViT.Pickle;

/// <summary>
/// One value of a pickle, as inert data: nothing in it was called and nothing can be. Values form a graph, not a tree: parts may be
/// shared, may hold each other in a circle (a configuration's children name their parent) and may nest as deep as the file is long.
/// Walk it by known paths (<see cref="Find"/>), not by recursion.
/// </summary>
public abstract class PickleValue
{
    private const int MostWrappings = 8;

    private protected PickleValue()
    {
    }

    /// <summary>
    /// The value itself, or what an OmegaConf object around it holds: a node's value, a container's dictionary or list. An object that
    /// holds itself stays what it is.
    /// </summary>
    public PickleValue Plain
    {
        get
        {
            PickleValue value = this;
            for (int i = 0; i < MostWrappings && value is PickleOpaque { Content: { } content }; i++)
            {
                value = content;
            }
            return value;
        }
    }

    /// <summary>
    /// The value at the end of a path of names, seen through OmegaConf objects: keys of dictionaries, indices of lists and tuples,
    /// attributes of opaque objects.
    /// </summary>
    /// <param name="path">For instance "model", "img_encoder", "depths".</param>
    /// <returns>The value as <see cref="Plain"/> gives it, or null where the path leads nowhere.</returns>
    public PickleValue? Find(params ReadOnlySpan<string> path)
    {
        PickleValue value = Plain;
        foreach (string step in path)
        {
            PickleValue? next = null;
            switch (value)
            {
                case PickleDict dict:
                    dict.TryGetValue(step, out next);
                    break;
                case PickleSequence sequence when int.TryParse(step, System.Globalization.NumberStyles.None, null, out int index) && index < sequence.Items.Count:
                    next = sequence.Items[index];
                    break;
                case PickleOpaque { State: PickleDict attributes }:
                    attributes.TryGetValue(step, out next);
                    break;
                default:
                    break;
            }
            if (next is null)
            {
                return null;
            }
            value = next.Plain;
        }
        return value;
    }

    /// <summary>The value as a whole number of 64 bits, seen through OmegaConf objects. A bool is none.</summary>
    public bool TryGetInt64(out long value)
    {
        value = 0;
        if (Plain is not PickleInteger { Value: var integer } || integer < long.MinValue || integer > long.MaxValue)
        {
            return false;
        }
        value = (long)integer;
        return true;
    }

    /// <summary>The value as a number, seen through OmegaConf objects: a float, or a whole number rounded to the nearest double.</summary>
    public bool TryGetDouble(out double value)
    {
        PickleValue plain = Plain;
        value = plain is PickleFloat number ? number.Value : plain is PickleInteger integer ? (double)integer.Value : 0;
        return plain is PickleFloat or PickleInteger;
    }

    /// <summary>The value as True or False, seen through OmegaConf objects.</summary>
    public bool TryGetBoolean(out bool value)
    {
        value = Plain is PickleBool { Value: true };
        return Plain is PickleBool;
    }

    /// <summary>The value as text, seen through OmegaConf objects.</summary>
    public bool TryGetString([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? value)
    {
        value = (Plain as PickleString)?.Value;
        return value is not null;
    }

    /// <summary>What a message calls the value: its kind, not its contents.</summary>
    internal abstract string Kind { get; }
}

/// <summary>Python's None.</summary>
public sealed class PickleNone : PickleValue
{
    private PickleNone()
    {
    }

    internal static PickleNone Instance { get; } = new();

    internal override string Kind => "None";
}

/// <summary>Python's True or False.</summary>
public sealed class PickleBool : PickleValue
{
    private PickleBool(bool value) => Value = value;

    /// <summary>True or False.</summary>
    public bool Value { get; }

    internal static PickleBool True { get; } = new(true);

    internal static PickleBool False { get; } = new(false);

    internal override string Kind => "a bool";
}

/// <summary>A Python int, of up to 2040 bits.</summary>
public sealed class PickleInteger : PickleValue
{
    internal PickleInteger(System.Numerics.BigInteger value) => Value = value;

    /// <summary>The number.</summary>
    public System.Numerics.BigInteger Value { get; }

    internal override string Kind => "an int";
}

/// <summary>A Python float: a double, NaN and infinity included.</summary>
public sealed class PickleFloat : PickleValue
{
    internal PickleFloat(double value) => Value = value;

    /// <summary>The number.</summary>
    public double Value { get; }

    internal override string Kind => "a float";
}

/// <summary>A Python str.</summary>
public sealed class PickleString : PickleValue
{
    internal PickleString(string value) => Value = value;

    /// <summary>The text.</summary>
    public string Value { get; }

    internal override string Kind => "a str";
}

/// <summary>Python bytes or a bytearray.</summary>
public sealed class PickleBytes : PickleValue
{
    internal PickleBytes(byte[] value) => Bytes = value;

    /// <summary>The bytes.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    internal override string Kind => "bytes";
}

/// <summary>
/// A class or function that the pickle names and that stands for itself as a value (<c>typing.Any</c>). It is a pair of names: nothing
/// is looked up.
/// </summary>
public sealed class PickleGlobal : PickleValue
{
    internal PickleGlobal(string module, string name, GlobalMeaning meaning)
    {
        Module = module;
        Name = name;
        Meaning = meaning;
    }

    /// <summary>The module, as written ("omegaconf.dictconfig").</summary>
    public string Module { get; }

    /// <summary>The name in the module, as written ("DictConfig").</summary>
    public string Name { get; }

    /// <summary>Module and name with a dot between them.</summary>
    public string FullName => $"{Module}.{Name}";

    internal GlobalMeaning Meaning { get; }

    internal override string Kind => "a global";
}

/// <summary>
/// An object of a class that has no meaning here (an OmegaConf configuration, a numpy number): the class's name, and the arguments and
/// attributes that would have made it.
/// </summary>
public sealed class PickleOpaque : PickleValue
{
    internal PickleOpaque(PickleGlobal type, PickleValue arguments)
    {
        Class = type;
        Arguments = arguments;
    }

    /// <summary>Its class.</summary>
    public PickleGlobal Class { get; }

    /// <summary>What its constructor was to get: a tuple.</summary>
    public PickleValue Arguments { get; }

    /// <summary>Its attributes, most often a <see cref="PickleDict"/>; null if the pickle gives none.</summary>
    public PickleValue? State { get; internal set; }

    /// <summary>What an OmegaConf object holds: <c>_content</c> of a container, <c>_val</c> of a node. Null for other classes.</summary>
    internal PickleValue? Content
        => Class.Module.StartsWith("omegaconf.", StringComparison.Ordinal) && State is PickleDict attributes
            && (attributes.TryGetValue("_content", out PickleValue? content) || attributes.TryGetValue("_val", out content))
            ? content
            : null;

    internal override string Kind => $"an object of {Class.FullName}";
}

/// <summary>A tensor outside the state dict, of the optimiser say. Read through <see cref="Tensor"/> like any other.</summary>
public sealed class PickleTensor : PickleValue
{
    internal PickleTensor(PyTorchTensor tensor) => Tensor = tensor;

    /// <summary>The tensor; its name is empty, as only a state dict names tensors.</summary>
    public PyTorchTensor Tensor { get; }

    internal override string Kind => "a tensor";
}
