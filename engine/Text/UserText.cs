using System.Text;

namespace GroupViT.Native.Text;

/// <summary>Small text files that a user wrote: labels, templates.</summary>
internal static class UserText
{
    public const int MaxBytes = 16 << 20;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>All lines of a UTF-8 file, without their ends (LF, CRLF or CR); a byte order mark is skipped. The stream stays the caller's.</summary>
    /// <exception cref="LabelException">The file is too large or not UTF-8.</exception>
    public static IReadOnlyList<string> Lines(Stream stream, string name)
    {
        using var bytes = new MemoryStream();
        byte[] buffer = new byte[16 << 10];
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            bytes.Write(buffer, 0, read);
            if (bytes.Length > MaxBytes)
            {
                throw new LabelException($"{name}: the file is larger than {MaxBytes >> 20} MiB, the most a list may have");
            }
        }
        ReadOnlySpan<byte> text = bytes.GetBuffer().AsSpan(0, (int)bytes.Length);
        if (text.StartsWith("\uFEFF"u8))
        {
            text = text[3..];
        }
        var lines = new List<string>();
        while (!text.IsEmpty)
        {
            int end = text.IndexOfAny((byte)'\n', (byte)'\r');
            ReadOnlySpan<byte> line = end < 0 ? text : text[..end];
            try
            {
                lines.Add(Strict.GetString(line));
            }
            catch (DecoderFallbackException)
            {
                throw new LabelException($"{name}, line {lines.Count + 1}: the line is not UTF-8");
            }
            int next = end < 0 ? text.Length : text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            text = text[next..];
        }
        return lines;
    }
}
