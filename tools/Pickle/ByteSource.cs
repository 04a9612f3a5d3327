using Microsoft.Win32.SafeHandles;

namespace GroupViT.Pickle;

/// <summary>
/// Bytes at offsets, from several threads at once. Never a memory map: a file that another process cuts must end in an error here, not
/// in a signal that kills the host.
/// </summary>
internal abstract class ByteSource(string name) : IDisposable
{
    /// <summary>The file as the user named it.</summary>
    public string Name { get; } = name;

    /// <summary>Length in bytes when it was opened.</summary>
    public abstract long Length { get; }

    public static ByteSource OpenFile(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.RandomAccess);
            var source = new FileSource(handle, path);
            handle = null;
            return source;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new PickleFileException(path, "there is no such file", inner: e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new PickleFileException(path, Directory.Exists(path) ? "is a folder; a file was expected" : "may not be read (no permission)", inner: e);
        }
        catch (Exception e) when (e is IOException or NotSupportedException)
        {
            throw new PickleFileException(path, $"cannot be opened: {e.Message}", inner: e);
        }
        finally
        {
            // Left over only where the length could not be asked (a pipe, a terminal).
            handle?.Dispose();
        }
    }

    public static ByteSource FromStream(Stream stream, string name, bool leaveOpen)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanSeek || !stream.CanRead)
        {
            throw new ArgumentException("a PyTorch file is read from a stream that can read and seek; copy this one into a file or a MemoryStream first", nameof(stream));
        }
        return new StreamSource(stream, name, leaveOpen);
    }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/> on, or says where the file ended too early.</summary>
    public void Read(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int count;
            try
            {
                count = ReadSome(offset, destination);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new PickleFileException(Name, $"cannot be read: {e.Message}", offset: offset, inner: e);
            }
            if (count <= 0)
            {
                throw new PickleFileException(Name, $"ends here, though it had {Length} bytes when it was opened: the file was cut while it was being read", offset: offset);
            }
            destination = destination[count..];
            offset += count;
        }
    }

    public abstract void Dispose();

    protected abstract int ReadSome(long offset, Span<byte> destination);

    private sealed class FileSource(SafeFileHandle handle, string name) : ByteSource(name)
    {
        public override long Length { get; } = RandomAccess.GetLength(handle);

        public override void Dispose() => handle.Dispose();

        protected override int ReadSome(long offset, Span<byte> destination) => RandomAccess.Read(handle, destination, offset);
    }

    private sealed class StreamSource(Stream stream, string name, bool leaveOpen) : ByteSource(name)
    {
        // A stream has one position for all readers: seek and read must be one step.
        private readonly Lock _gate = new();

        public override long Length { get; } = stream.Length;

        public override void Dispose()
        {
            if (!leaveOpen)
            {
                stream.Dispose();
            }
        }

        protected override int ReadSome(long offset, Span<byte> destination)
        {
            lock (_gate)
            {
                stream.Position = offset;
                return stream.Read(destination);
            }
        }
    }
}
