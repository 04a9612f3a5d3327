using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Groups;

/// <summary>A page that needs nothing beside itself: the picture, its groups by stage, and the label scores of the group under the pointer.</summary>
internal static class GroupPage
{
    private const int MaxSide = 480;

    // Regions are shown at half the picture's size: their borders are blurred by the patches anyway.
    private const int MapSide = 240;

    // Every character that could end the script element or begin a tag is escaped.
    private static readonly JsonWriterOptions Safe = new() { Encoder = JavaScriptEncoder.Default };

    public static void Write(Stream target, GroupPicture picture)
    {
        using Stream resource = typeof(GroupPage).Assembly.GetManifestResourceStream("groups.html")!;
        using StreamReader reader = new(resource, Encoding.UTF8);
        string page = reader.ReadToEnd().Replace("/*DATA*/", Encoding.UTF8.GetString(Data(picture)), StringComparison.Ordinal);
        target.Write(Encoding.UTF8.GetBytes(page));
    }

    private static byte[] Data(GroupPicture picture)
    {
        (int width, int height) = Fit(picture.Base, MaxSide);
        using MemoryStream png = new();
        PngWriter.WriteRgb(png, picture.Scaled(width, height));
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream, Safe))
        {
            writer.WriteStartObject();
            writer.WriteString("name", picture.Name);
            writer.WriteString("about", $"{picture.Base.Width} x {picture.Base.Height} pixels, {picture.Explanation.LabelCount} labels. What the network grouped, and how well each label names each final group (softmax over all labels).");
            writer.WriteNumber("width", width);
            writer.WriteNumber("height", height);
            writer.WriteString("picture", $"data:image/png;base64,{Convert.ToBase64String(png.GetBuffer().AsSpan(0, (int)png.Length))}");
            writer.WriteStartArray("stages");
            for (int stage = 0; stage < picture.StageCount; stage++)
            {
                WriteStage(writer, picture, stage);
            }
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static void WriteStage(Utf8JsonWriter writer, GroupPicture picture, int stage)
    {
        int last = picture.StageCount - 1;
        int groups = picture.GroupCount(stage);
        (int width, int height) = Fit(picture.Base, MapSide);
        ushort[] assigned = picture.Groups(stage, width, height);
        ushort[] finals = picture.Groups(last, width, height);
        writer.WriteStartObject();
        writer.WriteNumber("width", width);
        writer.WriteNumber("height", height);
        // A group's number in a byte; a model has 256 groups at most.
        writer.WriteString("map", Convert.ToBase64String([.. assigned.Select(group => (byte)group)]));
        writer.WriteStartArray("groups");
        for (int group = 0; group < groups; group++)
        {
            int[] pixels = [.. Enumerable.Range(0, assigned.Length).Where(i => assigned[i] == group)];
            (byte r, byte g, byte b) = GroupColors.Of(stage, group);
            writer.WriteStartObject();
            writer.WriteStartArray("color");
            writer.WriteNumberValue(r);
            writer.WriteNumberValue(g);
            writer.WriteNumberValue(b);
            writer.WriteEndArray();
            writer.WriteNumber("share", (double)pixels.Length / assigned.Length);
            IReadOnlyList<GroupLabel> labels = [];
            if (stage == last)
            {
                GroupExplanation facts = picture.Explanation.Groups[group];
                labels = facts.Best;
                writer.WriteString("label", picture.Bank.Labels[facts.Winner]);
                writer.WriteString("text", string.Create(CultureInfo.InvariantCulture, $"It went to '{picture.Bank.Labels[facts.Winner]}'; entropy over the labels {facts.Entropy:0.00} bits."));
            }
            else
            {
                writer.WriteString("label", "");
                writer.WriteString("text", Into(pixels, finals));
            }
            writer.WriteStartArray("labels");
            foreach (GroupLabel label in labels)
            {
                writer.WriteStartObject();
                writer.WriteString("label", label.Label);
                writer.WriteNumber("share", label.AllShare);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static string Into(int[] pixels, ushort[] finals)
    {
        if (pixels.Length == 0)
        {
            return "No pixel belongs to it.";
        }
        IEnumerable<string> parts = pixels.GroupBy(i => finals[i]).OrderByDescending(part => part.Count()).Take(3)
            .Select(part => string.Create(CultureInfo.InvariantCulture, $"{part.Key} ({100.0 * part.Count() / pixels.Length:0} %)"));
        return $"Its pixels are in the final groups {string.Join(", ", parts)}.";
    }

    private static (int Width, int Height) Fit(RgbImage image, int side)
    {
        double scale = Math.Min(1, (double)side / Math.Max(image.Width, image.Height));
        return (Math.Max(1, (int)(image.Width * scale)), Math.Max(1, (int)(image.Height * scale)));
    }
}
