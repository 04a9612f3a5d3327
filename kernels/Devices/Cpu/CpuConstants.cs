using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace GroupViT.Kernels.Devices;

/// <summary>Packed constants in native memory.</summary>
/// <remarks>
/// A constant's memory is there when an operation is bound to it, its values when the program is complete: then all that are missing
/// are read and packed at once, one to a thread.
/// </remarks>
internal sealed unsafe class CpuConstants(MemoryAccount account) : ConstantPool
{
    private readonly Dictionary<string, Entry> entries = [];
    private readonly Dictionary<string, long> measured = [];
    private readonly Lock gate = new();
    private long bytes;

    /// <summary>Writes the values; the buffer is for whoever needs them in another order first.</summary>
    public delegate void Filler(float* destination, FillBuffer buffer);

    public override long Bytes => Interlocked.Read(ref bytes);

    /// <summary>The memory of that key. Where its values are not yet there it joins <paramref name="missing"/>.</summary>
    public float* Get(string key, long floats, Filler fill, List<Entry> missing)
    {
        lock (gate)
        {
            if (!entries.TryGetValue(key, out Entry? entry))
            {
                entry = new Entry(key, new NativeBlock(floats * sizeof(float), account, $"constant {key}"), fill);
                entries.Add(key, entry);
                bytes += entry.Block.Bytes;
            }
            if (!entry.IsFilled)
            {
                missing.Add(entry);
            }
            return (float*)entry.Block.Pointer;
        }
    }

    /// <summary>Counts what <see cref="Get"/> would allocate.</summary>
    public void Measure(string key, long floats)
    {
        lock (gate)
        {
            if (!entries.ContainsKey(key) && measured.TryAdd(key, floats))
            {
                bytes += NativeBlock.SizeOf(floats * sizeof(float));
            }
        }
    }

    public override void Release(string key)
    {
        lock (gate)
        {
            if (entries.Remove(key, out Entry? entry))
            {
                bytes -= entry.Block.Bytes;
                entry.Discard();
            }
        }
    }

    /// <summary>Forgets the entries that could not be filled, so that the next program tries again, and throws what the first of them met.</summary>
    public void ThrowFailures(IEnumerable<Entry> filled)
    {
        Exception? first = null;
        lock (gate)
        {
            foreach (Entry entry in filled)
            {
                if (entry.Failure is { } failure)
                {
                    first ??= failure;
                    if (entries.TryGetValue(entry.Key, out Entry? current) && current == entry)
                    {
                        entries.Remove(entry.Key);
                        bytes -= entry.Block.Bytes;
                    }
                    entry.Block.Dispose();
                }
            }
        }
        if (first is not null)
        {
            ExceptionDispatchInfo.Throw(first);
        }
    }

    public override void Dispose()
    {
        lock (gate)
        {
            foreach (Entry entry in entries.Values)
            {
                entry.Block.Dispose();
            }
            entries.Clear();
        }
    }

    /// <summary>A constant, filled or yet to be. Several programs may wait for the same one; the first to come fills it.</summary>
    public sealed class Entry(string key, NativeBlock block, Filler fill)
    {
        private readonly Lock gate = new();
        private Filler? fill = fill;
        private volatile bool filled;

        public string Key => key;

        public NativeBlock Block => block;

        public bool IsFilled => filled;

        /// <summary>Why it could not be filled.</summary>
        public Exception? Failure { get; private set; }

        public void Fill(FillBuffer buffer)
        {
            lock (gate)
            {
                if (fill is null)
                {
                    return;
                }
                try
                {
                    fill((float*)block.Pointer, buffer);
                    filled = true;
                }
                catch (Exception failure)
                {
                    // Kept for every program that waits for it, and thrown there.
                    Failure = failure;
                }
                fill = null;
            }
        }

        public void Discard()
        {
            lock (gate)
            {
                fill = null;
                block.Dispose();
            }
        }
    }
}

/// <summary>A thread's memory for values on their way into a packing: it grows to the largest matrix and is not cleared in between.</summary>
internal sealed unsafe class FillBuffer : IDisposable
{
    private float* memory;
    private long capacity;

    public float* Floats(long count)
    {
        if (count > capacity)
        {
            NativeMemory.Free(memory);
            memory = null;
            capacity = 0;
            memory = (float*)NativeMemory.Alloc((nuint)count, sizeof(float));
            capacity = count;
        }
        return memory;
    }

    public void Dispose()
    {
        NativeMemory.Free(memory);
        memory = null;
        capacity = 0;
    }
}
