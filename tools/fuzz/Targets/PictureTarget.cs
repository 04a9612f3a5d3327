using GroupViT.Native;
using GroupViT.Native.Imaging;
using StbImageSharp;

namespace GroupViT.Fuzz.Targets;

/// <summary>A picture through the gate and its decoder: <see cref="ImageDecoder.Decode(byte[], string, ImageDecodeOptions)"/>.</summary>
internal abstract class PictureTarget : FuzzTarget
{
    public sealed override IReadOnlyList<string> Stages { get; } = ["refused: magic or header", "refused: the gate's walk", "refused: pixel data, by the decoder", "accepted"];

    public sealed override int FirstStagePastHeader => 1;

    public override void Parse(byte[] input)
    {
        // The decoder behind the gate allocates where the runtime does not count; whatever it takes it must give back.
        int native = StbImage.NativeAllocations;
        try
        {
            RgbImage image = ImageDecoder.Decode(input, "mutant");
            Require(image.Width >= 1 && image.Height >= 1 && image.Pixels.Length == image.Width * image.Height * 3, "a raster that is not its size");
        }
        finally
        {
            Require(StbImage.NativeAllocations == native, "native buffers are lost");
        }
    }

    public sealed override bool IsRefusal(Exception exception) => exception is ImageFileException;

    /// <summary>
    /// Twelve bytes a pixel (two rasters of three samples while the picture is turned upright, and the decoder's own), for no more pixels than
    /// the file's bytes can hold: a packed byte can unfold to 1,032 (deflate), a byte of those to eight pixels of three samples in two rasters, which is
    /// just below 50,000. A JPEG's bytes hold eight blocks at most, which is less.
    /// </summary>
    public override long AllocationBound(byte[] input)
    {
        (int width, int height) = PassesHeader(input) ? Size(input) : default;
        return (256L << 10) + 8L * input.Length + Math.Min(12L * width * height, 50_000L * input.Length);
    }

    public sealed override int Stage(byte[] input, Exception? refusal) => refusal is null ? 3 : !PassesHeader(input) ? 0 : PassesWalk(input) ? 2 : 1;

    protected abstract bool PassesHeader(byte[] input);

    /// <summary>The size that a header which passes declares.</summary>
    protected abstract (int Width, int Height) Size(byte[] input);

    protected abstract void Walk(byte[] input);

    private bool PassesWalk(byte[] input)
    {
        try
        {
            Walk(input);
            return true;
        }
        catch (ImageFileException)
        {
            return false;
        }
    }
}
