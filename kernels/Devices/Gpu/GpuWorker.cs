using System.Runtime.InteropServices;
using GroupViT.Native;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Kernels.Devices;

/// <summary>A stream and an arena on a GPU device.</summary>
internal sealed class GpuWorker : Worker
{
    private readonly MemoryAccount? account;
    private readonly GpuConstants constants;
    private GpuBlock? arena;
    private WeightWindow? window;
    private GpuStaging? staging;
    private bool streaming;
    private WeightNeeds needs;
    private long stepBytes;

    public GpuWorker(GpuDevice device, MemoryAccount? account, GpuConstants constants)
    {
        (Device, this.account, this.constants) = (device, account, constants);
        Stream = account is null ? null : device.Accelerator.CreateStream();
    }

    public GpuDevice Device { get; }

    public AcceleratorStream? Stream { get; }

    public bool Measuring => account is null;

    public override long ScratchBytes => 0;

    public override void AllocateArena(long bytes)
    {
        if (arena is not null)
        {
            throw new InvalidOperationException("the arena is allocated once");
        }
        arena = new GpuBlock(Device, bytes, account!, "arena");
    }

    public override void AllocateWindow(long halfBytes)
    {
        if (window is not null)
        {
            throw new InvalidOperationException("the window is allocated once");
        }
        window = new WeightWindow(Device, Stream!, halfBytes, account!);
    }

    public override void BeginProgram(bool streamed)
    {
        streaming = streamed && !Measuring;
        if (streaming)
        {
            (window ?? throw new InvalidOperationException("there is no window to stream weights through")).BeginProgram();
        }
    }

    public override WeightNeeds StreamedNeeds => needs;

    public override Recording? Record(IReadOnlyList<Step> steps) => Stream is CudaStream stream ? CudaGraph.Record(Device, stream, steps) : null;

    public override Step Prepare(Operation operation, IReadOnlyDictionary<Tensor, long> offsets)
    {
        GpuBinding binding = new(this, offsets);
        stepBytes = 0;
        Step step = streaming ? window!.Prepare(() => operation.PrepareGpu(binding)) : operation.PrepareGpu(binding);
        needs = needs with { LargestStep = Math.Max(needs.LargestStep, stepBytes) };
        return step;
    }

    public override void CommitScratch() => streaming = false;

    /// <summary>Packed values on the device: kept there, or brought there before the operation that is being prepared runs.</summary>
    public ArrayView<float> Constant(string key, long floats, ConstantReader fill, bool perSize = false)
    {
        long bytes = GpuBlock.SizeOf(floats * sizeof(float));
        bool large = perSize || bytes >= WeightWindow.Least;
        if (Measuring)
        {
            stepBytes += large ? bytes : 0;
            if (constants.Measure(key, floats) && !large)
            {
                needs = needs with { Resident = needs.Resident + bytes };
            }
            return default;
        }
        return streaming && large ? window!.Place(constants.OnHost(key, floats, fill)) : constants.Get(key, floats, fill);
    }

    public ArrayView<T> View<T>(Tensor tensor, IReadOnlyDictionary<Tensor, long> offsets)
        where T : unmanaged
        => arena is null ? default : arena.View<T>(offsets[tensor], (tensor.Bytes + Interop.SizeOf<T>() - 1) / Interop.SizeOf<T>());

    /// <summary>Something valid to pass where a kernel will not look.</summary>
    public ArrayView<T> Nothing<T>()
        where T : unmanaged
        => arena is null ? default : arena.View<T>(0, 1);

    public override long ArenaSize(long bytes) => GpuBlock.SizeOf(bytes);

    public override void AllocateStaging(long bytes)
    {
        if (staging is not null)
        {
            throw new InvalidOperationException("staging memory is allocated once");
        }
        // The simulator computes where the host's memory is.
        staging = Device.Kind == DeviceKind.Simulator ? null : new GpuStaging(this, bytes);
    }

    public override unsafe void Upload<T>(ReadOnlySpan<T> values, long arenaOffset)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values);
        if (staging is not null && staging.Upload(bytes, arenaOffset))
        {
            return;
        }
        fixed (byte* source = bytes)
        {
            switch (Stream)
            {
                case null:
                    throw new InvalidOperationException("a worker that measures has no memory");
                case CLStream or CudaStream:
                    CopyIn((nint)source, arenaOffset, bytes.Length);
                    // Pageable memory, pinned by the garbage collector only as long as this takes.
                    Synchronize();
                    break;
                default:
                    arena!.View<byte>(arenaOffset, bytes.Length).CopyFromCPU(Stream, bytes);
                    Synchronize();
                    break;
            }
        }
    }

    public override unsafe void Download<T>(long arenaOffset, Span<T> values)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(values);
        fixed (byte* target = bytes)
        {
            switch (Stream)
            {
                case null:
                    throw new InvalidOperationException("a worker that measures has no memory");
                case CLStream or CudaStream:
                    CopyOut(arenaOffset, (nint)target, bytes.Length);
                    Synchronize();
                    break;
                default:
                    arena!.View<byte>(arenaOffset, bytes.Length).CopyToCPU(Stream, bytes);
                    Synchronize();
                    break;
            }
        }
    }

    public override void Fetch<T>(long arenaOffset, int count, int slot) => staging?.Fetch(arenaOffset, (long)count * Interop.SizeOf<T>(), slot);

    public override void Collect<T>(int slot, long arenaOffset, Span<T> values)
    {
        if (staging is null || !staging.Collect(slot, MemoryMarshal.AsBytes(values)))
        {
            Download(arenaOffset, values);
        }
    }

    public override void Synchronize()
    {
        Stream?.Synchronize();
        staging?.Arrived();
    }

    // Straight to the driver: ILGPU's own copies allocate about a hundred bytes each. Not waited for.
    public void CopyIn(nint source, long arenaOffset, long bytes)
    {
        if (Stream is CLStream queue)
        {
            CLException.ThrowIfFailed(CLAPI.CurrentAPI.WriteBuffer(queue, arena!.NativePointer, false, (nint)arenaOffset, (nint)bytes, source));
            return;
        }
        using ScopedAcceleratorBinding binding = Device.Accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(arena!.NativePointer + (nint)arenaOffset, source, (nint)bytes, Stream!));
    }

    public void CopyOut(long arenaOffset, nint target, long bytes)
    {
        if (Stream is CLStream queue)
        {
            CLException.ThrowIfFailed(CLAPI.CurrentAPI.ReadBuffer(queue, arena!.NativePointer, false, (nint)arenaOffset, (nint)bytes, target));
            return;
        }
        using ScopedAcceleratorBinding binding = Device.Accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(target, arena!.NativePointer + (nint)arenaOffset, (nint)bytes, Stream!));
    }

    public override void Dispose()
    {
        try
        {
            if (window is not null || staging is not null)
            {
                // Copies of a run that was given up read host memory that goes with the session.
                Stream!.Synchronize();
            }
        }
        finally
        {
            window?.Dispose();
            staging?.Dispose();
            Stream?.Dispose();
            arena?.Dispose();
        }
    }
}

