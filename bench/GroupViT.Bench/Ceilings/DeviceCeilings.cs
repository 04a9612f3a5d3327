using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Bench.Ceilings;

/// <summary>What one device allows at most, in 10^9 a second.</summary>
/// <param name="MultiplyAdds">FLOP of float32 multiply-adds on registers.</param>
/// <param name="Matrices">FLOP of matrix instructions on registers, by the formats that the device's products use them for.</param>
/// <param name="Read">Bytes read.</param>
/// <param name="Copy">Bytes read and written by a copy.</param>
/// <param name="Triad">Bytes read and written by a = b + s·c.</param>
internal sealed record DeviceCeilings(double MultiplyAdds, IReadOnlyDictionary<WeightFormat, double> Matrices, double Read, double Copy, double Triad)
{
    /// <summary>What an operation is measured against: the instructions that its kernel multiplies with, or the memory where it only moves numbers.</summary>
    public Bound BoundOf(Operation operation, DeviceFacts facts)
    {
        WeightFormat? format = operation switch
        {
            MatMul product => FormatOf(KernelChoice.Product(facts, product).Kernel),
            Attention attention => FormatOf(KernelChoice.Attention(facts, attention)),
            _ => null,
        };
        return format is { } tensors ? new Bound($"{tensors} mma", Matrices[tensors], false)
            : operation.Flops > 0 ? new Bound("Float32 fma", MultiplyAdds, false)
            : new Bound("memory", Triad, true);
    }

    /// <summary>Of the layers' products in a format, whatever their shape.</summary>
    public double Of(WeightFormat format) => Matrices.TryGetValue(format, out double rate) ? rate : MultiplyAdds;

    private static WeightFormat? FormatOf(ProductKernel kernel) => kernel switch
    {
        ProductKernel.TensorBFloat16 => WeightFormat.BFloat16,
        ProductKernel.TensorFloat16 or ProductKernel.TensorFloat16K8 => WeightFormat.Float16,
        ProductKernel.TensorFloat32 => WeightFormat.TensorFloat32,
        _ => null,
    };
}

/// <summary>The ceiling of one operation.</summary>
/// <param name="Name">In the tables.</param>
/// <param name="Rate">10^9 a second, FLOP or bytes.</param>
/// <param name="IsMemory">Bytes.</param>
internal sealed record Bound(string Name, double Rate, bool IsMemory)
{
    /// <summary>How much of it is reached, 0 to 1; of memory more where operands stay in a cache.</summary>
    public double Share(double milliseconds, double flops, double bytes) => (IsMemory ? bytes : flops) / (milliseconds * 1e6) / Rate;
}
