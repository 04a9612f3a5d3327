namespace GroupViT.Kernels.Devices;

/// <summary>
/// Host memory that copies pass through while their caller goes on: page-locked for CUDA, so that they run beside the kernels of other
/// workers' streams at the bus's full rate. Filled from its beginning; when the stream has been waited for, all of it is free again.
/// </summary>
internal sealed unsafe class GpuStaging(GpuWorker worker, long bytes) : IDisposable
{
    private const int Alignment = 256;
    private const long None = -1;

    private readonly HostBlock block = new(worker.Device, (Math.Max(bytes, Alignment) + Alignment - 1) / Alignment * (Alignment / sizeof(float)));
    private readonly long[] fetched = [None, None, None, None];
    private long used;
    private bool hasArrived;

    /// <summary>Starts copies of all values, in parts where they are more than it holds; false, with none started, where results wait in it.</summary>
    public bool Upload(ReadOnlySpan<byte> values, long arenaOffset)
    {
        while (values.Length > 0)
        {
            if (used == block.Bytes)
            {
                if (HoldsResults())
                {
                    return false;
                }
                worker.Synchronize();
            }
            int length = (int)Math.Min(values.Length, block.Bytes - used);
            values[..length].CopyTo(new Span<byte>((byte*)block.Address + used, length));
            worker.CopyIn(block.Address + (nint)used, arenaOffset, length);
            Take(length);
            values = values[length..];
            arenaOffset += length;
        }
        return true;
    }

    /// <summary>Starts a copy, if there is room.</summary>
    public void Fetch(long arenaOffset, long length, int slot)
    {
        fetched[slot] = None;
        if (used + length > block.Bytes)
        {
            return;
        }
        worker.CopyOut(arenaOffset, block.Address + (nint)used, length);
        fetched[slot] = used;
        hasArrived = false;
        Take(length);
    }

    /// <summary>What was fetched; false where there was no room for it.</summary>
    public bool Collect(int slot, Span<byte> values)
    {
        if (fetched[slot] == None)
        {
            return false;
        }
        if (!hasArrived)
        {
            worker.Synchronize();
        }
        new ReadOnlySpan<byte>((byte*)block.Address + fetched[slot], values.Length).CopyTo(values);
        fetched[slot] = None;
        if (!HoldsResults())
        {
            used = 0;
        }
        return true;
    }

    /// <summary>The stream is idle: every copy has been made.</summary>
    public void Arrived()
    {
        hasArrived = true;
        if (!HoldsResults())
        {
            used = 0;
        }
    }

    public void Dispose() => block.Dispose();

    private void Take(long length) => used = Math.Min(block.Bytes, (used + length + Alignment - 1) / Alignment * Alignment);

    private bool HoldsResults()
    {
        foreach (long at in fetched)
        {
            if (at != None)
            {
                return true;
            }
        }
        return false;
    }
}