/// <summary>Device memory, counted by an account. Sizes are rounded up to 256 bytes, where views must start.</summary>
internal sealed class GpuBlock : IDisposable
{
    public const int Alignment = 256;

    private readonly MemoryAccount account;
    private MemoryBuffer1D<byte, Stride1D.Dense>? buffer;

    public GpuBlock(GpuDevice device, long bytes, MemoryAccount account, string purpose)
    {
        Bytes = SizeOf(bytes);
        this.account = account;
        account.Charge(Bytes, purpose);
        try
        {
            buffer = device.Accelerator.Allocate1D<byte>(Bytes);
        }
        catch (Exception exception)
        {
            account.Release(Bytes);
            if (!WatchedDevice.IsOutOfMemory(exception))
            {
                throw;
            }
            throw new OutOfDeviceMemoryException($"{purpose} on {device.Name}", Bytes, account.InUse, device.MemoryBytes, exception);
        }
    }

    public long Bytes { get; }

    /// <summary>The driver's handle (OpenCL) or address (CUDA).</summary>
    public nint NativePointer => buffer!.NativePtr;

    public static long SizeOf(long bytes) => (Math.Max(bytes, 1) + Alignment - 1) / Alignment * Alignment;

    public ArrayView<T> View<T>(long offset, long count)
        where T : unmanaged
        => ((ArrayView<byte>)buffer!.View).SubView(offset, count * Interop.SizeOf<T>()).Cast<T>();

    public void Dispose()
    {
        if (buffer is not null)
        {
            buffer.Dispose();
            buffer = null;
            account.Release(Bytes);
        }
    }
}

/// <summary>Packed constants in device memory.</summary>
internal sealed class GpuConstants(GpuDevice device, MemoryAccount account) : ConstantPool
{
    private readonly Dictionary<string, GpuBlock> blocks = [];
    private readonly HashSet<string> measured = [];
    private readonly Dictionary<string, HostBlock> host = [];
    private readonly Lock gate = new();
    private long bytes;

    public override long Bytes => Interlocked.Read(ref bytes);

    public ArrayView<float> Get(string key, long floats, ConstantReader fill)
    {
        lock (gate)
        {
            if (!blocks.TryGetValue(key, out GpuBlock? block))
            {
                float[] values = new float[floats];
                fill(values);
                block = new GpuBlock(device, floats * sizeof(float), account, $"constant {key}");
                // The workers' streams do not wait for the default one: the copy is finished here.
                block.View<float>(0, floats).CopyFromCPU(device.Accelerator.DefaultStream, values);
                device.Accelerator.DefaultStream.Synchronize();
                blocks.Add(key, block);
                bytes += block.Bytes;
            }
            return block.View<float>(0, floats);
        }
    }

    /// <summary>Counts a constant; true the first time.</summary>
    public bool Measure(string key, long floats)
    {
        lock (gate)
        {
            if (blocks.ContainsKey(key) || !measured.Add(key))
            {
                return false;
            }
            bytes += GpuBlock.SizeOf(floats * sizeof(float));
            return true;
        }
    }

    /// <summary>Packed values in host memory, from where workers bring them to the device; packed once.</summary>
    public HostBlock OnHost(string key, long floats, ConstantReader fill)
    {
        lock (gate)
        {
            if (!host.TryGetValue(key, out HostBlock? block))
            {
                block = new HostBlock(device, floats);
                try
                {
                    fill(block.Values);
                }
                catch
                {
                    block.Dispose();
                    throw;
                }
                host.Add(key, block);
            }
            return block;
        }
    }

    public override void Release(string key)
    {
        lock (gate)
        {
            if (blocks.Remove(key, out GpuBlock? block))
            {
                bytes -= block.Bytes;
                block.Dispose();
            }
            if (host.Remove(key, out HostBlock? copy))
            {
                copy.Dispose();
            }
        }
    }

    public override void Dispose()
    {
        lock (gate)
        {
            foreach (GpuBlock block in blocks.Values)
            {
                block.Dispose();
            }
            blocks.Clear();
            foreach (HostBlock block in host.Values)
            {
                block.Dispose();
            }
            host.Clear();
        }
    }
}
