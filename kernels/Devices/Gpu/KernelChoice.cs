namespace GroupViT.Kernels.Devices;

/// <summary>The kernels there are for a product.</summary>
internal enum ProductKernel
{
    /// <summary>4 x 4 outputs a thread, in registers.</summary>
    Registers4x4,

    /// <summary>4 x 16 outputs a thread, in registers.</summary>
    Registers4x16,

    /// <summary>64 x 64 outputs a group from shared memory, or 32 x 32 with K in four parts, with the same bits.</summary>
    SharedTiles,

    TensorBFloat16,
    TensorFloat16,

    /// <summary>By the half as deep instruction of compute 7.5.</summary>
    TensorFloat16K8,
    TensorFloat32,
}

/// <summary>Which kernel a device gets, by its facts alone, and why.</summary>
internal static class KernelChoice
{
    /// <summary>The kernel for one product.</summary>
    public static (ProductKernel Kernel, string Reason) Product(DeviceFacts facts, MatMul product)
    {
        (ProductKernel kernel, string reason) = Product(facts, product.WeightFormat);
        int slices = kernel switch
        {
            ProductKernel.TensorBFloat16 => BFloat16Tensors.Slices,
            ProductKernel.TensorFloat16 => Float16Tensors.Slices,
            ProductKernel.TensorFloat16K8 => Float16TensorsK8.Slices,
            ProductKernel.TensorFloat32 => Float32Tensors.Slices,
            _ => 0,
        };
        if (slices > 0 && (!product.RoundsFactors || !TensorMatMul.Fits(product, slices)))
        {
            (kernel, reason) = (ProductKernel.Registers4x4, $"{reason}, but this product's shape does not suit them");
        }
        if (kernel == ProductKernel.SharedTiles && !SharedMatMul.Fits(product))
        {
            (kernel, reason) = (ProductKernel.Registers4x4, "no constant weights on the right, or a shape that tiles in shared memory do not suit");
        }
        return kernel == ProductKernel.Registers4x16 && (product.N < 16 || product.HeadSize % 16 != 0)
            ? (ProductKernel.Registers4x4, "fewer than 16 columns side by side")
            : (kernel, reason);
    }

    /// <summary>The kernel for an attention's two products: matrix instructions for heads of 32 and 64, else float32 in registers.</summary>
    public static ProductKernel Attention(DeviceFacts facts, Attention attention)
    {
        ProductKernel kernel = Product(facts, attention.Format).Kernel;
        return IsTensor(kernel) && TensorAttention.Fits(attention) ? kernel : ProductKernel.Registers4x4;
    }

    /// <summary>
    /// True where an attention without matrix instructions cuts the keys into parts for four threads to a query. A processor with vectors would pay for
    /// barriers and win nothing; wider heads do not fit into registers.
    /// </summary>
    public static bool SplitsKeys(DeviceFacts facts, Attention attention) => attention.HeadSize <= SplitAttention.MaxHeadSize && SplitsKeys(facts);

    private static bool SplitsKeys(DeviceFacts facts)
        => !facts.IsVectorProcessor && facts.SharedMemory >= SplitAttention.SharedBytes && (facts.MaxGroupSize >= SplitAttention.GroupSize || facts.Kind == DeviceKind.Simulator);

    /// <summary>True for matrix instructions.</summary>
    public static bool IsTensor(ProductKernel kernel)
        => kernel is ProductKernel.TensorBFloat16 or ProductKernel.TensorFloat16 or ProductKernel.TensorFloat16K8 or ProductKernel.TensorFloat32;

    /// <summary>The product that the numbers of a tensor are kept for: one of 16 bits, or any other where they are float32.</summary>
    public static ProductKernel Kept(DeviceFacts facts, Tensor tensor) => Product(facts, tensor.Format).Kernel;

    /// <summary>True for matrix instructions on numbers of 16 bits.</summary>
    public static bool IsPairs(ProductKernel kernel) => IsTensor(kernel) && kernel != ProductKernel.TensorFloat32;

    /// <summary>The kernel for the layers' products in a format.</summary>
    public static (ProductKernel Kernel, string Reason) Product(DeviceFacts facts, WeightFormat format) => format switch
    {
        WeightFormat.BFloat16 when facts.HasTensorCores => (ProductKernel.TensorBFloat16, "tensor cores take bfloat16"),
        WeightFormat.Float16 when facts.HasTensorCores => (ProductKernel.TensorFloat16, "tensor cores take float16"),
        WeightFormat.Float16 when facts.HasHalfTensorCores => (ProductKernel.TensorFloat16K8, "tensor cores take float16, eight of K at a time"),
        WeightFormat.TensorFloat32 when facts.HasTensorCores => (ProductKernel.TensorFloat32, "tensor cores take TensorFloat32"),
        _ when facts.IsVectorProcessor => (ProductKernel.Registers4x16, $"a processor with vectors{(format == WeightFormat.Float32 ? "" : "; weights are kept in 16 bits, products are float32")}"),
        WeightFormat.Float32 when facts.Compute > 0 => (ProductKernel.SharedTiles, "shared memory and a warp of 32"),
        WeightFormat.Float32 => (ProductKernel.Registers4x4, "float32 in registers, many threads"),
        _ => (ProductKernel.Registers4x4, "no matrix instructions for it: weights are kept in 16 bits, products are float32"),
    };

    /// <summary>In words.</summary>
    public static string Describe(ProductKernel kernel) => kernel switch
    {
        ProductKernel.Registers4x4 => "4 x 4 outputs a thread, no shared memory",
        ProductKernel.Registers4x16 => "4 x 16 outputs a thread, no shared memory",
        ProductKernel.SharedTiles => "tiles of 64 x 64 in shared memory, or 32 x 32 with K in four parts; 8 x 4 outputs a thread",
        ProductKernel.TensorFloat16K8 => "mma.m16n8k8, tiles of 64 x 64, or 32 x 32 with K in four parts; activations in 16 bits",
        ProductKernel.TensorFloat32 => "mma.m16n8k8, tiles of 64 x 64, or 32 x 64 with K in two parts; asynchronous copies",
        _ => "mma.m16n8k16, tiles of 128 x 64, 64 x 64, or 32 x 32 with K in four parts; asynchronous copies, activations in 16 bits",
    };

    /// <summary>The attention that goes with the layers' products, in words.</summary>
    public static string DescribeAttention(DeviceFacts facts, ProductKernel kernel)
        => IsTensor(kernel) ? "attention by the same instructions for heads of 32 and 64"
        : SplitsKeys(facts) ? "attention with four threads to a query, a quarter of the keys each"
        : "attention with a thread per query";

    /// <summary>What <c>devices --verbose</c> prints for a device: precision, kernel, reason.</summary>
    public static IEnumerable<(WeightFormat Format, ProductKernel Kernel, string Reason)> All(DeviceFacts facts)
        => facts.Formats.Select(format => (format, Product(facts, format).Kernel, Product(facts, format).Reason));
}
