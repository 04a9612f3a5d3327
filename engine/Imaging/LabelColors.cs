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

    /// <summary>
    /// After the hand-picked ones, each colour is the one of a grid that lies farthest, in CIE Lab, from all before it: the least distance among
    /// the first 68 is 20.8 (9.6 where distances are taken in weighted RGB).
    /// </summary>
    private static (byte R, byte G, byte B)[] Spread(int count)
    {
        List<((byte R, byte G, byte B) Color, (double L, double A, double B) Lab)> grid = [];
        for (int i = 0; i < 9 * 9 * 9; i++)
        {
            (int r, int g, int b) = (i / 81 * 255 / 8, i / 9 % 9 * 255 / 8, i % 9 * 255 / 8);
            (byte, byte, byte) color = ((byte)r, (byte)g, (byte)b);
            // Neither dark nor near grey: those vanish in a picture's shadows.
            if (Lab(color).L >= 35 && Math.Max(r, Math.Max(g, b)) - Math.Min(r, Math.Min(g, b)) >= 60)
            {
                grid.Add((color, Lab(color)));
            }
        }
        List<(byte R, byte G, byte B)> colors = [.. First];
        double[] nearest = [.. grid.Select(candidate => First.Min(color => Distance(candidate.Lab, Lab(color))))];
        while (colors.Count < count)
        {
            int best = Array.IndexOf(nearest, nearest.Max());
            colors.Add(grid[best].Color);
            for (int i = 0; i < nearest.Length; i++)
            {
                nearest[i] = Math.Min(nearest[i], Distance(grid[i].Lab, grid[best].Lab));
            }
        }
        return [.. colors];
    }

    /// <summary>CIE 1976 L*a*b* of an sRGB colour, white point D65.</summary>
    private static (double L, double A, double B) Lab((byte R, byte G, byte B) color)
    {
        (double r, double g, double b) = (Linear(color.R), Linear(color.G), Linear(color.B));
        double x = Curve(((0.4124 * r) + (0.3576 * g) + (0.1805 * b)) / 0.9505);
        double y = Curve((0.2126 * r) + (0.7152 * g) + (0.0722 * b));
        double z = Curve(((0.0193 * r) + (0.1192 * g) + (0.9505 * b)) / 1.089);
        return ((116 * y) - 16, 500 * (x - y), 200 * (y - z));

        static double Linear(byte value) => value / 255.0 is var v && v > 0.04045 ? Math.Pow((v + 0.055) / 1.055, 2.4) : v / 12.92;

        static double Curve(double t) => t > 0.008856 ? Math.Cbrt(t) : (7.787 * t) + (16.0 / 116);
    }

    private static double Distance((double L, double A, double B) a, (double L, double A, double B) b)
        => ((a.L - b.L) * (a.L - b.L)) + ((a.A - b.A) * (a.A - b.A)) + ((a.B - b.B) * (a.B - b.B));
}
