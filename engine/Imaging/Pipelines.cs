namespace GroupViT.Native.Imaging;

/// <summary>How a picture is laid out before it is normalised: its size after resizing, and the part of that which is kept.</summary>
/// <param name="Width">Width after resizing.</param>
/// <param name="Height">Height after resizing.</param>
/// <param name="Crop">The part that is kept; where it reaches past the borders, zeros are padded.</param>
internal readonly record struct Layout(int Width, int Height, Window Crop);

/// <summary>The references' ways from a decoded picture to the raster that the network sees (spec E.1, E.2, E.4).</summary>
internal static class Pipelines
{
    /// <summary>The most pixels a resized picture may have.</summary>
    public const long MaxPixels = 64L << 20;

    /// <summary>The size that the original's segmentation resizes to (spec E.1): short side to 448, unless the long side would pass 2048.</summary>
    public static (int Width, int Height) NvlabsSize(int width, int height, int shortSide = 448, int longSide = 2048)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shortSide);
        ArgumentOutOfRangeException.ThrowIfLessThan(longSide, shortSide);
        double factor = Math.Min((double)longSide / Math.Max(width, height), (double)shortSide / Math.Min(width, height));
        // A picture so narrow that its short side rounds to nothing keeps one pixel; OpenCV would refuse it.
        return (Math.Max(1, (int)((width * factor) + 0.5)), Math.Max(1, (int)((height * factor) + 0.5)));
    }

    /// <summary>The original's segmentation input: OpenCV's bilinear, whole picture. Normalise with <see cref="Normalize.Nvlabs"/>.</summary>
    public static RgbImage Nvlabs(RgbImage image, int shortSide = 448, int longSide = 2048)
    {
        (int width, int height) = NvlabsSize(image.Width, image.Height, shortSide, longSide);
        CheckSize(image, width, height);
        return Resize.OpenCvBilinear(image, width, height);
    }

    /// <summary>The layout of the original's ImageNet evaluation (spec E.2): short side to <c>int(256/224 * size)</c>, then the centre.</summary>
    public static Layout ImageNetLayout(int width, int height, int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        (int w, int h) = ShortestEdge(width, height, (int)(256.0 / 224.0 * size));
        return new(w, h, new(HalfToEven(w - size), HalfToEven(h - size), size, size));
    }

    /// <summary>The original's ImageNet evaluation: Pillow's bilinear, centre crop. Normalise with <see cref="Normalize.ImageNet"/>.</summary>
    public static RgbImage ImageNet(RgbImage image, int size = 224) =>
        Run(image, ImageNetLayout(image.Width, image.Height, size), PilFilter.Bilinear);

    /// <summary>The layout of Hugging Face's CLIP image processor (spec E.4) under a configuration.</summary>
    public static Layout HuggingFaceLayout(int width, int height, PreprocessorConfig config)
    {
        if (config.Resize)
        {
            (width, height) = config.ShortestEdge is int edge ? ShortestEdge(width, height, edge) : config.Size;
        }
        (int cropWidth, int cropHeight) = config.CenterCrop ? config.CropSize : (width, height);
        // An arithmetic shift rounds down, also where the picture is smaller than the crop.
        return new(width, height, new((width - cropWidth) >> 1, (height - cropHeight) >> 1, cropWidth, cropHeight));
    }

    /// <summary>Hugging Face's CLIP image processor up to the 8-bit raster. Normalise with <see cref="PreprocessorConfig.Normalization"/>.</summary>
    public static RgbImage HuggingFace(RgbImage image, PreprocessorConfig config) =>
        Run(image, HuggingFaceLayout(image.Width, image.Height, config), config.Filter);

    /// <summary>The whole picture, stretched to a size with the configuration's filter; the aspect ratio is not kept.</summary>
    public static RgbImage Stretch(RgbImage image, int width, int height, PreprocessorConfig config) =>
        Run(image, new(width, height, new(0, 0, width, height)), config.Filter);

    private static RgbImage Run(RgbImage image, Layout layout, PilFilter filter)
    {
        Window crop = layout.Crop;
        CheckSize(image, crop.Width, crop.Height);
        int left = Math.Max(crop.Left, 0), top = Math.Max(crop.Top, 0);
        int right = Math.Min(crop.Left + crop.Width, layout.Width), bottom = Math.Min(crop.Top + crop.Height, layout.Height);
        // Only what is kept is computed: of a very long picture the rest could not even be held.
        Window inside = new(left, top, right - left, bottom - top);
        RgbImage part = filter == PilFilter.Bicubic
            ? Resize.PilBicubic(image, layout.Width, layout.Height, inside)
            : Resize.PilBilinear(image, layout.Width, layout.Height, inside);
        if (part.Width == crop.Width && part.Height == crop.Height)
        {
            return part;
        }
        RgbImage padded = new(crop.Width, crop.Height, image.Name);
        for (int y = 0; y < part.Height; y++)
        {
            part.Row(y).CopyTo(padded.Row(y + top - crop.Top)[((left - crop.Left) * 3)..]);
        }
        return padded;
    }

    /// <summary>Short side to <paramref name="edge"/>, long side truncated to <c>edge * long / short</c>.</summary>
    private static (int Width, int Height) ShortestEdge(int width, int height, int edge) => width <= height
        ? (edge, checked((int)((long)edge * height / width)))
        : (checked((int)((long)edge * width / height)), edge);

    /// <summary>Python's <c>round(value / 2)</c>.</summary>
    private static int HalfToEven(int value) => (int)Math.Round(value / 2.0, MidpointRounding.ToEven);

    private static void CheckSize(RgbImage image, int width, int height)
    {
        if ((long)width * height > MaxPixels)
        {
            throw new ImageFileException(image.Name, $"would become {width} x {height} pixels after resizing, above the limit of {MaxPixels}; ask for a smaller size or crop the picture");
        }
    }
}
