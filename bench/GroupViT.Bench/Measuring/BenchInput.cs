using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;

namespace GroupViT.Bench.Measuring;

/// <summary>What the benchmarks feed the network.</summary>
internal static class BenchInput
{
    /// <summary>[batch, 3, size, size]: the picture of spec K.2, in every place of the batch.</summary>
    public static float[] Pixels(int batch, int size)
    {
        float[] one = FullModel.Pixels(size, size);
        float[] all = new float[batch * one.Length];
        for (int b = 0; b < batch; b++)
        {
            one.CopyTo(all, b * one.Length);
        }
        return all;
    }

    /// <summary>A photograph of 640 x 640 pixels as a PNG file: made from one of the fixtures, square, so that the network's input is.</summary>
    public static string PictureFile
    {
        get
        {
            string path = Repository.Join("artifacts", "bench", "picture-640.png");
            if (!File.Exists(path))
            {
                RgbImage square = Resize.PilBicubic(Picture.FromFile(Repository.Join("tests", "fixtures", "preprocess", "coffee.png")).Image, 640, 640);
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                AtomicFile.Write(path, stream => PngWriter.WriteRgb(stream, square));
            }
            return path;
        }
    }

    /// <summary>A folder of square parts of two photographs, all different, as PNG files of so many pixels a side.</summary>
    public static string Folder(int pictures, int side)
    {
        string folder = Repository.Join("artifacts", "bench", $"folder-{side}-{pictures}");
        Directory.CreateDirectory(folder);
        for (int i = 0; i < pictures; i++)
        {
            string path = Path.Combine(folder, $"{i:000}.png");
            if (!File.Exists(path))
            {
                RgbImage photograph = Picture.FromFile(Repository.Join("tests", "fixtures", "preprocess", i % 2 == 0 ? "coffee.png" : "chelsea.png")).Image;
                int part = photograph.Height - (i % 7 * 8);
                (int left, int top) = (i * 37 % (photograph.Width - part + 1), i * 11 % (photograph.Height - part + 1));
                RgbImage crop = RgbImage.FromPixels(photograph.Pixels.AsSpan(3 * ((top * photograph.Width) + left)), part, part, 3 * photograph.Width, PixelFormat.Rgb);
                AtomicFile.Write(path, stream => PngWriter.WriteRgb(stream, Resize.PilBicubic(crop, side, side)));
            }
        }
        return folder;
    }

    /// <summary>Photographs of different sizes and shapes, as files.</summary>
    public static IReadOnlyList<string> Photographs
        => [.. ((string[])["chelsea.png", "coffee.png", "odd_225x223.png"]).Select(name => Repository.Join("tests", "fixtures", "preprocess", name))];

    /// <summary>The labels of PASCAL VOC with its background.</summary>
    public static IReadOnlyList<string> Labels => ClassNames.Get("voc");

    /// <summary>So many texts of so many tokens each: start, arbitrary words, end.</summary>
    public static (int[] Ids, int[] Lengths) Texts(GroupVitModel model, int batch, int length)
    {
        ArgumentNullException.ThrowIfNull(model);
        int[] ids = new int[batch * length];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = (i % length) switch
            {
                0 => model.Tokenizer.StartId,
                int place when place == length - 1 => model.Tokenizer.EndId,
                _ => i * 7919 % model.Tokenizer.StartId,
            };
        }
        return (ids, [.. Enumerable.Repeat(length, batch)]);
    }
}
