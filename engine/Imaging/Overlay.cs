namespace GroupViT.Native.Imaging;

/// <summary>What an overlay shows beside the blended colours.</summary>
internal sealed record OverlayOptions
{
    /// <summary>A label whose pixels keep the plain picture (the background) and which the legend leaves out, if any.</summary>
    public int? PlainLabel { get; init; }

    /// <summary>Whether a line is drawn where labels meet.</summary>
    public bool Boundaries { get; init; } = true;

    /// <summary>Whether the names are listed in a corner.</summary>
    public bool Legend { get; init; } = true;
}

/// <summary>
/// Draws a label map over its picture, at the picture's own size, row by row: <c>(picture + colour) / 2</c>, truncated (spec F.3), thin
/// lines where labels meet, and the labels that occur, the largest first, in the corner where the box covers the fewest of those lines.
/// </summary>
internal sealed class Overlay
{
    private const int MaxLegendRows = 16;

    private static readonly (byte, byte, byte) TextColor = (255, 255, 255);
    private static readonly (byte, byte, byte) LineColor = (255, 255, 255);

    private readonly RgbImage image;
    private readonly ReadOnlyMemory<ushort> labels;
    private readonly LabelColors colors;
    private readonly OverlayOptions options;

    // The legend with what shines through it, and where it goes.
    private readonly RgbImage? legend;
    private readonly Window legendBox;

    /// <param name="image">The picture; it is not changed.</param>
    /// <param name="labels"><c>height * width</c> labels, or <see cref="MaskWriter.Ignored"/>, which keeps the plain picture.</param>
    /// <param name="names">The labels' names.</param>
    /// <param name="colors">The labels' colours.</param>
    /// <param name="options">What else to draw.</param>
    public Overlay(RgbImage image, ReadOnlyMemory<ushort> labels, IReadOnlyList<string> names, LabelColors colors, OverlayOptions? options = null)
    {
        (this.image, this.labels, this.colors, this.options) = (image, labels, colors, options ?? new());
        if (labels.Length != image.Width * image.Height)
        {
            throw new ArgumentException($"{image.Width} x {image.Height} pixels need as many labels, not {labels.Length}", nameof(labels));
        }
        MaskWriter.Check(labels.Span, names.Count);
        if (!this.options.Legend)
        {
            return;
        }
        int[] pixels = new int[names.Count];
        foreach (ushort label in labels.Span)
        {
            if (label != MaskWriter.Ignored)
            {
                pixels[label]++;
            }
        }
        int[] listed =
        [
            .. Enumerable.Range(0, names.Count).Where(label => pixels[label] > 0 && label != this.options.PlainLabel).OrderByDescending(label => pixels[label]).ThenBy(label => label),
        ];
        (legend, legendBox) = DrawLegend(listed, names);
    }

    /// <summary>The whole overlay as a picture.</summary>
    public static RgbImage Draw(RgbImage image, ReadOnlyMemory<ushort> labels, IReadOnlyList<string> names, LabelColors colors, OverlayOptions? options = null)
    {
        Overlay overlay = new(image, labels, names, colors, options);
        RgbImage result = new(image.Width, image.Height, image.Name);
        for (int y = 0; y < result.Height; y++)
        {
            overlay.FillRow(y, result.Row(y));
        }
        return result;
    }

    /// <summary>One row of the overlay, three bytes a pixel.</summary>
    public void FillRow(int y, Span<byte> row)
    {
        FillPart(y, 0, row);
        if (legend is not null && y >= legendBox.Top && y < legendBox.Top + legendBox.Height)
        {
            legend.Row(y - legendBox.Top).CopyTo(row[(3 * legendBox.Left)..]);
        }
    }

    /// <summary>Fills the part of a rectangle that lies inside the picture.</summary>
    public static void Fill(RgbImage image, Window area, (byte R, byte G, byte B) color) => ForEachPixel(image, area, pixel =>
        (pixel[0], pixel[1], pixel[2]) = color);

    // Without the legend.
    private void FillPart(int y, int left, Span<byte> row)
    {
        image.Row(y).Slice(3 * left, row.Length).CopyTo(row);
        ReadOnlySpan<ushort> all = labels.Span;
        int at = y * image.Width + left;
        for (int i = 0; i < row.Length; i += 3, at++)
        {
            ushort label = all[at];
            if (label != MaskWriter.Ignored && label != options.PlainLabel)
            {
                Mix(row.Slice(i, 3), colors[label]);
            }
            if (options.Boundaries && IsLine(all, at, left + i / 3, y))
            {
                Mix(row.Slice(i, 3), LineColor);
            }
        }
    }

