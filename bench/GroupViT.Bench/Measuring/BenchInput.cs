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

    /// <summary>A square part of one of two photographs as a PNG file of so many pixels a side, another for each number.</summary>
    public static string Crop(int number, int side)
    {
        string path = Repository.Join("artifacts", "bench", $"folder-{side}", $"{number:000}.png");
        if (!File.Exists(path))
        {
            RgbImage photograph = Picture.FromFile(Repository.Join("tests", "fixtures", "preprocess", number % 2 == 0 ? "coffee.png" : "chelsea.png")).Image;
            int part = photograph.Height - (number % 7 * 8);
            int left = number * 37 % (photograph.Width - part + 1), top = number * 11 % (photograph.Height - part + 1);
            RgbImage crop = RgbImage.FromPixels(photograph.Pixels.AsSpan(3 * ((top * photograph.Width) + left)), part, part, 3 * photograph.Width, PixelFormat.Rgb);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            AtomicFile.Write(path, stream => PngWriter.WriteRgb(stream, Resize.PilBicubic(crop, side, side)));
        }
        return path;
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
