namespace GroupViT.Native.Weights;

/// <summary>The two spellings of a model's tensors (spec D).</summary>
internal enum KeyLayout
{
    /// <summary>Hugging Face transformers: query, key and value apart, projection weights as matrices.</summary>
    HuggingFace,

    /// <summary>The authors' release: query, key and value fused in one tensor, projection weights with a trailing axis of 1.</summary>
    Nvlabs,
}

/// <summary>What a parameter belongs to; the parts that are counted and loaded apart.</summary>
internal enum ModelPart
{
    ImageEncoder,
    TextEncoder,
    ImageProjector,
    TextProjector,
    LogitScale,
}

/// <summary>
/// One tensor that a model needs, under its canonical (Hugging Face) name, and where NVlabs' layout keeps it: a tensor of its own, or
/// whole rows of a fused one. Values are never transposed or reordered between the two.
/// </summary>
internal sealed class ParameterInfo
{
    private readonly int[] _shape;
    private readonly int[] _nvlabsShape;

    internal ParameterInfo(ModelPart part, string name, int[] shape, string nvlabsName, int[] nvlabsShape, int nvlabsFirstRow, bool isBuffer)
    {
        Part = part;
        Name = name;
        _shape = shape;
        NvlabsName = nvlabsName;
        _nvlabsShape = nvlabsShape;
        ElementCount = Product(shape);
        NvlabsFirstElement = nvlabsFirstRow == 0 ? 0 : nvlabsFirstRow * (Product(nvlabsShape) / nvlabsShape[0]);
        IsBuffer = isBuffer;
    }

    public ModelPart Part { get; }

    /// <summary>The canonical name.</summary>
    public string Name { get; }

    /// <summary>Outermost axis first; empty for a scalar.</summary>
    public ReadOnlySpan<int> Shape => _shape;

    /// <summary>Fits an int: the configuration's caps see to it.</summary>
    public int ElementCount { get; }

    /// <summary>Whether it is a running statistic of a batch norm: stored with the weights, not learned.</summary>
    public bool IsBuffer { get; }

    public string NvlabsName { get; }

    /// <summary>Shape of the whole tensor in NVlabs' layout.</summary>
    public ReadOnlySpan<int> NvlabsShape => _nvlabsShape;

    /// <summary>Where this parameter's first element lies in NVlabs' tensor, row-major.</summary>
    public int NvlabsFirstElement { get; }

    public string NameIn(KeyLayout layout) => layout == KeyLayout.HuggingFace ? Name : NvlabsName;

    public ReadOnlySpan<int> ShapeIn(KeyLayout layout) => layout == KeyLayout.HuggingFace ? _shape : _nvlabsShape;

    public int FirstElementIn(KeyLayout layout) => layout == KeyLayout.HuggingFace ? 0 : NvlabsFirstElement;

    public override string ToString() => $"{Name} [{string.Join(',', _shape)}]";

    private static int Product(int[] shape)
    {
        int product = 1;
        foreach (int size in shape)
        {
            product = checked(product * size);
        }
        return product;
    }
}
