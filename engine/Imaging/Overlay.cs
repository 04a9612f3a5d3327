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

/// <summary>Draws a label map over its picture, at the picture's own size, row by row: a picture of any size takes the memory of its legend.</summary>
internal sealed class Overlay
{
    private const int MaxLegendRows = 16;

    private static readonly (byte, byte, byte) TextColor = (255, 255, 255);
    private static readonly (byte, byte, byte) LineColor = (255, 255, 255);

    private readonly RgbImage image;
    private readonly ReadOnlyMemory<ushort> labels;
    private readonly LabelColors colors;
    private readonly OverlayOptions options;
    private readonly RgbImage? legend;
    private readonly Window box;

    /// <summary>
    /// Blends <c>(picture + colour) / 2</c>, truncated (spec F.3), draws thin lines where labels meet, and lists the labels that occur,
    /// the largest first, in the corner where the box covers the fewest of those lines.
    /// </summary>
    /// <param name="image">The picture; it is not changed.</param>
    /// <param name="labels"><c>height * width</c> labels, or <see cref="MaskWriter.Ignored"/>, which keeps the plain picture.</param>
    /// <param name="names">The labels' names.</param>
    /// <param name="colors">The labels' colours.</param>
    /// <param name="options">What else to draw.</param>
    public Overlay(RgbImage image, ReadOnlyMemory<ushort> labels, IReadOnlyList<string> names, LabelColors colors, OverlayOptions? options = null)
    {
        (this.image, this.labels, this.colors, this.options) = (image, labels, colors, options ??= new());
        if (labels.Length != image.Width * image.Height)
        {
            throw new ArgumentException($"{image.Width} x {image.Height} pixels need as many labels, not {labels.Length}", nameof(labels));
        }
        int[] pixels = new int[names.Count];
        foreach (ushort label in labels.Span)
        {
            if (label < pixels.Length)
            {
                pixels[label]++;
            }
            else if (label != MaskWriter.Ignored)
            {
                throw new ArgumentOutOfRangeException(nameof(labels), label, $"there are {names.Count} labels");
            }
        }
        if (options.Legend)
        {
            int[] listed = [.. Enumerable.Range(0, names.Count).Where(label => pixels[label] > 0 && label != options.PlainLabel).OrderByDescending(label => pixels[label]).ThenBy(label => label)];
            (legend, box) = DrawLegend(listed, names);
        }
    }

    /// <summary>The overlay as a picture of its own.</summary>
    public static RgbImage Draw(RgbImage image, ReadOnlyMemory<ushort> labels, IReadOnlyList<string> names, LabelColors colors, OverlayOptions? options = null)
    {
        Overlay overlay = new(image, labels, names, colors, options);
        RgbImage result = new(image.Width, image.Height, image.Name);
        for (int y = 0; y < image.Height; y++)
        {
            overlay.Row(y, result.Row(y));
        }
        return result;
    }

    /// <summary>Fills the part of a rectangle that lies inside the picture.</summary>
    public static void Fill(RgbImage image, Window area, (byte R, byte G, byte B) color) => ForEachPixel(image, area, pixel =>
        (pixel[0], pixel[1], pixel[2]) = color);

    /// <summary>Draws a row.</summary>
    /// <param name="y">Which.</param>
    /// <param name="target">Receives <c>3 * width</c> samples.</param>
    public void Row(int y, Span<byte> target)
    {
        Part(y, 0, image.Width, target);
        if (legend is not null && y >= box.Top && y < box.Top + box.Height)
        {
            legend.Row(y - box.Top).CopyTo(target[(3 * box.Left)..]);
        }
    }

