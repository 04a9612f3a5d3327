using GroupViT.Native;

namespace GroupViT.Kernels.Devices;

/// <summary>The one place where a session's device memory is counted. Thread-safe.</summary>
internal sealed class MemoryAccount(long limit = long.MaxValue)
{
    private readonly Lock gate = new();
    private long inUse;
    private long peak;

    public long Limit { get; } = limit;

    public long InUse
    {
        get
        {
            lock (gate)
            {
                return inUse;
            }
        }
    }

    public long Peak
    {
        get
        {
            lock (gate)
            {
                return peak;
            }
        }
    }

    /// <summary>Counts an allocation before it is made.</summary>
    /// <exception cref="OutOfDeviceMemoryException">The limit would be passed; nothing was counted.</exception>
    public void Charge(long bytes, string purpose)
    {
        lock (gate)
        {
            if (bytes > Limit - inUse)
            {
                throw new OutOfDeviceMemoryException(purpose, bytes, inUse, Limit);
            }
            inUse += bytes;
            peak = Math.Max(peak, inUse);
        }
    }

    public void Release(long bytes)
    {
        lock (gate)
        {
            inUse -= bytes;
        }
    }
}
