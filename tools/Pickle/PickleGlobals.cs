using System.Collections.Frozen;

namespace GroupViT.Pickle;

/// <summary>What a global may be used for. Nothing is ever looked up or called: a meaning says which inert value to build.</summary>
internal enum GlobalMeaning
{
    /// <summary>A class that is not known: its objects are opaque. It cannot be called as a function.</summary>
    UnknownClass,

    /// <summary>A name that may stand as a value, and for nothing else.</summary>
    Name,

    /// <summary>A class whose objects are written as calls, and kept opaque.</summary>
    OpaqueCall,

    OrderedDict,
    DefaultDict,
    Counter,
    Deque,
    Size,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Storage,
}

/// <summary>
/// The globals that a file may name. Listed by name: what has a meaning, and what may be called. Refused by name: everything else of
/// Python's standard library, where the attacks on unpicklers live (os.system, builtins.eval) and no configuration class does. What
/// remains, classes of other packages, is kept as data that nobody looks into.
/// </summary>
internal static class PickleGlobals
{
    private static readonly FrozenDictionary<string, GlobalMeaning> Known = Build();

    private static readonly FrozenDictionary<string, PyTorchType> Storages = new Dictionary<string, PyTorchType>
    {
        ["BoolStorage"] = PyTorchType.Bool,
        ["ByteStorage"] = PyTorchType.U8,
        ["CharStorage"] = PyTorchType.I8,
        ["ShortStorage"] = PyTorchType.I16,
        ["HalfStorage"] = PyTorchType.F16,
        ["BFloat16Storage"] = PyTorchType.BF16,
        ["IntStorage"] = PyTorchType.I32,
        ["FloatStorage"] = PyTorchType.F32,
        ["DoubleStorage"] = PyTorchType.F64,
        ["LongStorage"] = PyTorchType.I64,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>What the global may be used for; null if the file must be refused for naming it.</summary>
    public static GlobalMeaning? MeaningOf(string module, string name)
    {
        // A dotted name reaches into a class or module from inside (protocol 4); none of ours has one.
        if (Known.TryGetValue($"{module}.{name}", out GlobalMeaning meaning) && !name.Contains('.', StringComparison.Ordinal))
        {
            return meaning;
        }
        if (module == "torch" && Storages.ContainsKey(name))
        {
            return GlobalMeaning.Storage;
        }
        if (module == "typing")
        {
            return GlobalMeaning.Name;
        }
        return PythonLibrary.Holds(module) ? null : GlobalMeaning.UnknownClass;
    }

    /// <summary>The element type of a storage class of the module torch.</summary>
    public static PyTorchType TypeOf(PickleGlobal storage) => Storages[storage.Name];

    private static FrozenDictionary<string, GlobalMeaning> Build()
    {
        var known = new Dictionary<string, GlobalMeaning>
        {
            ["collections.OrderedDict"] = GlobalMeaning.OrderedDict,
            ["collections.defaultdict"] = GlobalMeaning.DefaultDict,
            ["collections.Counter"] = GlobalMeaning.Counter,
            ["collections.deque"] = GlobalMeaning.Deque,
            ["torch.Size"] = GlobalMeaning.Size,
            ["torch._utils._rebuild_tensor"] = GlobalMeaning.RebuildTensor,
            ["torch._utils._rebuild_tensor_v2"] = GlobalMeaning.RebuildTensorV2,
            ["torch._utils._rebuild_parameter"] = GlobalMeaning.RebuildParameter,
            ["argparse.Namespace"] = GlobalMeaning.UnknownClass,
            ["types.SimpleNamespace"] = GlobalMeaning.UnknownClass,
        };
        foreach (string builtins in new[] { "__builtin__", "builtins" })
        {
            foreach (string type in new[] { "dict", "list", "tuple", "int", "long", "float", "bool", "str", "unicode", "bytes", "object", "NoneType" })
            {
                known.Add($"{builtins}.{type}", GlobalMeaning.Name);
            }
            foreach (string type in new[] { "set", "frozenset", "bytearray", "complex", "slice", "range" })
            {
                known.Add($"{builtins}.{type}", GlobalMeaning.OpaqueCall);
            }
        }
        // What training scripts leave beside the weights: numpy numbers and arrays (best accuracies), devices, paths, times.
        string[] calls =
        [
            "numpy.dtype", "numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray.scalar",
            "numpy._core.multiarray._reconstruct", "_codecs.encode", "torch.device", "datetime.datetime", "datetime.date", "datetime.time",
            "datetime.timedelta", "datetime.timezone", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath",
        ];
        foreach (string call in calls)
        {
            known.Add(call, GlobalMeaning.OpaqueCall);
        }
        return known.ToFrozenDictionary(StringComparer.Ordinal);
    }
}
