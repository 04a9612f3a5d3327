using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>How a picture becomes the network's input.</summary>
internal enum InputWay
{
    /// <summary>Segmentation by preset nvlabs (spec E.1).</summary>
    Nvlabs,

    /// <summary>The model folder's own processor (spec E.4): embeddings, and preset transformers.</summary>
    Processor,

    /// <summary>The processor's filter and statistics on the whole picture, stretched.</summary>
    Stretch,

    /// <summary>The authors' ImageNet evaluation (spec E.2).</summary>
    ImageNet,
}

/// <summary>A picture's input: its size, and the part of the picture that it shows.</summary>
internal readonly record struct InputShape(int Width, int Height, PictureRegion Region);

/// <summary>
/// Makes inputs for one worker. The way of preset nvlabs, which runs for every picture of a video or a folder, keeps its buffers: pictures of
/// the same size cost no allocation.
/// </summary>
internal sealed class InputPreparation(GroupVitModel model)
{
    private readonly PreprocessorConfig processor = model.Preprocessor ?? PreprocessorConfig.OfSize(model.Config.Vision.ImageSize);
    private OpenCvBilinear? resizer;
    private RgbImage? resized;

    /// <exception cref="ImageFileException">The input would be thinner than a patch.</exception>
    public InputShape Shape(RgbImage image, InputWay way, int shortSide)
    {
        int patch = model.Config.Vision.PatchSize;
        int side = model.Config.Vision.ImageSize;
        PictureRegion whole = new(0, 0, image.Width, image.Height);
        switch (way)
        {
            case InputWay.Nvlabs:
                (int width, int height) = Pipelines.NvlabsSize(image.Width, image.Height, shortSide, Math.Max(2048, shortSide));
                if (width < patch || height < patch)
                {
                    throw new ImageFileException(image.Name, $"{image.Width} x {image.Height} pixels become {width} x {height}, thinner than one patch of {patch}; crop the picture");
                }
                return new InputShape(width, height, whole);
            case InputWay.Processor:
                Layout layout = Pipelines.HuggingFaceLayout(image.Width, image.Height, processor);
                Window crop = layout.Crop;
                if (crop.Width < patch || crop.Height < patch)
                {
                    throw new ImageFileException(image.Name, $"the model's processor makes {crop.Width} x {crop.Height} pixels of it, less than one patch of {patch}");
                }
                int left = Scale(Math.Max(crop.Left, 0), image.Width, layout.Width);
                int top = Scale(Math.Max(crop.Top, 0), image.Height, layout.Height);
                int right = Scale(Math.Min(crop.Left + crop.Width, layout.Width), image.Width, layout.Width);
                int bottom = Scale(Math.Min(crop.Top + crop.Height, layout.Height), image.Height, layout.Height);
                return new InputShape(crop.Width, crop.Height, new PictureRegion(left, top, Math.Max(1, right - left), Math.Max(1, bottom - top)));
            default:
                return new InputShape(side, side, whole);
        }
    }

    /// <summary>Writes the normalised input, cut to whole patches: [3, height, width].</summary>
    public void Fill(RgbImage image, InputWay way, InputShape shape, int width, int height, Span<float> target)
    {
        switch (way)
        {
            case InputWay.Nvlabs:
                Normalize.Nvlabs.Apply(Resized(image, shape), width, height, target);
                break;
            case InputWay.Processor:
                processor.Normalization.Apply(Pipelines.HuggingFace(image, processor), width, height, target);
                break;
            case InputWay.Stretch:
                processor.Normalization.Apply(Pipelines.Stretch(image, shape.Width, shape.Height, processor), width, height, target);
                break;
            default:
                Normalize.ImageNet.Apply(Pipelines.ImageNet(image, model.Config.Vision.ImageSize), width, height, target);
                break;
        }
    }

    /// <summary>Writes a part of the picture that was resized last, normalised: [3, height, width].</summary>
    public void FillPart(Window part, Span<float> target) => Normalize.Nvlabs.Apply(resized!, part, target);

    /// <summary>Preset nvlabs' resized picture; held until the next.</summary>
    public RgbImage Resized(RgbImage image, InputShape shape)
    {
        if (resizer is null || resizer.FromWidth != image.Width || resizer.FromHeight != image.Height || resizer.ToWidth != shape.Width || resizer.ToHeight != shape.Height)
        {
            resizer = new OpenCvBilinear(image.Width, image.Height, shape.Width, shape.Height);
            resized = new RgbImage(shape.Width, shape.Height, image.Name);
        }
        resizer.Run(image, resized!);
        return resized!;
    }

    private static int Scale(int position, int to, int from) => (int)Math.Round((double)position * to / from, MidpointRounding.AwayFromZero);
}
