namespace GroupViT.Pickle;

/// <summary>Where a checkpoint's tensors are among what its pickle holds.</summary>
internal sealed class StateDict
{
    // Tied weights are one storage under two or three names. Far beyond that, a small file would stand for more than a disk holds.
    private const int MostSharing = 16;

    private static readonly string[] Wrappers = ["model", "state_dict"];

    private readonly ByteSource _source;
    private readonly List<PyTorchTensor> _tensors = [];
    private readonly Dictionary<string, PickleValue> _extras = new(StringComparer.Ordinal);
    private Int128 _bytes;

    private StateDict(ByteSource source) => _source = source;

    public IReadOnlyList<PyTorchTensor> Tensors => _tensors;

    public IReadOnlyDictionary<string, PickleValue> Extras => _extras;

    public static StateDict Find(ByteSource source, PickleValue root)
    {
        if (root is not PickleDict dict)
        {
            throw new PickleFileException(source.Name, root is PickleOpaque opaque
                ? $"holds an object of {opaque.Class.FullName}, not a state dict; save model.state_dict() instead of the model"
                : $"holds {root.Kind}; a state dict, or a dict with one under 'model' or 'state_dict', was expected");
        }
        var state = new StateDict(source);
        string? wrapper = Array.Find(Wrappers, key => dict.TryGetValue(key, out PickleValue? value) && value is PickleDict inner && HasTensors(inner));
        foreach ((PickleValue key, PickleValue value) in dict.Entries)
        {
            if (key is not PickleString { Value: var name })
            {
                throw new PickleFileException(source.Name, $"the root dict has {key.Kind} as a key; names were expected");
            }
            if (wrapper is null && value is PickleTensor { Tensor: var tensor })
            {
                state.Add(name, tensor);
            }
            else if (name != wrapper)
            {
                state._extras.Add(name, value);
            }
        }
        if (wrapper is not null && dict.TryGetValue(wrapper, out PickleValue? wrapped))
        {
            state.AddAll((PickleDict)wrapped, wrapper);
        }
        return state._tensors.Count > 0
            ? state
            : throw new PickleFileException(source.Name, "holds no tensors, neither at the root nor under 'model' or 'state_dict'");
    }

    private static bool HasTensors(PickleDict dict) => dict.Entries.Any(entry => entry.Value is PickleTensor);

    private void AddAll(PickleDict dict, string wrapper)
    {
        foreach ((PickleValue key, PickleValue value) in dict.Entries)
        {
            if (key is not PickleString { Value: var name })
            {
                throw new PickleFileException(_source.Name, $"the state dict has {key.Kind} as a key; names were expected", wrapper);
            }
            if (value is PickleTensor { Tensor: var tensor })
            {
                Add(name, tensor);
            }
            else if (!_extras.TryAdd($"{wrapper}.{name}", value))
            {
                throw new PickleFileException(_source.Name, "is there twice, in the state dict and beside it", $"{wrapper}.{name}");
            }
        }
    }

    private void Add(string name, PyTorchTensor tensor)
    {
        if (name.Length == 0)
        {
            throw new PickleFileException(_source.Name, "a tensor of the state dict has no name");
        }
        _bytes += tensor.ByteLength;
        if (_bytes > (Int128)MostSharing * _source.Length)
        {
            throw new PickleFileException(_source.Name, $"the tensors up to here have more than {MostSharing} times the file's {_source.Length} bytes, as they share storages", name);
        }
        _tensors.Add(tensor.Named(name));
    }
}
