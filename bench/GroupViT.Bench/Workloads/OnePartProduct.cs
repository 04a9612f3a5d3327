using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Bench.Workloads;

/// <summary>
/// A product by the tensor-core kernels that sums K in one part where they sum it in four: what the fixed parts cost, which let few rows fill a device
/// with the same bits as many.
/// </summary>
internal sealed record OnePartProduct(MatMul Product) : Operation
{
    public override double Flops => Product.Flops;

    public override void Validate() => Product.Validate();

    public override void Describe(OperationUses uses) => Product.Describe(uses);

    public override void Evaluate(ReferenceMemory memory) => Product.Evaluate(memory);

    public override Step PrepareCpu<V>(CpuBinding binding) => Product.PrepareCpu<V>(binding);

    /// <summary>Whether the device multiplies the product by numbers of 16 bits on matrix instructions; then it has a kernel for this too.</summary>
    public static bool Fits(MatMul product, DeviceFacts facts) => KernelChoice.IsPairs(KernelChoice.Product(facts, product).Kernel);

    public override Step PrepareGpu(GpuBinding binding)
    {
        DeviceFacts facts = binding.Device.Facts;
        // Fewer groups of 64 x 64 go four warps behind one another over K, which would never join.
        if ((long)GpuMatMul.TileRows(Product) * Product.N / (64 * 64) < 2L * facts.Multiprocessors)
        {
            throw new NotSupportedException($"{Product.M} x {Product.N} do not fill {facts} without parts of K");
        }
        return KernelChoice.Product(facts, Product).Kernel switch
        {
            ProductKernel.TensorBFloat16 => TensorMatMul.Pairs<OnePart<BFloat16Tensors>, GpuNoActivation>(Product, binding),
            ProductKernel.TensorFloat16 => TensorMatMul.Pairs<OnePart<Float16Tensors>, GpuNoActivation>(Product, binding),
            ProductKernel.TensorFloat16K8 => TensorMatMul.Pairs<OnePart<Float16TensorsK8>, GpuNoActivation>(Product, binding),
            ProductKernel other => throw new NotSupportedException($"{binding.Device.Name} multiplies {Product.A} by {other}, which has no parts of K to join"),
        };
    }
}

/// <summary>A format whose products sum K in one part. Only shapes of group that walk through all of K are of use: those of many rows.</summary>
internal readonly struct OnePart<TFormat> : IPairFormat
    where TFormat : struct, IPairFormat
{
    public static WeightFormat Format => TFormat.Format;

    public static int WeightBytes => TFormat.WeightBytes;

    public static int Slices => 1;

    public static uint Pack(float low, float high) => TFormat.Pack(low, high);

    public static int WeightChunk(int row, int chunk) => TFormat.WeightChunk(row, chunk);

    public static LeftFragment Left(FloatPair upper, FloatPair lower, FloatPair upperNext, FloatPair lowerNext) => TFormat.Left(upper, lower, upperNext, lowerNext);

    public static RightFragment Right(ArrayView<Words> shared, int at, int column, int half) => TFormat.Right(shared, at, column, half);

    public static RightFragment Right(Quad left, Quad right) => TFormat.Right(left, right);

    public static Quad MultiplyLeft(Quad c, LeftFragment a, RightFragment b) => TFormat.MultiplyLeft(c, a, b);

    public static Quad MultiplyRight(Quad c, LeftFragment a, RightFragment b) => TFormat.MultiplyRight(c, a, b);
}
