namespace GroupViT.Native.Imaging;

/// <summary>Writes label maps as PNG: indexed of 8 bits for up to 255 labels, grey of 16 bits above.</summary>
internal static class MaskWriter
{
    /// <summary>A pixel without a label in a label map; 255 in a file of 8 bits.</summary>
    public const ushort Ignored = SegmentationResult.Unlabelled;

    /// <summary>The most labels an 8-bit mask can tell apart beside <see cref="Ignored"/>.</summary>
    public const int MaxLabels8 = 255;

    /// <summary>The most labels a 16-bit mask can tell apart beside <see cref="Ignored"/>.</summary>
    public const int MaxLabels16 = 65535;

    /// <summary>Writes a label map.</summary>
    /// <param name="target">Where to; left open.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="labels"><c>height * width</c> labels from 0 to <paramref name="labelCount"/> - 1, or <see cref="Ignored"/>.</param>
    /// <param name="labelCount">How many labels there are, which decides the kind of file.</param>
    /// <param name="colors">The labels' colours, for 8-bit masks.</param>
    public static void Write(Stream target, int width, int height, ReadOnlyMemory<ushort> labels, int labelCount, LabelColors colors)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(labelCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(labelCount, MaxLabels16);
        Check(labels.Span, labelCount);
        if (labelCount > MaxLabels8)
        {
            PngWriter.WriteGray16(target, width, height, labels);
            return;
        }
        // All 256 entries, so that 255 is in the palette too: white, as "no label" is drawn by the VOC tools.
        Span<byte> palette = stackalloc byte[768];
        palette.Clear();
        for (int label = 0; label < labelCount; label++)
        {
            (palette[3 * label], palette[(3 * label) + 1], palette[(3 * label) + 2]) = colors[label];
        }
        palette[(3 * 255)..].Fill(255);
        PngWriter.WriteIndexed(target, width, height, palette, (y, row) =>
        {
            ReadOnlySpan<ushort> source = labels.Span.Slice(y * width, width);
            for (int x = 0; x < source.Length; x++)
            {
                row[x] = (byte)source[x]; // 65535 becomes 255.
            }
        });
    }

    /// <exception cref="ArgumentOutOfRangeException">A label is none.</exception>
    public static void Check(ReadOnlySpan<ushort> labels, int labelCount)
    {
        foreach (ushort label in labels)
        {
            if (label >= labelCount && label != Ignored)
            {
                throw new ArgumentOutOfRangeException(nameof(labels), label, $"labels are 0 to {labelCount - 1}, or {Ignored} for none");
            }
        }
    }
}
