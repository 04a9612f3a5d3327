namespace GroupViT.Native;

/// <summary>Writes files so that a reader sees the old file or the whole new one, and a failure leaves nothing behind.</summary>
internal static class AtomicFile
{
    /// <summary>
    /// Hands <paramref name="write"/> a stream on a temporary file beside <paramref name="path"/>, then renames it over the path.
    /// The file is not forced to the disk: this protects against errors and cancellation, not against a power cut.
    /// </summary>
    /// <exception cref="IOException">The folder or the file cannot be written; the message names the path. What <paramref name="write"/> throws itself passes unchanged.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);
        if (Directory.Exists(path))
        {
            throw new IOException($"{path}: cannot be written: it is a folder");
        }
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        // A short name of its own: the target's name plus a suffix could pass the file system's limit of 255 bytes.
        string temporary = Path.Combine(folder, $".{Guid.NewGuid():N}.tmp");
        FileStream stream = Attempt(path, () => new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16));
        try
        {
            try
            {
                write(stream);
            }
            catch
            {
                // The caller's error is the one to report, not that of flushing what it left.
                DisposeQuietly(stream);
                throw;
            }
            Attempt(path, () =>
            {
                stream.Dispose();
                File.Move(temporary, path, overwrite: true);
                return true;
            });
        }
        catch
        {
            DeleteQuietly(temporary);
            throw;
        }
    }

    private static T Attempt<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            string reason = error is DirectoryNotFoundException ? "its folder does not exist" : error.Message;
            throw new IOException($"{path}: cannot be written: {reason}", error);
        }
    }

    private static void DisposeQuietly(FileStream stream)
    {
        try
        {
            stream.Dispose();
        }
        catch (IOException)
        {
            // The disk may be full; the error that led here is already on its way.
        }
    }

    private static void DeleteQuietly(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The folder became unwritable meanwhile; the error that led here is already on its way.
        }
    }
}
