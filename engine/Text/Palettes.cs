namespace GroupViT.Native.Text;

/// <summary>Colours of labels as R, G, B bytes, three to a label in the order of their ids (spec L.4; for drawing only).</summary>
internal static class Palettes
{
    /// <summary>Pascal VOC's standard colour map for its 21 labels.</summary>
    public static ReadOnlySpan<byte> Voc =>
    [
        0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128,
        64, 0, 0, 192, 0, 0, 64, 128, 0, 192, 128, 0, 64, 0, 128, 192, 0, 128, 64, 128, 128, 192, 128, 128,
        0, 64, 0, 128, 64, 0, 0, 192, 0, 128, 192, 0, 0, 64, 128,
    ];

    /// <summary>Pascal Context: the first 60 colours of ADE20K. Two are equal (6 and 48), as in the original.</summary>
    public static ReadOnlySpan<byte> Context =>
    [
        120, 120, 120, 180, 120, 120, 6, 230, 230, 80, 50, 50, 4, 200, 3, 120, 120, 80, 140, 140, 140, 204, 5, 255,
        230, 230, 230, 4, 250, 7, 224, 5, 255, 235, 255, 7, 150, 5, 61, 120, 120, 70, 8, 255, 51, 255, 6, 82,
        143, 255, 140, 204, 255, 4, 255, 51, 7, 204, 70, 3, 0, 102, 200, 61, 230, 250, 255, 6, 51, 11, 102, 255,
        255, 7, 71, 255, 9, 224, 9, 7, 230, 220, 220, 220, 255, 9, 92, 112, 9, 255, 8, 255, 214, 7, 255, 224,
        255, 184, 6, 10, 255, 71, 255, 41, 10, 7, 255, 255, 224, 255, 8, 102, 8, 255, 255, 61, 6, 255, 194, 7,
        255, 122, 8, 0, 255, 20, 255, 8, 41, 255, 5, 153, 6, 51, 255, 235, 12, 255, 160, 150, 20, 0, 163, 255,
        140, 140, 140, 250, 10, 15, 20, 255, 0, 31, 255, 0, 255, 31, 0, 255, 224, 0, 153, 255, 0, 0, 0, 255,
        255, 71, 0, 0, 235, 255, 0, 173, 255, 31, 0, 255,
    ];

    /// <summary>COCO Object's 81 colours, of which several are equal, as in the original.</summary>
    public static ReadOnlySpan<byte> Coco =>
    [
        0, 0, 0, 0, 192, 64, 0, 192, 64, 0, 64, 96, 128, 192, 192, 0, 64, 64, 0, 192, 224, 0, 192, 192,
        128, 192, 64, 0, 192, 96, 128, 192, 64, 128, 32, 192, 0, 0, 224, 0, 0, 64, 0, 160, 192, 128, 0, 96,
        128, 0, 192, 0, 32, 192, 128, 128, 224, 0, 0, 192, 128, 160, 192, 128, 128, 0, 128, 0, 32, 128, 32, 0,
        128, 0, 128, 64, 128, 32, 0, 160, 0, 0, 0, 0, 192, 128, 160, 0, 32, 0, 0, 128, 128, 64, 128, 160,
        128, 160, 0, 0, 128, 0, 192, 128, 32, 128, 96, 128, 0, 0, 128, 64, 0, 32, 0, 224, 128, 128, 0, 0,
        192, 0, 160, 0, 96, 128, 128, 128, 128, 64, 0, 160, 128, 224, 128, 128, 128, 64, 192, 0, 32, 128, 96, 0,
        128, 0, 192, 0, 128, 32, 64, 224, 0, 0, 0, 64, 128, 128, 160, 64, 96, 0, 0, 128, 192, 0, 128, 160,
        192, 224, 0, 0, 128, 64, 128, 128, 32, 192, 32, 128, 0, 64, 192, 0, 0, 32, 64, 160, 128, 128, 64, 64,
        128, 0, 160, 64, 32, 128, 128, 192, 192, 0, 0, 160, 192, 160, 128, 128, 192, 0, 128, 0, 96, 192, 32, 0,
        128, 64, 128, 64, 128, 96, 64, 160, 0, 0, 64, 0, 192, 128, 224, 64, 32, 0, 0, 192, 128, 64, 128, 224,
        192, 160, 0,
    ];

