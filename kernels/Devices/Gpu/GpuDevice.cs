using System.Reflection;
using GroupViT.Native;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using ILGPU.Runtime;
using ILGPU;

namespace GroupViT.Kernels.Devices;

/// <summary>A device behind ILGPU: CUDA, OpenCL, or ILGPU's own CPU accelerator as the simulator.</summary>
internal sealed class GpuDevice : Device
{
    private readonly Context? context;
    private readonly Accelerator? accelerator;
    private readonly KernelLoader? loader;
    private readonly Dictionary<MethodInfo, (Kernel Kernel, Delegate Launcher)> kernels = [];
    private readonly Lock gate = new();

    private GpuDevice(Context? context, Accelerator? accelerator, string name, DeviceFacts facts, KernelCache? cache = null)
    {
        (this.context, this.accelerator) = (context, accelerator);
        loader = accelerator is null ? null : KernelLoader.For(accelerator, cache);
        (Name, Kind, Facts) = (name, facts.Kind, facts);
        // ILGPU sets OpenCL arguments on a kernel object that all threads share; the simulator runs one kernel at a time anyway.
        LaunchGate = Kind == DeviceKind.Cuda ? null : new Lock();
    }

    public Accelerator Accelerator => accelerator ?? throw new InvalidOperationException($"{Name} is not here: it can be prepared for, not run on");

    /// <summary>What kernels are chosen by.</summary>
    public override DeviceFacts Facts { get; }

    /// <summary>Told of every kernel that a measuring worker prepares; null where nobody asks.</summary>
    public Action<GpuKernel>? Prepared { get; init; }

    public override string Name { get; }

    public override DeviceKind Kind { get; }

    public override string Description => Kind == DeviceKind.Simulator
        ? "ILGPU's CPU accelerator: exact, and thousands of times slower than the cpu device"
        : accelerator is null ? Facts.ToString()
        : $"{accelerator.Name}, {accelerator.NumMultiprocessors} multiprocessors, {accelerator.MemorySize / 1048576} MiB";

    // The simulator calls itself 2^63 - 1 bytes large: unknown.
    public override long MemoryBytes => accelerator is null || Kind == DeviceKind.Simulator ? 0 : accelerator.MemorySize;

    /// <summary>Held around launches where the driver's interface demands it; null on CUDA.</summary>
    public Lock? LaunchGate { get; }

    public static GpuDevice OpenSimulator()
    {
        Context context = CreateContext(builder => builder.CPU(CPUDevice.Default));
        Accelerator accelerator = context.CreateCPUAccelerator(0);
        return new GpuDevice(context, accelerator, "simulator", DeviceFacts.Of(accelerator));
    }

    /// <summary>The simulator with warps of 32 threads and NVIDIA's matrix instructions emulated: what the tensor-core kernels are tested on.</summary>
    /// <param name="compute">Compute capability times ten: which kernels are chosen.</param>
    /// <param name="multiprocessors">Which shape of group is chosen.</param>
    public static GpuDevice OpenEmulator(int compute, int multiprocessors)
    {
        Context context = CreateContext(builder => builder.CPU(CPUDevice.Nvidia));
        return new GpuDevice(context, context.CreateCPUAccelerator(0), "simulator", DeviceFacts.Emulating(compute, multiprocessors));
    }

