namespace GroupViT.Native.Weights;

/// <summary>One tensor of a safetensors file: what its header says of it, already checked against the file.</summary>
internal sealed class SafetensorsEntry
{
    private readonly long[] _shape;

    internal SafetensorsEntry(string name, SafetensorsType type, long[] shape, long elementCount, long offset, long byteLength)
    {
        Name = name;
        Type = type;
        _shape = shape;
        ElementCount = elementCount;
        Offset = offset;
        ByteLength = byteLength;
    }

    public string Name { get; }

    public SafetensorsType Type { get; }

    /// <summary>Outermost axis first; empty for a scalar. Axes may be 0.</summary>
    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>The product of <see cref="Shape"/>; 1 for a scalar.</summary>
    public long ElementCount { get; }

    /// <summary>Where the tensor's first byte lies, counted from the start of the file.</summary>
    public long Offset { get; }

    public long ByteLength { get; }

    /// <summary>The shape as the header writes it: <c>[384,3,16,16]</c>.</summary>
    public string ShapeText => ShapeToText(_shape);

    public static string ShapeToText(ReadOnlySpan<long> shape)
    {
        var text = new System.Text.StringBuilder("[");
        for (int axis = 0; axis < shape.Length; axis++)
        {
            text.Append(axis == 0 ? "" : ",").Append(shape[axis]);
        }
        return text.Append(']').ToString();
    }

    public override string ToString() => $"{Name} {Type} {ShapeText}";
}
