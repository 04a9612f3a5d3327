namespace GroupViT.Native.Imaging;

/// <summary>The bytes of a picture file, in memory or on disk: a large PNG is read from where it lies, twice, instead of being held.</summary>
internal abstract class PictureBytes(string name)
{
    public abstract long Length { get; }

    public static PictureBytes Of(byte[] file, string name) => new InMemory(file, name);

    /// <param name="stream">Seekable; the picture begins where it stands. Stays the caller's.</param>
    /// <param name="name">For messages.</param>
    public static PictureBytes Of(Stream stream, string name) => new InStream(stream, name);

    /// <summary>Fills the target.</summary>
    /// <exception cref="ImageFileException">The file was cut since its length was taken, or cannot be read.</exception>
    public void Read(long offset, Span<byte> target)
    {
        try
        {
            if (ReadSome(offset, target) < target.Length)
            {
                throw new ImageFileException(name, $"ended at byte {offset} while it was read: it was cut in the meantime");
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageFileException(name, $"cannot be read: {error.Message}", error);
        }
    }

    protected abstract int ReadSome(long offset, Span<byte> target);

    private sealed class InMemory(byte[] file, string name) : PictureBytes(name)
    {
        public override long Length => file.Length;

        protected override int ReadSome(long offset, Span<byte> target)
        {
            file.AsSpan((int)offset, target.Length).CopyTo(target);
            return target.Length;
        }
    }

    private sealed class InStream(Stream stream, string name) : PictureBytes(name)
    {
        private readonly long start = stream.Position;

        public override long Length { get; } = stream.Length - stream.Position;

        protected override int ReadSome(long offset, Span<byte> target)
        {
            stream.Position = start + offset;
            return stream.ReadAtLeast(target, target.Length, throwOnEndOfStream: false);
        }
    }
}