    /// <summary>The n-th OpenCL device, taken for a GPU whatever it is: so a processor's OpenCL runs the kernels that its own choice would leave out.</summary>
    public static GpuDevice OpenAsGpu(int index)
    {
        Context context = CreateContext(DeviceKind.OpenCL);
        try
        {
            Accelerator accelerator = context.CreateCLAccelerator(index);
            return new GpuDevice(context, accelerator, $"opencl:{index}", DeviceFacts.Of(accelerator) with { IsVectorProcessor = false });
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>A CUDA device that is not here. Its workers can only measure; <paramref name="prepared"/> hears which kernels they would run.</summary>
    public static GpuDevice Absent(DeviceFacts facts, Action<GpuKernel> prepared) => new(null, null, "cuda:0", facts) { Prepared = prepared };

    /// <summary>A device that is open already, with kernels chosen by what is said of it: what a tool that plays a device is tested through.</summary>
    /// <param name="context">Its intrinsics are registered; it goes with the device.</param>
    /// <param name="accelerator">Of the context; it goes with the device.</param>
    /// <param name="name">As in messages.</param>
    /// <param name="facts">May say more than the hardware would.</param>
    public static GpuDevice Of(Context context, Accelerator accelerator, string name, DeviceFacts facts) => new(context, accelerator, name, facts);

    /// <summary>Opens the n-th device of its kind, in the driver's order.</summary>
    /// <param name="kind">CUDA or OpenCL.</param>
    /// <param name="index">Which.</param>
    /// <param name="blockingWait">On CUDA, whether a thread that waits for the device sleeps or spins; OpenCL leaves that to the driver.</param>
    /// <param name="kernelCache">Where compiled kernels are kept, as <see cref="KernelCache.Open"/> takes it; null for the default.</param>
    public static GpuDevice Open(DeviceKind kind, int index, bool blockingWait = true, string? kernelCache = null)
    {
        Context context = CreateContext(kind);
        try
        {
            string name = $"{(kind == DeviceKind.Cuda ? "cuda" : "opencl")}:{index}";
            Accelerator accelerator;
            if (kind == DeviceKind.Cuda)
            {
                CudaDevice card = context.GetCudaDevice(index);
                CudaDriver.Require(name, card.Architecture is { } compute ? compute.Major * 10 + compute.Minor : 0, CudaDriver.Installed());
                accelerator = context.CreateCudaAccelerator(index, blockingWait ? CudaAcceleratorFlags.ScheduleBlockingSync : CudaAcceleratorFlags.ScheduleSpin);
            }
            else
            {
                accelerator = context.CreateCLAccelerator(index);
            }
            return new GpuDevice(context, accelerator, name, DeviceFacts.Of(accelerator), KernelCache.Open(kernelCache));
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

    public override bool StreamsWeights => true;

    public override ConstantPool CreateConstants(MemoryAccount account) => new GpuConstants(this, account);

    public override Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads)
        => new GpuWorker(this, account, (GpuConstants)constants);

    public override IEnumerable<(WeightFormat Format, string Kernel, string Reason)> Products
        => KernelChoice.All(Facts).Select(choice => (choice.Format, $"{KernelChoice.Describe(choice.Kernel)}; {KernelChoice.DescribeAttention(Facts, choice.Kernel)}", choice.Reason));

    public override (int FromDisk, int Compiled) KernelCounts
    {
        get
        {
            lock (gate)
            {
                return loader?.Counts ?? default;
            }
        }
    }

    public Action<AcceleratorStream, Index1D, TArguments> LoadFlat<TArguments>(MethodInfo method)
        => (Action<AcceleratorStream, Index1D, TArguments>)Load(GpuKernel.Flat(method), static kernel => kernel.CreateLauncherDelegate<Action<AcceleratorStream, Index1D, TArguments>>());

    public Action<AcceleratorStream, KernelConfig, TArguments> LoadGrouped<TArguments>(GpuKernel grouped)
        => (Action<AcceleratorStream, KernelConfig, TArguments>)Load(grouped, static kernel => kernel.CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArguments>>());

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
        accelerator?.Dispose();
        context?.Dispose();
    }

    // Kernels are compiled one at a time: ILGPU's context lock starves the thread pool otherwise.
    private Delegate Load(GpuKernel kernel, Func<Kernel, Delegate> launcher)
    {
        lock (gate)
        {
            if (!kernels.TryGetValue(kernel.Method, out (Kernel Kernel, Delegate Launcher) loaded))
            {
                try
                {
                    Kernel made = loader!.Load(kernel);
                    loaded = (made, launcher(made));
                }
                catch (Exception exception) when (exception is not OutOfMemoryException)
                {
                    throw new KernelCompilationException(kernel.Name, Name, exception);
                }
                kernels.Add(kernel.Method, loaded);
            }
            return loaded.Launcher;
        }
    }

    private static Context CreateContext(DeviceKind kind)
        => kind == DeviceKind.Cuda ? CreateContext(builder => builder.Cuda()) : CreateContext(builder => builder.OpenCL());

    private static Context CreateContext(Action<Context.Builder> devices)
    {
        NativeLibraries.Install();
        Context context = Context.Create(devices);
        GpuIntrinsics.Register(context);
        return context;
    }
}
