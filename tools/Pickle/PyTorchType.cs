namespace GroupViT.Pickle;

/// <summary>How the file holds its objects and storages.</summary>
public enum PyTorchContainer
{
    /// <summary>A zip archive of stored entries, as PyTorch writes since 1.6.</summary>
    Zip,

    /// <summary>A row of pickles with the raw storages behind them, as PyTorch wrote before 1.6.</summary>
    Legacy,
}

/// <summary>Element types of tensors, by the names that safetensors has for them.</summary>
public enum PyTorchType
{
    /// <summary>torch.bool, one byte each.</summary>
    Bool,

    /// <summary>torch.uint8.</summary>
    U8,

    /// <summary>torch.int8.</summary>
    I8,

    /// <summary>torch.int16.</summary>
    I16,

    /// <summary>torch.float16.</summary>
    F16,

    /// <summary>torch.bfloat16.</summary>
    BF16,

    /// <summary>torch.int32.</summary>
    I32,

    /// <summary>torch.float32.</summary>
    F32,

    /// <summary>torch.float64.</summary>
    F64,

    /// <summary>torch.int64.</summary>
    I64,
}

/// <summary>What the element types have in common.</summary>
public static class PyTorchTypes
{
    /// <summary>Bytes of one element: 1, 2, 4 or 8.</summary>
    public static int Size(this PyTorchType type) => type switch
    {
        <= PyTorchType.I8 => 1,
        <= PyTorchType.BF16 => 2,
        <= PyTorchType.F32 => 4,
        _ => 8,
    };
}
