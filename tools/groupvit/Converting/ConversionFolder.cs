namespace GroupViT.Tool.Converting;

/// <summary>The folder that a conversion fills. Whoever made it deletes it if the conversion fails.</summary>
/// <param name="path">An empty folder.</param>
/// <param name="name">What messages call it: where its files will be in the end.</param>
/// <param name="open">Makes a file and opens it for writing; a test's may be full.</param>
internal sealed class ConversionFolder(string path, string name, Func<string, Stream>? open = null)
{
    private readonly List<string> files = [];

    /// <summary>What is in it by now.</summary>
    public IReadOnlyList<string> Files => files;

    public void Write(string file, byte[] bytes) => Write(file, stream => stream.Write(bytes));

    /// <summary>Writes a file.</summary>
    /// <returns>Its length.</returns>
    /// <exception cref="IOException">It cannot be written (the disk is full, say); names the file by its final place.</exception>
    public long Write(string file, Action<Stream> write)
    {
        string final = Path.Combine(name, file);
        using Guarded stream = new(final, () => (open ?? Create)(Path.Combine(path, file)));
        write(stream);
        stream.Flush();
        files.Add(file);
        return stream.Length;
    }

    private static FileStream Create(string path) => new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);

    /// <summary>Errors of writing as such, told apart from those of what is being read meanwhile.</summary>
    private sealed class Guarded : Stream
    {
        private readonly string name;
        private readonly Stream inner;
        private long length;
        private bool failed;

        public Guarded(string name, Func<Stream> open)
        {
            this.name = name;
            inner = Attempt(open);
        }

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => length;

        public override long Position
        {
            get => length;
            set => throw new NotSupportedException();
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            try
            {
                inner.Write(buffer);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                throw Wrong(exception);
            }
            length += buffer.Length;
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() => Attempt(() =>
        {
            inner.Flush();
            return true;
        });

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                try
                {
                    inner.Dispose();
                }
                catch (IOException) when (failed)
                {
                    // Its last bytes do not fit either; the error that led here is already on its way.
                }
            }
            base.Dispose(disposing);
        }

        private T Attempt<T>(Func<T> action)
        {
            try
            {
                return action();
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                throw Wrong(exception);
            }
        }

        private IOException Wrong(Exception exception)
        {
            failed = true;
            // The runtime adds the temporary file's path, which is nobody's business.
            int path = exception.Message.IndexOf(" : '", StringComparison.Ordinal);
            return new IOException($"{name}: cannot be written: {(path < 0 ? exception.Message : exception.Message[..path])}", exception);
        }
    }
}
