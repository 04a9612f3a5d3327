using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU;
using Eight = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>;
using Sixteen = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>;

namespace GroupViT.Bench.Ceilings;

/// <summary>Which kernels a device's ceilings are measured with, how many threads fill it, and their launches.</summary>
/// <param name="binding">Of a worker, which may only measure: then kernels are noted and not compiled, and views are empty.</param>
internal sealed class CeilingSteps(GpuBinding binding)
{
    private readonly DeviceFacts facts = binding.Device.Facts;

    /// <summary>
    /// Of the multiply-adds. A GPU's multiprocessor gets 1,024, which each can hold at 64 registers, so that all run from beginning to end at the
    /// same time; a processor a few groups for each of its own threads. The simulator's threads are threads of the system.
    /// </summary>
    public int Threads => Filling(16);

    /// <summary>Of the streams: the assembler unrolls the kernel that reads, and 640 threads of its 90 registers are what a multiprocessor holds at once.</summary>
    public int StreamThreads => Filling(10);

    /// <summary>Groups of the matrix instructions' kernel: 16 warps a multiprocessor, four for each tensor core, at up to 128 registers.</summary>
    public int MatrixGroups => facts.Kind == DeviceKind.Simulator ? 2 : facts.Multiprocessors * 4;

    /// <summary>A warp on the simulator.</summary>
    public int MatrixGroupSize => facts.Kind == DeviceKind.Simulator ? 32 : MatrixRegisters.GroupSize;

    /// <summary>Floats of a chain's vector that are tried: what a processor's compiler makes of them shows only in the rate.</summary>
    public IReadOnlyList<int> Widths => facts.IsVectorProcessor ? [8, 16] : [4];

    /// <summary>Multiply-adds on chains of so many floats, and what one turn of all threads computes.</summary>
    public (GpuStep Step, double Flops) MultiplyAdds(int width, ArrayView<float> starts, ArrayView<float> result, int turns, float factor = -1, float addend = 3)
    {
        FloatRegisterArguments arguments = new(starts, result, turns, factor, addend);
        return width switch
        {
            4 => (binding.Step<FloatRegisterArguments>(FloatRegisters.Kernel<Quad>, Threads, arguments), Threads * FloatRegisters.Flops<Quad>()),
            8 => (binding.Step<FloatRegisterArguments>(FloatRegisters.Kernel<Eight>, Threads, arguments), Threads * FloatRegisters.Flops<Eight>()),
            16 => (binding.Step<FloatRegisterArguments>(FloatRegisters.Kernel<Sixteen>, Threads, arguments), Threads * FloatRegisters.Flops<Sixteen>()),
            _ => throw new ArgumentOutOfRangeException(nameof(width), width, "4, 8 or 16"),
        };
    }

    /// <summary>The matrix instructions that the device's products in a format are made of, and what one turn of all warps computes; null where they are made of multiply-adds.</summary>
    public (GpuStep Step, double Flops)? Matrices(WeightFormat format, ArrayView<float> result, int turns)
    {
        MatrixRegisterArguments arguments = new(result, turns);
        GpuStep? step = KernelChoice.Product(facts, format).Kernel switch
        {
            ProductKernel.TensorBFloat16 => binding.Step<MatrixRegisterArguments>(MatrixRegisters.Kernel<BFloat16Tensors>, MatrixGroups, MatrixGroupSize, arguments),
            ProductKernel.TensorFloat16 => binding.Step<MatrixRegisterArguments>(MatrixRegisters.Kernel<Float16Tensors>, MatrixGroups, MatrixGroupSize, arguments),
            ProductKernel.TensorFloat16K8 => binding.Step<MatrixRegisterArguments>(MatrixRegisters.Kernel<Float16TensorsK8>, MatrixGroups, MatrixGroupSize, arguments),
            ProductKernel.TensorFloat32 => binding.Step<MatrixRegisterArguments>(MatrixRegisters.Kernel<Float32Tensors>, MatrixGroups, MatrixGroupSize, arguments),
            _ => null,
        };
        return step is null ? null : (step, MatrixGroups * (MatrixGroupSize / 32) * MatrixRegisters.Flops);
    }

    /// <summary>Quads of a stream that all threads take in whole steps, of so many that there are.</summary>
    public int StreamQuads(long quads) => (int)(Math.Max(quads / (StreamThreads * Streams.Unrolled), 1) * (StreamThreads * Streams.Unrolled));

    public GpuStep Read(ArrayView<float> result, ArrayView<float> source, int quads, int passes)
        => binding.Step<StreamArguments>(Streams.Read, StreamThreads, Stream(result, source, source, quads, passes));

    public GpuStep Copy(ArrayView<float> target, ArrayView<float> source, int quads, int passes)
        => binding.Step<StreamArguments>(Streams.Copy, StreamThreads, Stream(target, source, source, quads, passes));

    public GpuStep Triad(ArrayView<float> target, ArrayView<float> first, ArrayView<float> second, int quads, int passes)
        => binding.Step<StreamArguments>(Streams.Triad, StreamThreads, Stream(target, first, second, quads, passes));

    public GpuStep Fill(ArrayView<float> target, int quads) => binding.Step<StreamArguments>(Streams.Fill, StreamThreads, Stream(target, target, target, quads, 1));

    /// <summary>Every kernel, for who asks which there are.</summary>
    public void PrepareAll()
    {
        foreach (int width in Widths)
        {
            MultiplyAdds(width, default, default, 1);
        }
        foreach (WeightFormat format in facts.Formats)
        {
            Matrices(format, default, 1);
        }
        int quads = StreamQuads(0);
        Read(default, default, quads, 1);
        Copy(default, default, quads, 1);
        Triad(default, default, default, quads, 1);
        Fill(default, quads);
    }

    private int Filling(int groups)
        => facts.Kind == DeviceKind.Simulator ? 16 : facts.Multiprocessors * GpuKernel.FlatGroupSize * (facts.IsVectorProcessor ? 4 : groups);

    private StreamArguments Stream(ArrayView<float> target, ArrayView<float> first, ArrayView<float> second, int quads, int passes)
    {
        int each = quads / StreamThreads;
        return facts.IsVectorProcessor
            ? new StreamArguments(target, first, second, each, 1, each / Streams.Unrolled, passes)
            : new StreamArguments(target, first, second, 1, StreamThreads, each / Streams.Unrolled, passes);
    }
}
