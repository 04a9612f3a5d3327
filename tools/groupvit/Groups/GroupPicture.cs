using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Groups;

/// <summary>What is drawn of a picture: what the network saw, its groups by stage, and what became of them.</summary>
internal sealed class GroupPicture
{
    private readonly GroupMap[] stages;
    private readonly Dictionary<(int Stage, int Width, int Height), ushort[]> assigned = [];

    public GroupPicture(string name, Picture picture, ImageEncoding encoding, SegmentationResult result, Explanation explanation, LabelBank bank, LabelColors colors, GroupVitModel model, int? shortSide)
    {
        (Name, Result, Explanation, Bank, Colors) = (name, result, explanation, bank, colors);
        stages = [.. encoding.StageMaps];
        Base = SeenByTheNetwork(picture, shortSide ?? model.SegmentationShortSide);
    }

    public string Name { get; }

    /// <summary>The network's input, turned back into a picture of the original size.</summary>
    public RgbImage Base { get; }

    public SegmentationResult Result { get; }

    public Explanation Explanation { get; }

    public LabelBank Bank { get; }

    public LabelColors Colors { get; }

    public int StageCount => stages.Length;

    public int GroupCount(int stage) => stages[stage].Groups;

    /// <summary>The label whose pixels stay as they are, or -1.</summary>
    public int Background => Bank.HasBackground ? 0 : -1;

    /// <summary>The group of each pixel at a size.</summary>
    public ushort[] Groups(int stage, int width, int height)
    {
        if (!assigned.TryGetValue((stage, width, height), out ushort[]? groups))
        {
            assigned[(stage, width, height)] = groups = stages[stage].AssignPixels(width, height);
        }
        return groups;
    }

    /// <summary>The base at a smaller size, by averaging the pixels under each.</summary>
    public RgbImage Scaled(int width, int height) => width == Base.Width && height == Base.Height ? Base : Resize.PilBilinear(Base, width, height, new Window(0, 0, width, height));

    /// <summary>The labels at a smaller size: those of the pixels in the middle of each.</summary>
    public ushort[] ScaledLabels(int width, int height)
    {
        ReadOnlySpan<ushort> mask = Result.Mask.Span;
        ushort[] labels = new ushort[width * height];
        for (int i = 0; i < labels.Length; i++)
        {
            int x = (int)(((long)(i % width) * 2 + 1) * Result.Width / (2 * width));
            int y = (int)(((long)(i / width) * 2 + 1) * Result.Height / (2 * height));
            labels[i] = mask[y * Result.Width + x];
        }
        return labels;
    }

    // Normalised and back, in float32, and cut off, as the demonstration does it: a few levels come out one lower.
    private static RgbImage SeenByTheNetwork(Picture picture, int shortSide)
    {
        RgbImage input = Pipelines.Nvlabs(picture.Image, shortSide, Math.Max(2048, shortSide));
        (float Mean, float Std)[] channels = [(123.675f, 58.395f), (116.28f, 57.12f), (103.53f, 57.375f)];
        byte[,] back = new byte[3, 256];
        for (int c = 0; c < 3; c++)
        {
            for (int value = 0; value < 256; value++)
            {
                float normal = (float)((value - (double)channels[c].Mean) * (1 / (double)channels[c].Std));
                back[c, value] = (byte)Math.Clamp(normal * channels[c].Std + channels[c].Mean, 0, 255);
            }
        }
        RgbImage seen = new(input.Width, input.Height, picture.Image.Name);
        for (int i = 0; i < seen.Pixels.Length; i++)
        {
            seen.Pixels[i] = back[i % 3, input.Pixels[i]];
        }
        return Resize.OpenCvBilinear(seen, picture.Width, picture.Height);
    }
}
