using GroupViT.Native;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// A GPU device whose driver's errors become ours: too little memory is an error of the call, anything else is the device's end, told once
/// and remembered. After a failed launch a CUDA context answers every call with the same error, and an OpenCL queue is no better.
/// </summary>
internal sealed class WatchedDevice(Device inner) : Device
{
    private readonly Lock gate = new();
    private DeviceLostException? failure;

    /// <summary>Raised once, on the thread that met the failure.</summary>
    public event Action<DeviceLostException>? Failed;

    /// <summary>The first failure, or null.</summary>
    public DeviceLostException? Failure
    {
        get
        {
            lock (gate)
            {
                return failure;
            }
        }
    }

    public override string Name => inner.Name;

    public override DeviceKind Kind => inner.Kind;

    public override string Description => inner.Description;

    public override DeviceFacts? Facts => inner.Facts;

    public override long MemoryBytes => inner.MemoryBytes;

    public override IEnumerable<(WeightFormat Format, string Kernel, string Reason)> Products => inner.Products;

    public override bool StreamsWeights => inner.StreamsWeights;

    public override (int FromDisk, int Compiled) KernelCounts => inner.KernelCounts;

    public override ConstantPool CreateConstants(MemoryAccount account) => inner.CreateConstants(account);

    public override Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads)
        => account is null ? inner.CreateWorker(null, constants, threads) : Watch("opening a stream", () => new WatchedWorker(this, inner.CreateWorker(account, constants, threads), account));

    public override void CompileAhead(Activation activation) => inner.CompileAhead(activation);

    public override void Dispose()
    {
        try
        {
            inner.Dispose();
        }
        catch (AcceleratorException) when (Failure is not null)
        {
            // A lost device cannot free its memory; the driver does, with the process.
        }
    }

    /// <summary>Turns a driver's error into one of ours; any other is not its business.</summary>
    public Exception? Translate(string what, Exception exception, MemoryAccount? account = null)
    {
        if (exception is not AcceleratorException)
        {
            return null;
        }
        if (IsOutOfMemory(exception))
        {
            return new OutOfDeviceMemoryException($"{what} on {Name}", 0, account?.InUse ?? 0, MemoryBytes, exception);
        }
        DeviceLostException lost = new(Name, what, WordsOf(exception), exception);
        lock (gate)
        {
            if (failure is not null)
            {
                return lost;
            }
            failure = lost;
        }
        Failed?.Invoke(lost);
        return lost;
    }

    // ILGPU's OpenCL error says nothing in its message.
    private static string WordsOf(Exception exception) => exception switch
    {
        CLException openCl => openCl.Error.ToString(),
        CudaException cuda => $"{cuda.Error}: {cuda.Message}",
        _ => exception.Message,
    };

    /// <summary>True for the codes by which drivers say that memory, theirs or the host's, did not suffice.</summary>
    public static bool IsOutOfMemory(Exception exception) => exception switch
    {
        // ILGPU keeps the code's name, and the driver's words as the message.
        CudaException cuda => cuda.Error == nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY) || cuda.Message.Contains("out of memory", StringComparison.OrdinalIgnoreCase),
        CLException openCl => openCl.Error is CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE or CLError.CL_OUT_OF_HOST_MEMORY or CLError.CL_INVALID_BUFFER_SIZE,
        _ => exception is OutOfMemoryException,
    };

    private T Watch<T>(string what, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (AcceleratorException exception)
        {
            throw Translate(what, exception)!;
        }
    }
}

/// <summary>See <see cref="WatchedDevice"/>.</summary>
internal sealed class WatchedWorker(WatchedDevice device, Worker inner, MemoryAccount account) : Worker
{
    public override long ScratchBytes => inner.ScratchBytes;

    public override void AllocateArena(long bytes) => Watch("allocating the arena", bytes, static (worker, bytes) => worker.AllocateArena(bytes));

    public override void AllocateWindow(long halfBytes) => Watch("allocating the window of streamed weights", halfBytes, static (worker, bytes) => worker.AllocateWindow(bytes));

