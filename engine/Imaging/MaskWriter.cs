namespace GroupViT.Native.Imaging;

/// <summary>Writes label maps as PNG: indexed of 8 bits for up to 255 labels, grey of 16 bits above.</summary>
internal static class MaskWriter
{
    /// <summary>A pixel without a label in a label map in memory; 255 (65535 in 16 bits) in the file.</summary>
    public const int Ignored = -1;

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
    public static void Write(Stream target, int width, int height, ReadOnlySpan<int> labels, int labelCount, LabelColors colors)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(labelCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(labelCount, MaxLabels16);
        foreach (int label in labels)
        {
            if (label < Ignored || label >= labelCount)
            {
                throw new ArgumentOutOfRangeException(nameof(labels), label, $"labels are 0 to {labelCount - 1}, or {Ignored} for none");
            }
        }
        if (labelCount > MaxLabels8)
        {
            ushort[] samples = new ushort[labels.Length];
            for (int i = 0; i < samples.Length; i++)
            {
                samples[i] = (ushort)labels[i]; // -1 becomes 65535.
            }
            PngWriter.WriteGray16(target, width, height, samples);
            return;
        }
        byte[] indices = new byte[labels.Length];
        for (int i = 0; i < indices.Length; i++)
        {
            indices[i] = (byte)labels[i]; // -1 becomes 255.
        }
        // All 256 entries, so that 255 is in the palette too: white, as "no label" is drawn by the VOC tools.
        Span<byte> palette = stackalloc byte[768];
        palette.Clear();
        for (int label = 0; label < labelCount; label++)
        {
            (palette[3 * label], palette[(3 * label) + 1], palette[(3 * label) + 2]) = colors[label];
        }
        palette[(3 * 255)..].Fill(255);
        PngWriter.WriteIndexed(target, width, height, indices, palette);
    }
}
