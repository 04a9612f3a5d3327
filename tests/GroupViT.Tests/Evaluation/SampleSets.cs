using System.Text.Json;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Evaluation;

/// <summary>Data sets in the layouts that people have, made of the demonstration scenes or of a few grey pictures.</summary>
internal static class SampleSets
{
    public static readonly JsonElement Answers = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Path("scenes", "answers.json"))).RootElement;

    public static IEnumerable<string> Scenes => Answers.GetProperty("pictures").EnumerateObject().Select(picture => picture.Name);

    /// <summary>The scenes for which the reference made label maps of a kind, as a plain folder.</summary>
    public static void Folder(TemporaryFolder folder, string way, int most = int.MaxValue)
    {
        foreach (string scene in Scenes.Where(scene => File.Exists(Fixtures.Path("scenes", $"{scene}.{way}.png"))).Take(most))
        {
            folder.Write($"images/{scene}.png", File.ReadAllBytes(Fixtures.Path("scenes", $"{scene}.picture.png")));
            folder.Write($"labels/{scene}.png", File.ReadAllBytes(Fixtures.Path("scenes", $"{scene}.truth.png")));
        }
        folder.Write("classes.txt", File.ReadAllBytes(Path.Combine(Fixtures.Models("scenes"), "labels.txt")));
    }

    public static byte[] Picture(int width, int height, byte level = 128)
    {
        RgbImage image = new(width, height);
        Array.Fill(image.Pixels, level);
        using MemoryStream stream = new();
        PngWriter.WriteRgb(stream, image);
        return stream.ToArray();
    }

    public static byte[] Map(int width, int height, params byte[] values)
    {
        byte[] pixels = new byte[width * height];
        for (int i = 0; i < pixels.Length; i++)
        {
            pixels[i] = values[i % values.Length];
        }
        using MemoryStream stream = new();
        PngWriter.WriteGray8(stream, width, height, pixels);
        return stream.ToArray();
    }

    /// <summary>VOC and Context: the names in the split, a picture (PNG bytes under .jpg: the decoder goes by content) and a label map each.</summary>
    public static void Pascal(TemporaryFolder folder, string year, string splitFolder, string truthFolder, params (string Name, byte[] Map)[] samples)
    {
        foreach ((string name, byte[] map) in samples)
        {
            folder.Write($"{year}/JPEGImages/{name}.jpg", Picture(40, 32));
            folder.Write($"{year}/{truthFolder}/{name}.png", map);
        }
        folder.Write($"{year}/ImageSets/{splitFolder}/val.txt", System.Text.Encoding.UTF8.GetBytes(string.Join('\n', samples.Select(sample => sample.Name)) + "\n"));
    }

    public static JsonElement Result(TemporaryFolder folder, string name = "out/result.json") => JsonDocument.Parse(File.ReadAllBytes(folder.Join(name))).RootElement;

    public static int ClassCount(string set) => ClassNames.Get(set).Length;
}
