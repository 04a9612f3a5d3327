using System.Diagnostics;
using System.Globalization;

namespace GroupViT.Bench.Measuring;

/// <summary>Resident memory of this process as the system counts it, in bytes.</summary>
internal static class Rss
{
    public static long Now
    {
        get
        {
            using Process process = Process.GetCurrentProcess();
            return process.WorkingSet64;
        }
    }

    /// <summary>After what can be collected was collected.</summary>
    public static long Settled()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return Now;
    }

    /// <summary>A field of Linux's /proc/PID/status in bytes (VmHWM, VmRSS), or null where there is none.</summary>
    public static long? Field(IEnumerable<string> status, string name)
    {
        foreach (string line in status)
        {
            if (line.StartsWith(name + ":", StringComparison.Ordinal))
            {
                string[] words = line[(name.Length + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
                return words is [string number, "kB"] && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long kilobytes) ? kilobytes << 10 : null;
            }
        }
        return null;
    }
}
