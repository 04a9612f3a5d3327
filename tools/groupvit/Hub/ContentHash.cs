using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace GroupViT.Tool.Hub;

/// <summary>
/// What a hub says a file's content is: SHA-256 for large files (LFS), the SHA-1 of the git blob for small ones. It is the file's etag there,
/// and the blob's name in the cache.
/// </summary>
internal sealed partial record ContentHash
{
    private const int BufferBytes = 1 << 17;

    private ContentHash(string hex) => Hex = hex;

    /// <summary>64 or 40 lower-case digits.</summary>
    public string Hex { get; }

    public bool IsSha256 => Hex.Length == 64;

    public static ContentHash? TryParse(string? text) => text is not null && Shape().IsMatch(text) ? new ContentHash(text) : null;

    /// <summary>From an ETag header's value: quotes and the mark of a weak one are no part of the name.</summary>
    public static ContentHash? FromEtag(string? etag)
    {
        string text = (etag ?? "").Trim();
        text = text.StartsWith("W/", StringComparison.Ordinal) ? text[2..] : text;
        return TryParse(text.Trim('"'));
    }

    /// <summary>An empty hash of this kind, for a content of <paramref name="size"/> bytes.</summary>
    public IncrementalHash Begin(long size)
    {
        if (IsSha256)
        {
            return IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        }
#pragma warning disable CA5350 // git names its blobs by SHA-1; there is nothing else to compare small files with.
        IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
#pragma warning restore CA5350
        hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {size}\0")));
        return hash;
    }

    /// <summary>True where what was hashed is the content.</summary>
    public bool IsOf(IncrementalHash hash) => Convert.ToHexStringLower(hash.GetCurrentHash()) == Hex;

    /// <summary>True where a file holds the content.</summary>
    public bool IsOf(string file, CancellationToken cancellation)
    {
        using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1);
        using IncrementalHash hash = Begin(stream.Length);
        Append(hash, stream, stream.Length, cancellation);
        return IsOf(hash);
    }

    /// <summary>Adds the next bytes of a stream.</summary>
    public static void Append(IncrementalHash hash, Stream stream, long count, CancellationToken cancellation)
    {
        byte[] buffer = new byte[BufferBytes];
        while (count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            int read = stream.Read(buffer, 0, (int)Math.Min(buffer.Length, count));
            if (read == 0)
            {
                throw new EndOfStreamException("the file became shorter while it was read");
            }
            hash.AppendData(buffer, 0, read);
            count -= read;
        }
    }

    public override string ToString() => IsSha256 ? $"SHA-256 {Hex}" : $"git SHA-1 {Hex}";

    [GeneratedRegex(@"^(?:[0-9a-f]{40}|[0-9a-f]{64})\z", RegexOptions.CultureInvariant)]
    private static partial Regex Shape();
}
