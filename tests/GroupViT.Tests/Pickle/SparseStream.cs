namespace GroupViT.Tests.Pickle;

/// <summary>A file of any length that holds zeros but for the pieces written into it.</summary>
internal sealed class SparseStream(long length) : Stream
{
    private readonly List<(long Offset, byte[] Bytes)> _pieces = [];

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => false;

    public override long Length => length;

    public override long Position { get; set; }

    public void Write(long offset, ReadOnlySpan<byte> bytes) => _pieces.Add((offset, bytes.ToArray()));

    public override int Read(Span<byte> buffer)
    {
        int count = (int)Math.Clamp(length - Position, 0, buffer.Length);
        buffer[..count].Clear();
        foreach ((long offset, byte[] bytes) in _pieces)
        {
            long from = Math.Max(offset, Position), to = Math.Min(offset + bytes.Length, Position + count);
            if (from < to)
            {
                bytes.AsSpan((int)(from - offset), (int)(to - from)).CopyTo(buffer[(int)(from - Position)..]);
            }
        }
        Position += count;
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }
}
