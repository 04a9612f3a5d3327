using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Evaluation;

/// <summary>
/// A confusion matrix as a picture: a row for each truth that occurs, a column for each label that occurs as truth or prediction, a cell the
/// darker the larger its share of the row.
/// </summary>
internal static class ConfusionPicture
{
    private const int MaxSide = 4096;
    private const int Margin = 8;

    private static readonly (byte, byte, byte) Ink = (40, 40, 40);
    private static readonly (byte, byte, byte) Paper = (255, 255, 255);
    private static readonly (byte, byte, byte) Line = (225, 225, 225);

    public static RgbImage Draw(ConfusionMatrix confusion, IReadOnlyList<string> names)
    {
        int labels = confusion.Labels;
        bool[] seen = new bool[labels];
        foreach ((int truth, int predicted, _) in confusion.Cells())
        {
            seen[truth] = true;
            if (predicted < labels)
            {
                seen[predicted] = true;
            }
        }
        int[] shown = [.. Enumerable.Range(0, labels).Where(i => seen[i])];
        int count = Math.Max(1, shown.Length);
        // Names fit beside cells that are as high as a line of text; thousands of classes get a pixel or a few each and no names.
        int cell = Math.Clamp((MaxSide - 200) / count, 1, 14);
        bool named = cell >= BitmapFont.Height + 1;
        int left = Margin + (named ? shown.Select(i => BitmapFont.Width(names[i], 1)).DefaultIfEmpty(0).Max() + 6 : 0);
        int top = Margin + (named ? left - Margin : 0);
        RgbImage image = new(left + count * cell + Margin, top + count * cell + Margin);
        Overlay.Fill(image, new Window(0, 0, image.Width, image.Height), Paper);
        for (int row = 0; row < shown.Length; row++)
        {
            double total = confusion.Row(shown[row]);
            for (int column = 0; column < shown.Length; column++)
            {
                double share = total == 0 ? 0 : confusion[shown[row], shown[column]] / total;
                // The root brings out small shares, which are what one looks for.
                double depth = Math.Sqrt(share);
                (double r, double g, double b) full = row == column ? (20, 110, 60) : (190, 40, 30);
                (byte, byte, byte) color = share == 0 ? (cell > 2 ? Line : Paper) : (Mix(full.r, depth), Mix(full.g, depth), Mix(full.b, depth));
                int inner = cell > 2 ? cell - 1 : cell;
                Overlay.Fill(image, new Window(left + column * cell, top + row * cell, inner, inner), share == 0 && cell > 2 ? ((byte)248, (byte)248, (byte)248) : color);
            }
            if (named)
            {
                string name = names[shown[row]];
                int middle = (cell - BitmapFont.Height) / 2 + 1;
                BitmapFont.Draw(image, name, left - 4 - BitmapFont.Width(name, 1), top + row * cell + middle, 1, Ink);
                DrawUpwards(image, name, left + row * cell + middle, top - 4);
            }
        }
        return image;
    }

    private static byte Mix(double full, double depth) => (byte)Math.Round(255 + (full - 255) * (0.15 + 0.85 * depth));

    // Text turned a quarter to the left, from its bottom up.
    private static void DrawUpwards(RgbImage image, string text, int left, int bottom)
    {
        int width = BitmapFont.Width(text, 1);
        if (width == 0)
        {
            return;
        }
        RgbImage flat = new(width, BitmapFont.Height);
        BitmapFont.Draw(flat, text, 0, 0, 1, (255, 255, 255));
        for (int y = 0; y < flat.Height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                if (flat.Row(y)[3 * x] != 0)
                {
                    Overlay.Fill(image, new Window(left + y, bottom - 1 - x, 1, 1), Ink);
                }
            }
        }
    }
}
