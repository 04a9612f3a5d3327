namespace GroupViT.Kernels.Devices;

internal enum DeviceKind
{
    /// <summary>Our SIMD implementations.</summary>
    Cpu,

    /// <summary>ILGPU's CPU accelerator: runs the GPU kernels exactly and slowly.</summary>
    Simulator,

    OpenCL,

    Cuda,
}

/// <summary>Where programs run. Thread-safe; workers are not.</summary>
internal abstract class Device : IDisposable
{
    /// <summary>As users name it: cpu, simulator, opencl:N, cuda:N.</summary>
    public abstract string Name { get; }

    public abstract DeviceKind Kind { get; }

    /// <summary>The hardware's name and the facts that kernels are chosen by.</summary>
    public abstract string Description { get; }

    /// <summary>What GPU kernels are chosen by; null of the cpu device, whose numbers are float32 everywhere.</summary>
    public virtual DeviceFacts? Facts => null;

    /// <summary>Memory of the device in bytes, or 0 where it is unknown.</summary>
    public abstract long MemoryBytes { get; }

    /// <summary>For each format of weights that it has products for: which kernel the layers' products get, and why.</summary>
    public abstract IEnumerable<(WeightFormat Format, string Kernel, string Reason)> Products { get; }

    /// <summary>True where there are products for weights in that format.</summary>
    public bool Supports(WeightFormat format) => Products.Any(product => product.Format == format);

    /// <summary>Constants packed for this device, shared by the workers of one session.</summary>
    public abstract ConstantPool CreateConstants(MemoryAccount account);

    /// <summary>
    /// An arena and an order of execution. With <paramref name="account"/> null it only measures: it can bind operations and count
    /// their needs, and owns no memory.
    /// </summary>
    public abstract Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads);

    /// <summary>Whether its workers can bring weights to the device while a program runs, instead of keeping them there.</summary>
    public virtual bool StreamsWeights => false;

    /// <summary>Kernels that were brought to the device so far: taken from disk, and compiled. Both 0 where there is nothing to compile.</summary>
    public virtual (int FromDisk, int Compiled) KernelCounts => default;

    /// <summary>Begins to compile what a model with that activation will need, in the background, where compiling takes the host's time.</summary>
    public virtual void CompileAhead(Activation activation)
    {
    }

    public abstract void Dispose();
}

/// <summary>One prepared operation. Running it allocates nothing.</summary>
internal abstract class Step
{
    public abstract void Run();
}

/// <summary>Steps that were recorded once, to be launched as one.</summary>
internal abstract class Recording : IDisposable
{
    /// <summary>Starts all of them, in their order. Allocates nothing.</summary>
    public abstract void Launch();

    public abstract void Dispose();
}

/// <summary>
/// One arena and one order of execution on a device: a team of threads, or a stream. Used by one caller at a time.
/// </summary>
internal abstract class Worker : IDisposable
{
    /// <summary>Sets the arena's size; once, before anything is bound for real.</summary>
    public abstract void AllocateArena(long bytes);

    /// <summary>
    /// Sets aside device memory for weights that are streamed: two halves, of which one is computed from while the other is filled. Once,
    /// where <see cref="Device.StreamsWeights"/> says that it can.
    /// </summary>
    public virtual void AllocateWindow(long halfBytes) => throw new NotSupportedException("weights are not streamed on this device");

    /// <summary>What is prepared from now on is one program, until <see cref="CommitScratch"/>.</summary>
    /// <param name="streamed">Whether its weights are brought to the device in each run.</param>
    public virtual void BeginProgram(bool streamed)
    {
    }

    /// <summary>Of a worker that measures: what would stay on the device if weights were streamed, and the most that one operation takes of a window's half.</summary>
    public virtual WeightNeeds StreamedNeeds => default;

    /// <summary>Prepares an operation whose tensors lie at the given byte offsets of the arena (constants have none).</summary>
    public abstract Step Prepare(Operation operation, IReadOnlyDictionary<Tensor, long> offsets);

    /// <summary>
    /// Records prepared steps, which have run before, without running them; null where the device has no such thing or refuses these steps.
    /// </summary>
    public virtual Recording? Record(IReadOnlyList<Step> steps) => null;

    /// <summary>Allocates scratch memory ahead, as many bytes as <see cref="ScratchBytes"/> of a worker that measured; where there is none, nothing.</summary>
    public virtual void AllocateScratch(long bytes)
    {
    }

    /// <summary>Allocates what the prepared operations need beside the arena. After the last Prepare of a program, before its first run.</summary>
    public abstract void CommitScratch();

    /// <summary>Bytes beside the arena that the operations prepared so far need at once.</summary>
    public abstract long ScratchBytes { get; }

    /// <summary>The bytes that <see cref="AllocateArena"/> asks for, after rounding.</summary>
    public abstract long ArenaSize(long bytes);

    /// <summary>
    /// Sets aside host memory through which copies pass that the caller does not wait for; once. More than it holds is copied as before, with a
    /// wait. Where copies need no such thing, nothing.
    /// </summary>
    public virtual void AllocateStaging(long bytes)
    {
    }

    /// <summary>Copies before what is started later; the values may change as soon as it returns.</summary>
    public abstract void Upload<T>(ReadOnlySpan<T> values, long arenaOffset)
        where T : unmanaged;

    /// <summary>Waits for everything before it, then copies.</summary>
    public abstract void Download<T>(long arenaOffset, Span<T> values)
        where T : unmanaged;

    /// <summary>Starts a copy to the host of values that <see cref="Collect"/> brings to the caller: several of them are waited for once.</summary>
    /// <param name="arenaOffset">From where.</param>
    /// <param name="count">How many.</param>
    /// <param name="slot">0 to 3; collected before it is used again.</param>
    public virtual void Fetch<T>(long arenaOffset, int count, int slot)
        where T : unmanaged
    {
    }

    /// <summary>The values that were fetched; waits for the run and the copies.</summary>
    public virtual void Collect<T>(int slot, long arenaOffset, Span<T> values)
        where T : unmanaged => Download(arenaOffset, values);

    /// <summary>Waits until everything started on this worker is done.</summary>
    public abstract void Synchronize();

    public abstract void Dispose();
}

/// <summary>What streaming weights takes.</summary>
/// <param name="Resident">Bytes of constants too small to be streamed.</param>
/// <param name="LargestStep">Bytes of streamed constants that one operation reads, at most.</param>
internal readonly record struct WeightNeeds(long Resident, long LargestStep);

/// <summary>Packed constants by key: a constant is packed once per packing, whichever program asks first.</summary>
internal abstract class ConstantPool : IDisposable
{
    /// <summary>Bytes held (or, measuring, that would be held).</summary>
    public abstract long Bytes { get; }

    /// <summary>Frees a constant that no prepared operation uses any more, if it is there.</summary>
    public abstract void Release(string key);

    public abstract void Dispose();
}
