namespace GroupViT.Native.Imaging;

/// <summary>A colour for each label, the same in masks, overlays and tables. Label i has the same colour however many there are.</summary>
internal sealed class LabelColors
{
    // Hand-picked so that neighbours in a list differ in hue and lightness, and all stay visible when mixed with a photograph.
    private static readonly (byte R, byte G, byte B)[] First =
    [
        (230, 60, 60), (60, 140, 230), (250, 200, 40), (50, 170, 80), (170, 80, 200), (245, 130, 40), (70, 210, 220), (235, 90, 170),
        (150, 220, 60), (150, 95, 45), (90, 90, 220), (250, 170, 160), (20, 125, 125), (215, 175, 255), (130, 130, 30), (130, 20, 50),
        (170, 235, 190), (30, 50, 130), (255, 225, 160), (120, 130, 145),
    ];

    private readonly (byte R, byte G, byte B)[] _colors;

    private LabelColors((byte, byte, byte)[] colors) => _colors = colors;

    /// <summary>How many labels have a colour of their own; beyond that they repeat.</summary>
    public int Count => _colors.Length;

    /// <summary>The default colours.</summary>
    public static LabelColors Default { get; } = new([.. Enumerable.Range(0, 1024).Select(Make)]);

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

    /// <summary>After the hand-picked ones: hues a golden angle apart (no two ever meet), in three strengths.</summary>
    private static (byte R, byte G, byte B) Make(int label)
    {
        if (label < First.Length)
        {
            return First[label];
        }
        double hue = label * 0.6180339887498949 % 1 * 6;
        double value = (label % 3) switch
        {
            0 => 0.95,
            1 => 0.65,
            _ => 0.8,
        };
        double saturation = label % 2 == 0 ? 0.85 : 0.55;
        return (Channel(5), Channel(3), Channel(1));

        byte Channel(int n)
        {
            double k = (n + hue) % 6;
            return (byte)Math.Round(255 * value * (1 - (saturation * Math.Clamp(Math.Min(k, 4 - k), 0, 1))));
        }
    }
}