    // A row's pixels from left on, without the legend.
    private void Part(int y, int left, int count, Span<byte> target)
    {
        ReadOnlySpan<byte> source = image.Row(y).Slice(3 * left, 3 * count);
        ReadOnlySpan<ushort> row = labels.Span.Slice((y * image.Width) + left, count);
        // Neighbours have one label more often than not, so colours are looked up where it changes.
        int last = -1;
        bool plain = true;
        (byte R, byte G, byte B) color = default;
        for (int x = 0, i = 0; x < row.Length; x++, i += 3)
        {
            if (row[x] != last)
            {
                last = row[x];
                plain = last == MaskWriter.Ignored || last == options.PlainLabel;
                color = plain ? default : colors[last];
            }
            if (plain)
            {
                (target[i], target[i + 1], target[i + 2]) = (source[i], source[i + 1], source[i + 2]);
            }
            else
            {
                target[i] = (byte)((source[i] + color.R) >> 1);
                target[i + 1] = (byte)((source[i + 1] + color.G) >> 1);
                target[i + 2] = (byte)((source[i + 2] + color.B) >> 1);
            }
        }
        if (options.Boundaries)
        {
            for (int x = 0; x < count; x++)
            {
                if (IsLine(labels.Span, left + x, y))
                {
                    Mix(target.Slice(3 * x, 3), LineColor);
                }
            }
        }
    }

    private static void Mix(Span<byte> pixel, (byte R, byte G, byte B) color)
    {
        pixel[0] = (byte)((pixel[0] + color.R) >> 1);
        pixel[1] = (byte)((pixel[1] + color.G) >> 1);
        pixel[2] = (byte)((pixel[2] + color.B) >> 1);
    }

    /// <summary>Whether a pixel's right or lower neighbour has another label: lines one pixel wide.</summary>
    private bool IsLine(ReadOnlySpan<ushort> map, int x, int y)
    {
        int i = (y * image.Width) + x;
        return (x + 1 < image.Width && map[i] != map[i + 1]) || (y + 1 < image.Height && map[i] != map[i + image.Width]);
    }

    private (RgbImage? Legend, Window Box) DrawLegend(int[] listed, IReadOnlyList<string> names)
    {
        // About 30 rows of text to the shorter side; below 600 pixels the font cannot get smaller.
        int scale = Math.Max(1, Math.Min(image.Width, image.Height) / 300);
        int row = (BitmapFont.Height + 2) * scale, margin = 3 * scale, swatch = 8 * scale;
        // At most 60 % of the picture's height and width; below one row and four letters, a legend would only hide the picture.
        int room = Math.Min(MaxLegendRows, ((image.Height * 3 / 5) - (2 * margin)) / row);
        int letters = ((image.Width * 3 / 5) - (3 * margin) - swatch) / (BitmapFont.Advance * scale);
        if (room < 1 || letters < 4 || listed.Length == 0)
        {
            return (null, default);
        }
        List<(string Text, int Label)> rows = [.. listed.Take(listed.Length > room ? room - 1 : room).Select(label => (Shorten(names[label], letters), label))];
        if (rows.Count < listed.Length)
        {
            rows.Add((Shorten($"and {listed.Length - rows.Count} more", letters), -1));
        }
        int width = (3 * margin) + swatch + rows.Max(r => BitmapFont.Width(r.Text, scale));
        Window corner = QuietestCorner(width, (2 * margin) + (rows.Count * row) - scale, margin);
        RgbImage drawn = new(corner.Width, corner.Height);
        for (int y = 0; y < drawn.Height; y++)
        {
            Part(corner.Top + y, corner.Left, corner.Width, drawn.Row(y));
        }
        for (int i = 0; i < drawn.Pixels.Length; i++)
        {
            drawn.Pixels[i] = (byte)(drawn.Pixels[i] / 5); // Dark enough for white text on any picture.
        }
        int top = margin;
        foreach ((string text, int label) in rows)
        {
            if (label >= 0)
            {
                Fill(drawn, new(margin, top, swatch, swatch - scale), colors[label]);
            }
            BitmapFont.Draw(drawn, text, (2 * margin) + swatch, top, scale, TextColor);
            top += row;
        }
        return (drawn, corner);
    }

    private Window QuietestCorner(int width, int height, int margin)
    {
        int right = image.Width - width - margin, bottom = image.Height - height - margin;
        return new[] { (margin, margin), (right, margin), (margin, bottom), (right, bottom) }
            .Select(corner => new Window(corner.Item1, corner.Item2, width, height))
            .MinBy(corner =>
            {
                ReadOnlySpan<ushort> map = labels.Span;
                int hidden = 0;
                for (int y = corner.Top; y < corner.Top + corner.Height; y++)
                {
                    for (int x = corner.Left; x < corner.Left + corner.Width; x++)
                    {
                        hidden += IsLine(map, x, y) ? 1 : 0;
                    }
                }
                return hidden;
            });
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
