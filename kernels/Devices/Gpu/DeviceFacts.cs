using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>What kernels are chosen by when a program is prepared. Read from a device, or stated for one that is not here.</summary>
/// <param name="Kind">Through which interface it is driven.</param>
/// <param name="Compute">CUDA's compute capability times ten (75, 80, 90); 0 elsewhere.</param>
/// <param name="WarpSize">Threads that run in step; 1 where nothing may be built on it.</param>
/// <param name="Multiprocessors">Groups that run at once, at least.</param>
/// <param name="SharedMemory">Bytes of shared memory that a group may have without asking.</param>
/// <param name="IsVectorProcessor">A CPU behind OpenCL: few threads, each with wide vectors.</param>
internal sealed record DeviceFacts(DeviceKind Kind, int Compute, int WarpSize, int Multiprocessors, int SharedMemory, bool IsVectorProcessor)
{
    /// <summary>The architectures that every CUDA kernel is assembled for; others run the nearest below them.</summary>
    public static IReadOnlyList<int> CudaArchitectures { get; } = [60, 70, 75, 80, 86, 89, 90];

    /// <summary>Threads that a group may have.</summary>
    public int MaxGroupSize { get; init; } = 1024;

    /// <summary>True where the simulator plays a device with tensor cores: its warps have 32 threads, its intrinsics are emulated.</summary>
    public bool Emulated { get; init; }

    /// <summary>Matrix instructions on float16. Compute 7.0 has them too, in another shape of instruction that no kernel here uses.</summary>
    public bool HasHalfTensorCores => Compute >= 75;

    /// <summary>Matrix instructions on bfloat16 and TensorFloat32.</summary>
    public bool HasTensorCores => Compute >= 80;

    /// <summary>Copies from global to shared memory that pass by the registers and are waited for later.</summary>
    public bool HasAsyncCopy => Compute >= 80;

    public static DeviceFacts Of(Accelerator accelerator) => accelerator switch
    {
        CudaAccelerator cuda => Cuda(cuda.Architecture.Major * 10 + cuda.Architecture.Minor, cuda.NumMultiprocessors),
        // Sub-groups differ from driver to driver (PoCL's is the whole group): no kernel asks for them.
        CLAccelerator device => new(
            DeviceKind.OpenCL, 0, 1, device.NumMultiprocessors, (int)Math.Min(device.MaxSharedMemoryPerGroup, int.MaxValue), device.DeviceType == CLDeviceType.CL_DEVICE_TYPE_CPU)
        {
            MaxGroupSize = device.MaxNumThreadsPerGroup,
        },
        _ => new(DeviceKind.Simulator, 0, 1, accelerator.NumMultiprocessors, 48 << 10, false) { MaxGroupSize = accelerator.MaxNumThreadsPerGroup },
    };

    /// <summary>A CUDA device that need not be here.</summary>
    public static DeviceFacts Cuda(int compute, int multiprocessors = 132) => new(DeviceKind.Cuda, compute, 32, multiprocessors, 48 << 10, false);

    /// <summary>What the simulator plays, so that the tensor-core kernels run on it.</summary>
    public static DeviceFacts Emulating(int compute, int multiprocessors)
        => new(DeviceKind.Simulator, compute, 32, multiprocessors, 48 << 10, false) { Emulated = true };

    /// <summary>The formats of weights that the device has products for.</summary>
    public IEnumerable<WeightFormat> Formats
        => HasTensorCores
            ? [WeightFormat.Float32, WeightFormat.TensorFloat32, WeightFormat.BFloat16, WeightFormat.Float16]
            : [WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Float16];

    public override string ToString() => Kind switch
    {
        DeviceKind.Cuda => $"compute {Compute / 10}.{Compute % 10}, {Multiprocessors} multiprocessors",
        DeviceKind.OpenCL => $"{(IsVectorProcessor ? "vector processor" : "GPU")}, {Multiprocessors} compute units",
        _ => Emulated ? $"emulating compute {Compute / 10}.{Compute % 10}" : "simulator",
    };
}
