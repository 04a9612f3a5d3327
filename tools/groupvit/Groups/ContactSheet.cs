using System.Globalization;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Groups;

/// <summary>
/// One picture of everything: the picture, its final groups, the result; each final group with its label; each group of the first stage. Sizes
/// are of the sheet, whatever the picture's.
/// </summary>
internal sealed class ContactSheet
{
    private const int Width = 992;
    private const int Margin = 16;
    private const int Line = BitmapFont.Height + 4;

    private static readonly (byte, byte, byte) Paper = (24, 26, 30);
    private static readonly (byte, byte, byte) Ink = (235, 235, 235);
    private static readonly (byte, byte, byte) Faint = (150, 155, 165);

    private readonly GroupPicture picture;
    private readonly RgbImage sheet;
    private int top;

    private ContactSheet(GroupPicture picture, int height)
    {
        this.picture = picture;
        sheet = new RgbImage(Width, height);
        Overlay.Fill(sheet, new Window(0, 0, Width, height), Paper);
    }

    public static RgbImage Draw(GroupPicture picture)
    {
        // Laid out twice: the height is known when everything has its place.
        ContactSheet measure = new(picture, 1);
        measure.Draw();
        ContactSheet drawn = new(picture, measure.top);
        drawn.Draw();
        return drawn.sheet;
    }

    private void Draw()
    {
        top = Margin;
        Text($"{picture.Name}  {picture.Base.Width} x {picture.Base.Height}", Margin, top, Ink, 2, Width - 2 * Margin);
        top += 2 * Line + 4;
        Panels();
        int last = picture.StageCount - 1;
        for (int stage = last; stage >= 0; stage--)
        {
            int groups = picture.GroupCount(stage);
            string what = stage == last ? "final groups, with the label each went to and its share of all labels" : $"groups of stage {stage + 1}, with their share of the picture";
            Text($"{groups} {what}", Margin, top, Ink, 1, Width - 2 * Margin);
            top += Line + 2;
            Tiles(stage, groups);
        }
    }

    // The picture, its final groups, the result.
    private void Panels()
    {
        const int gap = 16;
        (int width, int height) = Fit((Width - 2 * Margin - 2 * gap) / 3, 400);
        RgbImage image = picture.Scaled(width, height);
        int last = picture.StageCount - 1;
        ushort[] labels = picture.ScaledLabels(width, height);
        LabelColors colors = LabelColors.From(Enumerable.Range(0, picture.GroupCount(last)).Select(group => GroupColors.Of(last, group)));
        string[] numbers = [.. Enumerable.Range(0, picture.GroupCount(last)).Select(group => $"{group}")];
        RgbImage grouped = Overlay.Draw(image, picture.Groups(last, width, height), numbers, colors, new OverlayOptions { Legend = false });
        Number(grouped, picture.Groups(last, width, height), picture.GroupCount(last));
        RgbImage result = Overlay.Draw(image, labels, picture.Bank.Labels, picture.Colors, new OverlayOptions { PlainLabel = picture.Bank.HasBackground ? 0 : null });
        string[] captions = ["picture", "final groups", "labels"];
        foreach ((int i, RgbImage panel) in new[] { image, grouped, result }.Index())
        {
            int left = Margin + i * ((Width - 2 * Margin - 2 * gap) / 3 + gap);
            Text(captions[i], left, top, Faint, 1, width);
            Put(panel, left, top + Line);
        }
        top += Line + height + Margin;
    }

    private void Tiles(int stage, int groups)
    {
        bool final = stage == picture.StageCount - 1;
        int across = final ? Math.Min(8, groups) : 16;
        int gap = final ? 8 : 6;
        int cell = (Width - 2 * Margin - (across - 1) * gap) / across;
        (int width, int height) = Fit(cell, final ? 160 : 80);
        RgbImage image = picture.Scaled(width, height);
        ushort[] assigned = picture.Groups(stage, width, height);
        long[] pixels = new long[groups];
        foreach (ushort group in picture.Groups(stage, picture.Base.Width, picture.Base.Height))
        {
            pixels[group]++;
        }
        int captions = final ? 3 : 1;
        int row = height + 3 + captions * Line + 4;
        for (int group = 0; group < groups; group++)
        {
            int left = Margin + group % across * (cell + gap);
            int y = top + group / across * row;
            Put(Highlighted(image, assigned, group, GroupColors.Of(stage, group)), left, y);
            string share = Percent((double)pixels[group] / (picture.Base.Width * (long)picture.Base.Height));
            int below = y + height + 3;
            Overlay.Fill(sheet, new Window(left, below + 1, 6, 6), GroupColors.Of(stage, group));
            Text(final ? $"{group}  {share}" : $"{group} {share}", left + 9, below, pixels[group] > 0 ? Ink : Faint, 1, cell - 9);
            if (final)
            {
                GroupExplanation facts = picture.Explanation.Groups[group];
                GroupLabel? winner = facts.Best.FirstOrDefault(label => label.Id == facts.Winner);
                Text(picture.Bank.Labels[facts.Winner], left, below + Line, Ink, 1, cell);
                Text(winner is null ? "" : winner.AllShare.ToString("0.00", CultureInfo.InvariantCulture), left, below + 2 * Line, Faint, 1, cell);
            }
        }
        top += (groups + across - 1) / across * row + Margin / 2;
    }

