using System.Diagnostics;

namespace GroupViT.Tool;

/// <summary>What the process as a whole has used.</summary>
internal static class ProcessMemory
{
    /// <summary>The largest resident size so far, in bytes.</summary>
    public static long Peak
    {
        get
        {
            using Process process = Process.GetCurrentProcess();
            // Where the system keeps no peak, what is in use now is the best that can be said.
            return Math.Max(process.PeakWorkingSet64, process.WorkingSet64);
        }
    }
}
