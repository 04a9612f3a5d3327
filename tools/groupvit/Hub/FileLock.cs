namespace GroupViT.Tool.Hub;

/// <summary>
/// A lock between processes: a file that is open for one alone. On Unix .NET takes flock for it, which is what Python's filelock takes, so
/// that the two exclude each other; on Windows both fail to open the file.
/// </summary>
internal static class FileLock
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    /// <summary>Waits until the lock is free, and takes it. Disposing gives it back; the file stays, for deleting it could give two processes a lock each.</summary>
    /// <param name="path">The lock file; its folder is made.</param>
    /// <param name="waiting">Told once, if it is not free at once.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public static async Task<IDisposable> TakeAsync(string path, Action waiting, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        for (bool first = true; ; first = false)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
            }
            catch (IOException exception) when (IsTaken(exception))
            {
                if (first)
                {
                    waiting();
                }
            }
            await Task.Delay(Poll, cancellation);
        }
    }

    private static bool IsTaken(IOException exception)
    {
        const int sharingViolation = unchecked((int)0x80070020), lockViolation = unchecked((int)0x80070021);
        const int againOnLinux = 11, againOnMac = 35;
        return exception.HResult is sharingViolation or lockViolation || exception.HResult == (OperatingSystem.IsMacOS() ? againOnMac : againOnLinux);
    }
}