    public override void BeginProgram(bool streamed) => inner.BeginProgram(streamed);

    public override WeightNeeds StreamedNeeds => inner.StreamedNeeds;

    public override Step Prepare(Operation operation, IReadOnlyDictionary<Tensor, long> offsets)
    {
        try
        {
            return new WatchedStep(device, account, operation, inner.Prepare(operation, offsets));
        }
        catch (AcceleratorException exception)
        {
            throw device.Translate($"preparing {operation.GetType().Name}", exception, account)!;
        }
    }

    public override Recording? Record(IReadOnlyList<Step> steps)
    {
        try
        {
            // Unwatched: what a recording does not like is no failure of the device.
            return inner.Record([.. steps.Select(step => ((WatchedStep)step).Inner)]) is { } recording ? new WatchedRecording(device, account, recording) : null;
        }
        catch (AcceleratorException exception)
        {
            throw device.Translate("recording a program", exception, account)!;
        }
    }

    public override void AllocateScratch(long bytes) => Watch("allocating scratch memory", bytes, static (worker, bytes) => worker.AllocateScratch(bytes));

    public override void CommitScratch() => Watch("allocating scratch memory", 0, static (worker, _) => worker.CommitScratch());

    public override long ArenaSize(long bytes) => inner.ArenaSize(bytes);

    public override void Upload<T>(ReadOnlySpan<T> values, long arenaOffset)
    {
        try
        {
            inner.Upload(values, arenaOffset);
        }
        catch (AcceleratorException exception)
        {
            throw device.Translate("copying to the device", exception, account)!;
        }
    }

    public override void Download<T>(long arenaOffset, Span<T> values)
    {
        try
        {
            inner.Download(arenaOffset, values);
        }
        catch (AcceleratorException exception)
        {
            // Launches are not waited for: what went wrong in a kernel is often met here.
            throw device.Translate("waiting for the results", exception, account)!;
        }
    }

    public override void AllocateStaging(long bytes) => Watch("allocating staging memory", bytes, static (worker, bytes) => worker.AllocateStaging(bytes));

    public override void Fetch<T>(long arenaOffset, int count, int slot)
    {
        try
        {
            inner.Fetch<T>(arenaOffset, count, slot);
        }
        catch (AcceleratorException exception)
        {
            throw device.Translate("copying from the device", exception, account)!;
        }
    }

    public override void Collect<T>(int slot, long arenaOffset, Span<T> values)
    {
        try
        {
            inner.Collect(slot, arenaOffset, values);
        }
        catch (AcceleratorException exception)
        {
            throw device.Translate("waiting for the results", exception, account)!;
        }
    }

    public override void Synchronize() => Watch("waiting for the device", 0, static (worker, _) => worker.Synchronize());

    public override void Dispose()
    {
        try
        {
            inner.Dispose();
        }
        catch (AcceleratorException) when (device.Failure is not null)
        {
            // See WatchedDevice.Dispose.
        }
    }

    private void Watch(string what, long bytes, Action<Worker, long> action)
    {
        try
        {
            action(inner, bytes);
        }
        catch (AcceleratorException exception)
        {
            throw device.Translate(what, exception, account)!;
        }
    }

    private sealed class WatchedRecording(WatchedDevice device, MemoryAccount account, Recording inner) : Recording
    {
        public override void Launch()
        {
            try
            {
                inner.Launch();
            }
            catch (AcceleratorException exception)
            {
                throw device.Translate("launching a program", exception, account)!;
            }
        }

        public override void Dispose() => inner.Dispose();
    }

    private sealed class WatchedStep(WatchedDevice device, MemoryAccount account, Operation operation, Step inner) : Step
    {
        public Step Inner => inner;

        public override void Run()
        {
            try
            {
                inner.Run();
            }
            catch (AcceleratorException exception)
            {
                throw device.Translate($"running {operation.GetType().Name}", exception, account)!;
            }
        }
    }
}