    private static void Mix(Span<byte> pixel, (byte R, byte G, byte B) color)
    {
        pixel[0] = (byte)((pixel[0] + color.R) >> 1);
        pixel[1] = (byte)((pixel[1] + color.G) >> 1);
        pixel[2] = (byte)((pixel[2] + color.B) >> 1);
    }

    /// <summary>Whether the pixel's right or lower neighbour has another label: lines one pixel wide.</summary>
    private bool IsLine(ReadOnlySpan<ushort> all, int at, int x, int y)
        => (x + 1 < image.Width && all[at] != all[at + 1]) || (y + 1 < image.Height && all[at] != all[at + image.Width]);

    private (RgbImage?, Window) DrawLegend(int[] listed, IReadOnlyList<string> names)
    {
        // About 30 rows of text to the shorter side; below 600 pixels the font cannot get smaller.
        int scale = Math.Max(1, Math.Min(image.Width, image.Height) / 300);
        int row = (BitmapFont.Height + 2) * scale, margin = 3 * scale, swatch = 8 * scale;
        // At most 60 % of the picture's height and width; below one row and four letters, a legend would only hide the picture.
        int room = Math.Min(MaxLegendRows, ((image.Height * 3 / 5) - (2 * margin)) / row);
        int letters = ((image.Width * 3 / 5) - (3 * margin) - swatch) / (BitmapFont.Advance * scale);
        if (room < 1 || letters < 4 || listed.Length == 0)
        {
            return default;
        }
        List<(string Text, int Label)> rows = [.. listed.Take(listed.Length > room ? room - 1 : room).Select(label => (Shorten(names[label], letters), label))];
        if (rows.Count < listed.Length)
        {
            rows.Add((Shorten($"and {listed.Length - rows.Count} more", letters), -1));
        }
        int width = (3 * margin) + swatch + rows.Max(r => BitmapFont.Width(r.Text, scale));
        Window box = QuietestCorner(width, (2 * margin) + (rows.Count * row) - scale, margin);
        RgbImage part = new(box.Width, box.Height);
        for (int y = 0; y < box.Height; y++)
        {
            FillPart(box.Top + y, box.Left, part.Row(y));
        }
        foreach (ref byte sample in part.Pixels.AsSpan())
        {
            sample /= 5; // Dark enough for white text on any picture.
        }
        int top = margin;
        foreach ((string text, int label) in rows)
        {
            if (label >= 0)
            {
                Fill(part, new(margin, top, swatch, swatch - scale), colors[label]);
            }
            BitmapFont.Draw(part, text, (2 * margin) + swatch, top, scale, TextColor);
            top += row;
        }
        return (part, box);
    }

    private Window QuietestCorner(int width, int height, int margin)
    {
        int right = image.Width - width - margin, bottom = image.Height - height - margin;
        return new[] { (margin, margin), (right, margin), (margin, bottom), (right, bottom) }
            .Select(corner => new Window(corner.Item1, corner.Item2, width, height))
            .MinBy(LinesIn);
    }

    private int LinesIn(Window box)
    {
        ReadOnlySpan<ushort> all = labels.Span;
        int lines = 0;
        for (int y = box.Top; y < box.Top + box.Height; y++)
        {
            for (int x = box.Left; x < box.Left + box.Width; x++)
            {
                lines += IsLine(all, y * image.Width + x, x, y) ? 1 : 0;
            }
        }
        return lines;
    }

    private static string Shorten(string text, int letters) => text.Length <= letters ? text : text[..Math.Max(1, letters - 2)] + "..";

    private delegate void PixelAction(Span<byte> pixel);

    private static void ForEachPixel(RgbImage image, Window area, PixelAction action)
    {
        int left = Math.Max(area.Left, 0), right = Math.Min(area.Left + area.Width, image.Width);
        int bottom = Math.Min(area.Top + area.Height, image.Height);
        for (int y = Math.Max(area.Top, 0); y < bottom; y++)
        {
            Span<byte> row = image.Row(y);
            for (int x = left; x < right; x++)
            {
                action(row.Slice(x * 3, 3));
            }
        }
    }
}
