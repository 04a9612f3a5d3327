using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Pictures;

/// <summary>How large the network's input is for a picture, and the session that holds the inputs of a list of pictures.</summary>
internal static class InputSize
{
    /// <summary>The input under a preset, in pixels.</summary>
    public static (int Width, int Height) Segmentation(GroupVitModel model, SegmentationOptions rules, int width, int height)
    {
        int side = model.Config.Vision.ImageSize;
        if (rules.Preset == SegmentationPreset.Nvlabs)
        {
            int shortSide = rules.ShortSide ?? model.SegmentationShortSide;
            (int inputWidth, int inputHeight) = Pipelines.NvlabsSize(width, height, shortSide, Math.Max(2048, shortSide));
            if (rules.Mode == SegmentationMode.Slide)
            {
                (int crop, _) = SlidingWindow.Sizes(rules, model.SegmentationShortSide);
                (inputWidth, inputHeight) = (Math.Min(inputWidth, crop), Math.Min(inputHeight, crop));
            }
            return (inputWidth, inputHeight);
        }
        return rules.Fit == PictureFit.Stretch ? (side, side) : Processor(model, width, height);
    }

    /// <summary>The input of the model folder's own processor, in pixels.</summary>
    public static (int Width, int Height) Processor(GroupVitModel model, int width, int height)
    {
        Layout layout = Pipelines.HuggingFaceLayout(width, height, model.Preprocessor ?? PreprocessorConfig.OfSize(model.Config.Vision.ImageSize));
        return (layout.Crop.Width, layout.Crop.Height);
    }

    /// <summary>The <see cref="SessionOptions.MaxSize"/> that holds every input: the largest one's, or a little more.</summary>
    /// <param name="model">The model.</param>
    /// <param name="pictures">Widths and heights of pictures, lying either way.</param>
    /// <param name="input">From a picture's width and height to its input's.</param>
    public static (int Height, int Width) Largest(GroupVitModel model, IEnumerable<(int Width, int Height)> pictures, Func<int, int, (int Width, int Height)> input)
    {
        int patch = model.Config.Vision.PatchSize;
        HashSet<(int Width, int Height)> inputs = [];
        foreach ((int width, int height) in pictures)
        {
            try
            {
                // The EXIF orientation, which is not known yet, may turn the picture.
                inputs.Add(input(width, height));
                inputs.Add(input(height, width));
            }
            catch (Exception exception) when (exception is ArgumentException or OverflowException)
            {
                // The picture's own error comes when it is its turn.
            }
        }
        int columns = 1;
        int rows = 1;
        foreach ((int width, int height) in inputs.Where(size => size.Width >= patch && size.Height >= patch))
        {
            if ((long)(width / patch) * (height / patch) > (long)columns * rows)
            {
                (columns, rows) = (width / patch, height / patch);
            }
        }
        // A session's pixels are counted with one patch more each way; a long thin input can need more of them than the largest.
        long pixels = inputs.Count == 0 ? 0 : inputs.Max(size => (long)size.Width * size.Height);
        while ((rows + 1L) * (columns + 1L) * patch * patch < pixels)
        {
            rows++;
        }
        return (rows * patch, columns * patch);
    }
}
