namespace GroupViT.Kernels.Devices;

/// <summary>Device memory that was asked for is more than the limit or the device allows.</summary>
public sealed class OutOfDeviceMemoryException : Exception
{
    /// <summary>Says what was asked for, what was in use, and what the limit is; all in bytes.</summary>
    public OutOfDeviceMemoryException(string purpose, long asked, long inUse, long limit, Exception? inner = null)
        : base($"{purpose}: {asked:N0} bytes were asked for with {inUse:N0} in use, but the limit is {limit:N0}; {inUse + asked:N0} would do", inner)
        => (Asked, InUse, Limit) = (asked, inUse, limit);

    /// <summary>Bytes asked for.</summary>
    public long Asked { get; }

    /// <summary>Bytes in use at that moment.</summary>
    public long InUse { get; }

    /// <summary>The limit in bytes.</summary>
    public long Limit { get; }
}

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
