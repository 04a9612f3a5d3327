using System.Globalization;

namespace GroupViT.Tool;

/// <summary>Numbers of bytes and pixels as people write and read them: 512M, 2G.</summary>
internal static class Quantity
{
    /// <summary>A whole number of at least 1, with K, M or G (and an iB, if one likes) for powers of 1024; null where the text is none.</summary>
    public static long? Parse(string text)
    {
        string trimmed = text.Trim().ToUpperInvariant();
        foreach (string ending in (string[])["IB", "B"])
        {
            if (trimmed.EndsWith(ending, StringComparison.Ordinal))
            {
                trimmed = trimmed[..^ending.Length];
                break;
            }
        }
        int shift = trimmed.Length == 0 ? 0 : trimmed[^1] switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        string digits = shift > 0 ? trimmed[..^1] : trimmed;
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value > 0 && value <= long.MaxValue >> shift
            ? value << shift
            : null;
    }

    /// <summary>Bytes for people: 5.8 MiB.</summary>
    public static string Bytes(long bytes) => bytes switch
    {
        < 1 << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.0} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.0} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:0.00} GiB"),
    };
}
