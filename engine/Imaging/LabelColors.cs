namespace GroupViT.Native.Imaging;

/// <summary>A colour for each label, the same in masks, overlays and tables. Label i has the same colour however many there are.</summary>
internal sealed class LabelColors
{
    // Hand-picked: neighbours in a list differ in hue and lightness, and all stay visible when mixed with a photograph. The first
    // eight look like the demonstration model's first labels (grass, sky, sand, sea, snow, night, brick, wood).
    private static readonly (byte R, byte G, byte B)[] First =
    [
        (70, 185, 80), (60, 140, 230), (250, 200, 60), (20, 125, 125), (215, 175, 255), (30, 50, 130), (230, 60, 60), (150, 95, 45),
        (170, 80, 200), (245, 130, 40), (235, 90, 170), (70, 210, 220), (150, 220, 60), (130, 20, 50), (250, 170, 160), (95, 105, 20),
        (90, 90, 220), (170, 235, 190), (255, 225, 160), (120, 130, 145),
    ];

    private readonly (byte R, byte G, byte B)[] _colors;

    private LabelColors((byte, byte, byte)[] colors) => _colors = colors;

    /// <summary>How many labels have a colour of their own; beyond that they repeat.</summary>
    public int Count => _colors.Length;

    /// <summary>The default colours.</summary>
    public static LabelColors Default { get; } = new(Spread(256));

    /// <summary>Colours of one's own (a data set's palette).</summary>
    public static LabelColors From(IEnumerable<(byte R, byte G, byte B)> colors)
    {
        (byte, byte, byte)[] own = [.. colors];
        return own.Length > 0 ? new(own) : throw new ArgumentException("at least one colour is needed", nameof(colors));
    }

    public (byte R, byte G, byte B) this[int label]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(label);
            return _colors[label % _colors.Length];
        }
    }

    /// <summary>After the hand-picked ones, each colour is the one of a grid that lies farthest from all before it.</summary>
    private static (byte R, byte G, byte B)[] Spread(int count)
    {
        List<(byte R, byte G, byte B)> grid = [];
        for (int i = 0; i < 9 * 9 * 9; i++)
        {
            (int r, int g, int b) = (i / 81 * 255 / 8, i / 9 % 9 * 255 / 8, i % 9 * 255 / 8);
            // Neither dark nor near grey: those vanish in a picture's shadows. With 100 instead of 190, the demonstration model's house
            // (0, 0, 127) could not be told from its night (30, 50, 130).
            if (Math.Max(r, Math.Max(g, b)) >= 190 && Math.Max(r, Math.Max(g, b)) - Math.Min(r, Math.Min(g, b)) >= 60)
            {
                grid.Add(((byte)r, (byte)g, (byte)b));
            }
        }
        List<(byte R, byte G, byte B)> colors = [.. First];
        int[] nearest = [.. grid.Select(candidate => First.Min(color => Distance(candidate, color)))];
        while (colors.Count < count)
        {
            int best = Array.IndexOf(nearest, nearest.Max());
            colors.Add(grid[best]);
            for (int i = 0; i < nearest.Length; i++)
            {
                nearest[i] = Math.Min(nearest[i], Distance(grid[i], grid[best]));
            }
        }
        return [.. colors];
    }

    /// <summary>Squared, weighted as the eye sees the channels (roughly: 2, 4, 3).</summary>
    private static int Distance((byte R, byte G, byte B) a, (byte R, byte G, byte B) b)
    {
        (int r, int g, int blue) = (a.R - b.R, a.G - b.G, a.B - b.B);
        return (2 * r * r) + (4 * g * g) + (3 * blue * blue);
    }
}
