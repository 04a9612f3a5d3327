using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Fuzz.Targets;

/// <summary>preprocessor_config.json: <see cref="PreprocessorConfig.Parse"/>.</summary>
internal sealed class PreprocessorTarget : JsonTarget
{
    public override string Name => "preprocessor";

    protected override IReadOnlyList<string> Words { get; } =
    [
        "\"do_resize\"", "\"size\"", "\"shortest_edge\"", "\"longest_edge\"", "\"height\"", "\"width\"", "\"resample\"", "\"do_center_crop\"", "\"crop_size\"", "\"do_rescale\"", "\"rescale_factor\"",
        "\"do_normalize\"", "\"image_mean\"", "\"image_std\"", "\"segmentation_short_side\"", "[0.5,0.5,0.5]", "[0,0,0]", "[1,1]", "0.00392156862745098", "8192", "8193", "224", "2", "3",
        "{\"shortest_edge\":224}", "{\"height\":8,\"width\":9}",
    ];

    public override void Parse(byte[] input)
    {
        PreprocessorConfig config = PreprocessorConfig.Parse(input, "mutant");
        Require(config.Mean.Count == 3 && config.Std.Count == 3 && config.Mean.All(double.IsFinite) && config.Std.All(value => value > 0 && double.IsFinite(value)), "statistics that cannot be divided by");
        Require(config.CropSize.Width is >= 1 and <= PreprocessorConfig.MaxSide && config.CropSize.Height is >= 1 and <= PreprocessorConfig.MaxSide, "a crop of a size that is not allowed");
        Require(config.ShortestEdge is >= 1 and <= PreprocessorConfig.MaxSide || config is { ShortestEdge: null, Size: { Width: >= 1 and <= PreprocessorConfig.MaxSide, Height: >= 1 and <= PreprocessorConfig.MaxSide } }, "a size that is not allowed");
        Require(config.RescaleFactor > 0 && double.IsFinite(config.RescaleFactor), "a factor that makes no picture");
        _ = config.Normalization;
    }

    /// <summary>The document's table and the sets that find double names: see <see cref="ConfigTarget.AllocationBound"/>.</summary>
    public override long AllocationBound(byte[] input) => (64L << 10) + 100L * input.Length;
}
