using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>A device behind ILGPU: CUDA, OpenCL, or ILGPU's own CPU accelerator as the simulator.</summary>
internal sealed class GpuDevice : Device
{
    // Small groups spread a launch of a few thousand threads over all multiprocessors; 32 groups of 64 still fill one.
    private const int FlatGroupSize = 64;

    private readonly Context context;
    private readonly Dictionary<MethodInfo, (Kernel Kernel, Delegate Launcher)> kernels = [];
    private readonly Lock gate = new();

    private GpuDevice(Context context, Accelerator accelerator, string name, DeviceKind kind)
    {
        this.context = context;
        (Accelerator, Name, Kind) = (accelerator, name, kind);
        // ILGPU sets OpenCL arguments on a kernel object that all threads share; the simulator runs one kernel at a time anyway.
        LaunchGate = kind == DeviceKind.Cuda ? null : new Lock();
    }

    public Accelerator Accelerator { get; }

    public override string Name { get; }

    public override DeviceKind Kind { get; }

    public override string Description => Kind == DeviceKind.Simulator
        ? "ILGPU's CPU accelerator: exact, and thousands of times slower than the cpu device"
        : $"{Accelerator.Name}, {Accelerator.NumMultiprocessors} multiprocessors, {Accelerator.MemorySize / 1048576} MiB";

    // The simulator calls itself 2^63 - 1 bytes large: unknown.
    public override long MemoryBytes => Kind == DeviceKind.Simulator ? 0 : Accelerator.MemorySize;

    /// <summary>Held around launches where the driver's interface demands it; null on CUDA.</summary>
    public Lock? LaunchGate { get; }

    /// <summary>True for a CPU behind OpenCL: few threads, each with wide vectors.</summary>
    public bool IsVectorProcessor => Accelerator is CLAccelerator { DeviceType: CLDeviceType.CL_DEVICE_TYPE_CPU };

    public static GpuDevice OpenSimulator()
    {
        Context context = CreateContext(DeviceKind.Simulator);
        return new GpuDevice(context, context.CreateCPUAccelerator(0), "simulator", DeviceKind.Simulator);
    }

    /// <summary>Opens the n-th device of its kind, in the driver's order.</summary>
    public static GpuDevice Open(DeviceKind kind, int index)
    {
        Context context = CreateContext(kind);
        try
        {
            return kind == DeviceKind.Cuda
                ? new GpuDevice(context, context.CreateCudaAccelerator(index), $"cuda:{index}", kind)
                : new GpuDevice(context, context.CreateCLAccelerator(index), $"opencl:{index}", kind);
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>Name and hardware of every CUDA and OpenCL device that ILGPU can use.</summary>
    public static IReadOnlyList<(DeviceKind Kind, int Index, string Hardware, bool IsGpu)> Find()
    {
        List<(DeviceKind, int, string, bool)> found = [];
        using (Context cuda = CreateContext(DeviceKind.Cuda))
        {
            int index = 0;
            foreach (CudaDevice device in cuda.GetCudaDevices())
            {
                found.Add((DeviceKind.Cuda, index++, device.Name, true));
            }
        }
        using (Context openCl = CreateContext(DeviceKind.OpenCL))
        {
            int index = 0;
            foreach (CLDevice device in openCl.GetCLDevices())
            {
                found.Add((DeviceKind.OpenCL, index++, device.Name, device.DeviceType == CLDeviceType.CL_DEVICE_TYPE_GPU));
            }
        }
        return found;
    }

    public override ConstantPool CreateConstants(MemoryAccount account) => new GpuConstants(this, account);

    public override Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads)
        => new GpuWorker(this, account, (GpuConstants)constants);

    public Action<AcceleratorStream, Index1D, TArguments> LoadFlat<TArguments>(MethodInfo method)
        => (Action<AcceleratorStream, Index1D, TArguments>)Load(method, () =>
        {
            CompiledKernel compiled = Accelerator.GetBackend().Compile(
                EntryPointDescription.FromImplicitlyGroupedKernel(method),
                Kind == DeviceKind.Simulator ? default : new KernelSpecialization(FlatGroupSize, null), new AddressSpaceHook());
            Kernel kernel = Kind == DeviceKind.Simulator
                ? Accelerator.LoadAutoGroupedKernel(compiled)
                : Accelerator.LoadImplicitlyGroupedKernel(compiled, FlatGroupSize);
            return (kernel, kernel.CreateLauncherDelegate<Action<AcceleratorStream, Index1D, TArguments>>());
        });

    public Action<AcceleratorStream, KernelConfig, TArguments> LoadGrouped<TArguments>(MethodInfo method, int groupSize)
        => (Action<AcceleratorStream, KernelConfig, TArguments>)Load(method, () =>
        {
            Kernel kernel = Accelerator.LoadKernel(Accelerator.GetBackend().Compile(
                EntryPointDescription.FromExplicitlyGroupedKernel(method), new KernelSpecialization(groupSize, null), new AddressSpaceHook()));
            return (kernel, kernel.CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArguments>>());
        });

    public override void Dispose()
    {
        lock (gate)
        {
            foreach ((Kernel kernel, _) in kernels.Values)
            {
                kernel.Dispose();
            }
            kernels.Clear();
        }
        Accelerator.Dispose();
        context.Dispose();
    }

    // Kernels are compiled one at a time: ILGPU's context lock starves the thread pool otherwise.
    private Delegate Load(MethodInfo method, Func<(Kernel Kernel, Delegate Launcher)> compile)
    {
        lock (gate)
        {
            if (!kernels.TryGetValue(method, out (Kernel Kernel, Delegate Launcher) loaded))
            {
                loaded = compile();
                kernels.Add(method, loaded);
            }
            return loaded.Launcher;
        }
    }

    private static Context CreateContext(DeviceKind kind)
    {
        NativeLibraries.Install();
        Context context = Context.Create(builder =>
        {
            switch (kind)
            {
                case DeviceKind.Cuda:
                    builder.Cuda();
                    break;
                case DeviceKind.OpenCL:
                    builder.OpenCL();
                    break;
                default:
                    builder.CPU(CPUDevice.Default);
                    break;
            }
        });
        GpuIntrinsics.Register(context);
        return context;
    }
}