    // The group as it is, framed in its colour; the rest dark and grey.
    private static RgbImage Highlighted(RgbImage image, ushort[] assigned, int group, (byte R, byte G, byte B) color)
    {
        RgbImage tile = new(image.Width, image.Height);
        for (int i = 0; i < assigned.Length; i++)
        {
            ReadOnlySpan<byte> from = image.Pixels.AsSpan(3 * i, 3);
            Span<byte> to = tile.Pixels.AsSpan(3 * i, 3);
            if (assigned[i] == group)
            {
                bool edge = (i % image.Width > 0 && assigned[i - 1] != group) || (i % image.Width < image.Width - 1 && assigned[i + 1] != group)
                    || (i >= image.Width && assigned[i - image.Width] != group) || (i < assigned.Length - image.Width && assigned[i + image.Width] != group);
                if (edge)
                {
                    (to[0], to[1], to[2]) = ((byte)((color.R + 255) / 2), (byte)((color.G + 255) / 2), (byte)((color.B + 255) / 2));
                }
                else
                {
                    from.CopyTo(to);
                }
                continue;
            }
            to.Fill((byte)(30 + (from[0] + from[1] + from[2]) / 14));
        }
        return tile;
    }

    // Each group's number inside its region, where a box of its size fits.
    private static void Number(RgbImage image, ushort[] assigned, int groups)
    {
        for (int group = 0; group < groups; group++)
        {
            string text = $"{group}";
            (int width, int height) = (BitmapFont.Width(text, 1) + 4, BitmapFont.Height + 1);
            if (Place(assigned, image.Width, image.Height, group, width, height) is { } place)
            {
                Overlay.Fill(image, new Window(place.X, place.Y, width, height), (0, 0, 0));
                BitmapFont.Draw(image, text, place.X + 2, place.Y + 2, 1, (255, 255, 255));
            }
        }
    }

    // The place nearest to the middle of the region at which the whole box lies within it.
    private static (int X, int Y)? Place(ushort[] assigned, int width, int height, int group, int boxWidth, int boxHeight)
    {
        int[] sums = new int[(width + 1) * (height + 1)];
        (long sumX, long sumY, long count) = (0, 0, 0);
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                bool inside = assigned[y * width + x] == group;
                (sumX, sumY, count) = inside ? (sumX + x, sumY + y, count + 1) : (sumX, sumY, count);
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + sums[(y + 1) * (width + 1) + x] - sums[y * (width + 1) + x] + (inside ? 1 : 0);
            }
        }
        (int X, int Y)? best = null;
        double nearest = double.MaxValue;
        for (int y = 0; y + boxHeight <= height && count > 0; y++)
        {
            for (int x = 0; x + boxWidth <= width; x++)
            {
                int within = sums[(y + boxHeight) * (width + 1) + x + boxWidth] - sums[y * (width + 1) + x + boxWidth] - sums[(y + boxHeight) * (width + 1) + x] + sums[y * (width + 1) + x];
                double distance = Math.Pow(x + boxWidth / 2.0 - (double)sumX / count, 2) + Math.Pow(y + boxHeight / 2.0 - (double)sumY / count, 2);
                if (within == boxWidth * boxHeight && distance < nearest)
                {
                    (best, nearest) = ((x, y), distance);
                }
            }
        }
        return best;
    }

    private (int Width, int Height) Fit(int width, int height)
    {
        double scale = Math.Min((double)width / picture.Base.Width, (double)height / picture.Base.Height);
        return (Math.Max(1, (int)(picture.Base.Width * scale)), Math.Max(1, (int)(picture.Base.Height * scale)));
    }

    private void Put(RgbImage part, int left, int y)
    {
        for (int row = 0; row < part.Height && y + row < sheet.Height; row++)
        {
            part.Row(row).CopyTo(sheet.Row(y + row)[(3 * left)..]);
        }
    }

    private void Text(string text, int left, int y, (byte, byte, byte) color, int scale, int room)
    {
        int letters = room / (BitmapFont.Advance * scale);
        BitmapFont.Draw(sheet, text.Length <= letters ? text : text[..Math.Max(0, letters - 2)] + "..", left, y, scale, color);
    }

    private static string Percent(double share) => share == 0 ? "-" : (100 * share).ToString(share < 0.1 ? "0.0" : "0", CultureInfo.InvariantCulture) + "%";
}
