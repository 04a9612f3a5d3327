namespace GroupViT.Native.Text;

/// <summary>A whole file in memory, up to a limit.</summary>
internal static class BoundedBytes
{
    public const int MaxBytes = 64 << 20;

    /// <summary>The bytes up to the stream's end; the buffer grows with what is really there, never with what a length claims.</summary>
    public static ArraySegment<byte> Read(Stream stream, string name)
    {
        byte[] buffer = new byte[64 << 10];
        int length = 0;
        while (true)
        {
            int read;
            try
            {
                read = stream.Read(buffer, length, buffer.Length - length);
            }
            catch (IOException error)
            {
                throw new ModelFileException(name, $"the file cannot be read ({error.Message})", inner: error);
            }
            if (read == 0)
            {
                return new ArraySegment<byte>(buffer, 0, length);
            }
            length += read;
            if (length > MaxBytes)
            {
                throw new ModelFileException(name, $"the file is larger than {MaxBytes >> 20} MiB, the most a vocabulary file may have", offset: MaxBytes);
            }
            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, buffer.Length * 2);
            }
        }
    }
}
