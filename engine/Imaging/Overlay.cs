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

/// <summary>Draws a label map over its picture, at the picture's own size.</summary>
internal static class Overlay
{
    private const int MaxLegendRows = 16;

    private static readonly (byte, byte, byte) TextColor = (255, 255, 255);
    private static readonly (byte, byte, byte) LineColor = (255, 255, 255);

    /// <summary>
    /// Blends <c>(picture + colour) / 2</c>, truncated (spec F.3), draws thin lines where labels meet, and lists the labels that occur,
    /// the largest first, in the corner where the box covers the fewest of those lines.
    /// </summary>
    /// <param name="image">The picture; it is not changed.</param>
    /// <param name="labels"><c>height * width</c> labels, or <see cref="MaskWriter.Ignored"/>, which keeps the plain picture.</param>
    /// <param name="names">The labels' names.</param>
    /// <param name="colors">The labels' colours.</param>
    /// <param name="options">What else to draw.</param>
    public static RgbImage Draw(RgbImage image, ReadOnlySpan<int> labels, IReadOnlyList<string> names, LabelColors colors, OverlayOptions? options = null)
    {
        options ??= new();
        if (labels.Length != image.Width * image.Height)
        {
            throw new ArgumentException($"{image.Width} x {image.Height} pixels need as many labels, not {labels.Length}", nameof(labels));
        }
        int[] pixels = new int[names.Count];
        foreach (int label in labels)
        {
            if (label < MaskWriter.Ignored || label >= names.Count)
            {
                throw new ArgumentOutOfRangeException(nameof(labels), label, $"there are {names.Count} labels");
            }
            if (label >= 0)
            {
                pixels[label]++;
            }
        }
        RgbImage result = new(image.Width, image.Height, (byte[])image.Pixels.Clone(), image.Name);
        Blend(result, labels, colors, options.PlainLabel);
        bool[] lines = Lines(labels, image.Width, image.Height);
        if (options.Boundaries)
        {
            for (int i = 0; i < lines.Length; i++)
            {
                if (lines[i])
                {
                    Mix(result.Pixels.AsSpan(i * 3, 3), LineColor);
                }
            }
        }
        if (options.Legend)
        {
            int[] listed = [.. Enumerable.Range(0, names.Count).Where(label => pixels[label] > 0 && label != options.PlainLabel).OrderByDescending(label => pixels[label]).ThenBy(label => label)];
            DrawLegend(result, listed, names, colors, lines);
        }
        return result;
    }

    /// <summary>Fills the part of a rectangle that lies inside the picture.</summary>
    public static void Fill(RgbImage image, Window area, (byte R, byte G, byte B) color) => ForEachPixel(image, area, pixel =>
        (pixel[0], pixel[1], pixel[2]) = color);

    private static void Blend(RgbImage image, ReadOnlySpan<int> labels, LabelColors colors, int? plain)
    {
        for (int i = 0; i < labels.Length; i++)
        {
            if (labels[i] >= 0 && labels[i] != plain)
            {
                Mix(image.Pixels.AsSpan(i * 3, 3), colors[labels[i]]);
            }
        }
    }

    private static void Mix(Span<byte> pixel, (byte R, byte G, byte B) color)
    {
        pixel[0] = (byte)((pixel[0] + color.R) >> 1);
        pixel[1] = (byte)((pixel[1] + color.G) >> 1);
        pixel[2] = (byte)((pixel[2] + color.B) >> 1);
    }

    /// <summary>Pixels whose right or lower neighbour has another label: lines one pixel wide.</summary>
    private static bool[] Lines(ReadOnlySpan<int> labels, int width, int height)
    {
        bool[] lines = new bool[labels.Length];
        for (int y = 0, i = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++, i++)
            {
                lines[i] = (x + 1 < width && labels[i] != labels[i + 1]) || (y + 1 < height && labels[i] != labels[i + width]);
            }
        }
        return lines;
    }

    private static void DrawLegend(RgbImage image, int[] listed, IReadOnlyList<string> names, LabelColors colors, bool[] lines)
    {
        // About 30 rows of text to the shorter side; below 600 pixels the font cannot get smaller.
        int scale = Math.Max(1, Math.Min(image.Width, image.Height) / 300);
        int row = (BitmapFont.Height + 2) * scale, margin = 3 * scale, swatch = 8 * scale;
        // At most 60 % of the picture's height and width; below one row and four letters, a legend would only hide the picture.
        int room = Math.Min(MaxLegendRows, ((image.Height * 3 / 5) - (2 * margin)) / row);
        int letters = ((image.Width * 3 / 5) - (3 * margin) - swatch) / (BitmapFont.Advance * scale);
        if (room < 1 || letters < 4 || listed.Length == 0)
        {
            return;
        }
        List<(string Text, int Label)> rows = [.. listed.Take(listed.Length > room ? room - 1 : room).Select(label => (Shorten(names[label], letters), label))];
        if (rows.Count < listed.Length)
        {
            rows.Add((Shorten($"and {listed.Length - rows.Count} more", letters), -1));
        }
        int width = (3 * margin) + swatch + rows.Max(r => BitmapFont.Width(r.Text, scale));
        Window box = QuietestCorner(image, width, (2 * margin) + (rows.Count * row) - scale, margin, lines);
        ForEachPixel(image, box, pixel =>
        {
            for (int c = 0; c < 3; c++)
            {
                pixel[c] = (byte)(pixel[c] / 5); // Dark enough for white text on any picture.
            }
        });
        int top = box.Top + margin;
        foreach ((string text, int label) in rows)
        {
            if (label >= 0)
            {
                Fill(image, new(box.Left + margin, top, swatch, swatch - scale), colors[label]);
            }
            BitmapFont.Draw(image, text, box.Left + (2 * margin) + swatch, top, scale, TextColor);
            top += row;
        }
    }

    private static Window QuietestCorner(RgbImage image, int width, int height, int margin, bool[] lines)
    {
        int right = image.Width - width - margin, bottom = image.Height - height - margin;
        return new[] { (margin, margin), (right, margin), (margin, bottom), (right, bottom) }
            .Select(corner => new Window(corner.Item1, corner.Item2, width, height))
            .MinBy(box =>
            {
                int hidden = 0;
                for (int y = box.Top; y < box.Top + box.Height; y++)
                {
                    hidden += lines.AsSpan((y * image.Width) + box.Left, box.Width).Count(true);
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
