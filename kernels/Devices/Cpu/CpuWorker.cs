using System.Runtime.InteropServices;

namespace GroupViT.Kernels.Devices;

/// <summary>A team of threads, an arena, and a piece of scratch memory per thread.</summary>
internal sealed unsafe class CpuWorker : Worker
{
    private readonly MemoryAccount? account;
    private readonly CpuConstants constants;
    private readonly CpuTeam? team;
    private readonly int threads;
    private readonly List<CpuConstants.Entry> missing = [];
    private NativeBlock? arena;
    private NativeBlock? scratch;
    private long scratchPerThread;
    private long scratchStride;

    public CpuWorker(MemoryAccount? account, CpuConstants constants, int threads)
    {
        (this.account, this.constants, this.threads) = (account, constants, threads);
        team = account is null ? null : new CpuTeam(threads);
    }

    public override long ScratchBytes => scratchPerThread == 0 ? 0 : NativeBlock.SizeOf(scratchPerThread * threads);

    public byte* Arena => arena is null ? null : arena.Pointer;

    public override void AllocateArena(long bytes)
    {
        if (arena is not null)
        {
            throw new InvalidOperationException("the arena is allocated once");
        }
        arena = new NativeBlock(bytes, account!, "arena");
    }

    public override Step Prepare(Operation operation, IReadOnlyDictionary<Tensor, long> offsets)
        => CpuDevice.Prepare(operation, new CpuBinding(this, team, constants, offsets, threads));

    // The inverse of ScratchBytes.
    public override void AllocateScratch(long bytes)
    {
        ReserveScratch(bytes == 0 ? 0 : (bytes - NativeBlock.SizeOf(0)) / threads);
        CommitScratch();
    }

    public override void CommitScratch()
    {
        FillConstants();
        if (scratchPerThread > scratchStride)
        {
            // Asked for before the old one goes, but only for what it lacks: where that is refused, earlier programs keep theirs.
            long more = ScratchBytes - (scratch?.Bytes ?? 0);
            try
            {
                account!.Charge(more, "scratch");
            }
            catch
            {
                scratchPerThread = scratchStride;
                throw;
            }
            account.Release(more);
            scratch?.Dispose();
            scratch = new NativeBlock(scratchPerThread * threads, account, "scratch");
            scratchStride = scratchPerThread;
        }
    }

    /// <summary>A constant's memory; its values are there after the next <see cref="CommitScratch"/>.</summary>
    public float* Constant(string key, long floats, CpuConstants.Filler fill) => constants.Get(key, floats, fill, missing);

    public void ReserveScratch(long bytes)
        => scratchPerThread = Math.Max(scratchPerThread, (bytes + NativeBlock.Alignment - 1) / NativeBlock.Alignment * NativeBlock.Alignment);

    /// <summary>This thread's scratch memory, of at least the bytes that any prepared step reserved.</summary>
    public byte* Scratch(int thread) => scratch!.Pointer + thread * scratchStride;

    public override long ArenaSize(long bytes) => NativeBlock.SizeOf(bytes);

    public override void Upload<T>(ReadOnlySpan<T> values, long arenaOffset)
        => MemoryMarshal.AsBytes(values).CopyTo(new Span<byte>(Arena + arenaOffset, checked(values.Length * sizeof(T))));

    public override void Download<T>(long arenaOffset, Span<T> values)
        => new Span<byte>(Arena + arenaOffset, checked(values.Length * sizeof(T))).CopyTo(MemoryMarshal.AsBytes(values));

    public override void Synchronize()
    {
    }

    private void FillConstants()
    {
        if (missing.Count == 0)
        {
            return;
        }
        CpuConstants.Entry[] entries = [.. missing];
        missing.Clear();
        using FillStep step = new(new CpuBinding(this, team, constants, new Dictionary<Tensor, long>(), threads), entries);
        step.Run();
        constants.ThrowFailures(entries);
    }

    public override void Dispose()
    {
        team?.Dispose();
        arena?.Dispose();
        scratch?.Dispose();
    }
}

/// <summary>Reads and packs constants, one a tile.</summary>
internal sealed class FillStep(CpuBinding binding, CpuConstants.Entry[] entries) : CpuStep(binding, entries.Length), IDisposable
{
    private readonly FillBuffer[] buffers = [.. Enumerable.Range(0, binding.Threads).Select(_ => new FillBuffer())];

    public override void Tile(int tile, int thread) => entries[tile].Fill(buffers[thread]);

    public void Dispose() => Array.ForEach(buffers, buffer => buffer.Dispose());
}

/// <summary>Turns a graph's names into addresses while an operation is prepared.</summary>
/// <remarks>Without an arena (measuring) the addresses are meaningless and are not followed; needs are counted all the same.</remarks>
internal sealed unsafe class CpuBinding(
    CpuWorker worker, CpuTeam? team, CpuConstants constants, IReadOnlyDictionary<Tensor, long> offsets, int threads)
{
    public CpuTeam Team => team!;

    public CpuWorker Worker => worker;

    public int Threads => threads;

    private bool Measuring => team is null;

    /// <summary>The address of a view's first element.</summary>
    public float* Float(TensorView view)
    {
        if (view.Tensor.Type != ElementType.Float32)
        {
            throw new ArgumentException($"{view} holds {view.Tensor.Type}, not floats");
        }
        return view.Tensor.IsConstant ? Pack(view.Tensor.Name, view.Tensor.Count, Raw(view.Tensor)) + view.Offset : (float*)Address(view);
    }

    /// <summary>The address of a view's first element, or null for no view.</summary>
    public float* FloatOrNull(TensorView? view) => view is { } some ? Float(some) : null;

    public float* FloatOrNull(Tensor? tensor) => tensor is null ? null : Float(tensor);

    public int* Int(TensorView view)
    {
        if (view.Tensor.Type != ElementType.Int32)
        {
            throw new ArgumentException($"{view} holds {view.Tensor.Type}, not integers");
        }
        return (int*)Address(view);
    }

    public ushort* Labels(Tensor tensor)
        => tensor.Type == ElementType.UInt16 ? (ushort*)Address(tensor) : throw new ArgumentException($"{tensor} holds {tensor.Type}, not labels");

    public int* IntOrNull(TensorView? view) => view is { } some ? Int(some) : null;

    /// <summary>A constant in a packing of the operation's own; the key names both.</summary>
    public float* Pack(string key, long floats, CpuConstants.Filler fill)
    {
        if (Measuring)
        {
            constants.Measure(key, floats);
            return null;
        }
        return worker.Constant(key, floats, fill);
    }

    public void ReserveScratch(long bytesPerThread) => worker.ReserveScratch(bytesPerThread);

    private static CpuConstants.Filler Raw(Tensor tensor) => (destination, _) => tensor.Reader!(new Span<float>(destination, tensor.Count));

    private byte* Address(TensorView view)
        => worker.Arena is null ? null : worker.Arena + offsets[view.Tensor] + view.Offset * 4L;
}
