using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels.Devices;

/// <summary>The vector width that the CPU device uses.</summary>
internal enum SimdLevel
{
    None = 1,
    Vector128 = 4,
    Vector256 = 8,
    Vector512 = 16,
}

/// <summary>This machine's processor, through our own vector code.</summary>
internal sealed class CpuDevice : Device
{
    /// <summary>The widest that the runtime accelerates here; the runtime's switches (DOTNET_EnableAVX512=0, ...) narrow it.</summary>
    public static SimdLevel Level { get; } =
        Vector512.IsHardwareAccelerated ? SimdLevel.Vector512
        : Vector256.IsHardwareAccelerated ? SimdLevel.Vector256
        : Vector128.IsHardwareAccelerated ? SimdLevel.Vector128
        : SimdLevel.None;

    public override string Name => "cpu";

    public override DeviceKind Kind => DeviceKind.Cpu;

    public override string Description
        => $"{RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} threads, vectors of {(int)Level} floats ({LevelName})";

    public override long MemoryBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    private static string LevelName => Level switch
    {
        SimdLevel.Vector512 => "AVX-512",
        SimdLevel.Vector256 => "AVX2",
        SimdLevel.Vector128 => System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported ? "AdvSimd" : "128-bit",
        _ => "scalar",
    };

    public override IEnumerable<(WeightFormat Format, string Kernel, string Reason)> Products =>
    [
        (WeightFormat.Float32, $"register tiles of {Level}", "the widest vectors of this processor"),
        (WeightFormat.BFloat16, $"register tiles of {Level}, weights widened on the way", "half the memory for weights; products are float32"),
    ];

    public override ConstantPool CreateConstants(MemoryAccount account) => new CpuConstants(account);

    public override Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads)
        => new CpuWorker(account, (CpuConstants)constants, threads);

    public override void CompileAhead(Activation activation) => CpuCompilation.Start(this, activation);

    public override void Dispose()
    {
    }

    internal static Step Prepare(Operation operation, CpuBinding binding) => Level switch
    {
        SimdLevel.Vector512 => operation.PrepareCpu<V512>(binding),
        SimdLevel.Vector256 => operation.PrepareCpu<V256>(binding),
        SimdLevel.Vector128 => operation.PrepareCpu<V128>(binding),
        _ => operation.PrepareCpu<V1>(binding),
    };
}
