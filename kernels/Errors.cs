// These are part of the library's public face; they stand here because devices throw them.
namespace GroupViT.Native;

/// <summary>What every error of this library that is not a plain argument error derives from.</summary>
public class GroupVitException : Exception
{
    /// <summary>An error with its sentence: what was wrong, where, and what would be right.</summary>
    public GroupVitException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>Device memory that was asked for is more than the limit or the device allows.</summary>
public sealed class OutOfDeviceMemoryException : GroupVitException
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

/// <summary>A kernel that the device's compiler refused: a fault of this library or of the driver, never of the caller's data.</summary>
public sealed class KernelCompilationException : GroupVitException
{
    /// <summary>Names the kernel and the device.</summary>
    public KernelCompilationException(string kernel, string device, Exception inner)
        : base($"the kernel {kernel} could not be compiled for {device}: {inner?.Message}", inner)
        => (Kernel, Device) = (kernel, device);

    /// <summary>Operation and variant.</summary>
    public string Kernel { get; }

    /// <summary>The device's name.</summary>
    public string Device { get; }
}

/// <summary>A weight that the chosen precision cannot hold.</summary>
public sealed class PrecisionException : GroupVitException
{
    /// <summary>Names tensor, element, value and what would do.</summary>
    public PrecisionException(string message)
        : base(message)
    {
    }
}

/// <summary>A device that failed while it was used: its session is of no more use, a new one may be.</summary>
public sealed class DeviceLostException : GroupVitException
{
    /// <summary>Names the device, what was being done, and the driver's words.</summary>
    public DeviceLostException(string device, string what, string words, Exception? inner = null)
        : base($"device '{device}' failed while {what} ({words}); this session cannot be used any more, open a new one", inner)
        => (Device, Doing, DriverMessage) = (device, what, words);

    /// <summary>The device's name.</summary>
    public string Device { get; }

    /// <summary>What was being done.</summary>
    public string Doing { get; }

    /// <summary>The driver's code and words.</summary>
    public string DriverMessage { get; }
}

/// <summary>What a session tells when its device is lost.</summary>
public sealed class DeviceLostEventArgs(DeviceLostException error) : EventArgs
{
    /// <summary>What calls throw from now on.</summary>
    public DeviceLostException Error => error;
}

/// <summary>A device that was asked for and cannot be used, or that failed; the message lists what was found.</summary>
public sealed class DeviceUnavailableException : GroupVitException
{
    /// <summary>Names the device and says what there is instead.</summary>
    public DeviceUnavailableException(string device, string problem, Exception? inner = null)
        : base($"device '{device}': {problem}", inner) => Device = device;

    /// <summary>The device as it was asked for.</summary>
    public string Device { get; }
}