    // Each colour is the one of an 8-level grid that is farthest, in CIE Lab, from black and all before it, lightness above
    // 22. The least distance is 21.9 among all 68 (41 among the first 16); in the VOC colour map it is 3.7 (8.8).
    private static ReadOnlySpan<byte> Distinct =>
    [
        219, 36, 36, 0, 255, 0, 0, 0, 255, 0, 255, 255, 255, 182, 255, 255, 219, 73, 0, 109, 0, 36, 36, 146,
        255, 0, 219, 146, 109, 73, 0, 146, 219, 255, 255, 219, 146, 255, 146, 182, 36, 109, 0, 109, 109, 182, 109, 255,
        109, 73, 109, 255, 146, 36, 255, 146, 146, 219, 255, 0, 182, 219, 255, 36, 182, 0, 146, 146, 36, 146, 0, 146,
        73, 182, 146, 182, 36, 255, 109, 36, 36, 255, 0, 109, 36, 0, 182, 0, 109, 255, 0, 73, 146, 219, 182, 182,
        255, 109, 219, 146, 73, 0, 73, 73, 0, 182, 219, 73, 146, 146, 255, 0, 255, 109, 182, 219, 146, 0, 73, 36,
        255, 182, 109, 0, 182, 219, 109, 109, 109, 182, 109, 182, 146, 255, 73, 255, 255, 146, 0, 255, 182, 146, 146, 182,
        109, 182, 73, 219, 109, 73, 182, 255, 219, 0, 73, 109, 109, 36, 109, 255, 0, 0, 182, 182, 255, 146, 182, 182,
        0, 182, 109, 109, 146, 73, 219, 146, 182, 0, 73, 255, 255, 219, 255, 182, 182, 146, 146, 0, 0, 219, 146, 255,
        182, 109, 109, 146, 109, 0, 219, 0, 146, 219, 255, 255,
    ];

    /// <summary>
    /// Colours for any list of labels: the data set's own where the list is one of the built-in ones, otherwise
    /// <see cref="Default"/>, with black for a first label named <c>background</c>.
    /// </summary>
    public static byte[] For(IReadOnlyList<string> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        foreach (string set in (ReadOnlySpan<string>)["voc", "context", "coco"])
        {
            if (labels.SequenceEqual(ClassNames.Get(set), StringComparer.Ordinal))
            {
                return set switch
                {
                    "voc" => Voc.ToArray(),
                    "context" => Context.ToArray(),
                    _ => Coco.ToArray(),
                };
            }
        }
        return Default(labels.Count, labels.Count > 0 && labels[0] == ClassNames.Background);
    }

    /// <summary>
    /// <paramref name="count"/> different colours (at most 2^24 - 1): 68 that the eye tells apart, then those of the VOC
    /// colour map that are not among them. With a background, label 0 is black and the others follow.
    /// </summary>
    public static byte[] Default(int count, bool background)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, (1 << 24) - 1);
        byte[] colours = new byte[count * 3];
        int start = background && count > 0 ? 1 : 0;
        ReadOnlySpan<byte> distinct = Distinct[..Math.Min(Distinct.Length, (count - start) * 3)];
        distinct.CopyTo(colours.AsSpan(start * 3));
        // Black is the colour map's number 0: it is for a background alone.
        int next = 1;
        for (int label = start + (distinct.Length / 3); label < count; label++)
        {
            while (IsDistinct(VocColour(next)))
            {
                next++;
            }
            (colours[label * 3], colours[(label * 3) + 1], colours[(label * 3) + 2]) = VocColour(next++);
        }
        return colours;
    }

    /// <summary>The VOC colour map: the bits of the id, three at a time, become the high bits of R, G and B, then lower ones.</summary>
    internal static (byte R, byte G, byte B) VocColour(int id)
    {
        int r = 0, g = 0, b = 0;
        for (int bit = 7; bit >= 0; bit--, id >>= 3)
        {
            r |= (id & 1) << bit;
            g |= ((id >> 1) & 1) << bit;
            b |= ((id >> 2) & 1) << bit;
        }
        return ((byte)r, (byte)g, (byte)b);
    }

    private static bool IsDistinct((byte R, byte G, byte B) colour)
    {
        for (int i = 0; i < Distinct.Length; i += 3)
        {
            if (Distinct[i] == colour.R && Distinct[i + 1] == colour.G && Distinct[i + 2] == colour.B)
            {
                return true;
            }
        }
        return false;
    }
}
