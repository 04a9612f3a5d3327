using System.Text;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

internal sealed class PreprocessorConfigTests
{
    [Test]
    public void An_empty_object_gives_CLIPs_defaults()
    {
        PreprocessorConfig config = Parse("{}");
        Assert.That(config.Resize && config.CenterCrop);
        Assert.That((config.ShortestEdge, config.CropSize, config.Filter), Is.EqualTo(((int?)224, (224, 224), PilFilter.Bicubic)));
        Assert.That(config.RescaleFactor, Is.EqualTo(1 / 255.0));
        Assert.That(config.Mean, Is.EqualTo<double[]>([0.48145466, 0.4578275, 0.40821073]));
        Assert.That(config.Std, Is.EqualTo<double[]>([0.26862954, 0.26130258, 0.27577711]));
        Assert.That(config.SegmentationShortSide, Is.Null);
    }

    [Test]
    public void Every_field_is_read()
    {
        PreprocessorConfig config = Parse("""
            {"do_resize": true, "size": {"height": 30, "width": 40}, "resample": 2, "do_center_crop": true, "crop_size": 20, "do_rescale": true,
             "rescale_factor": 0.5, "do_normalize": true, "image_mean": [1, 2, 3], "image_std": [4, 5, 6], "segmentation_short_side": 168,
             "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": null}
            """);
        Assert.That((config.ShortestEdge, config.Size, config.CropSize, config.Filter), Is.EqualTo(((int?)null, (40, 30), (20, 20), PilFilter.Bilinear)));
        Assert.That((config.RescaleFactor, config.SegmentationShortSide), Is.EqualTo((0.5, (int?)168)));
        Assert.That(config.Mean.Concat(config.Std), Is.EqualTo(new double[] { 1, 2, 3, 4, 5, 6 }));
    }

    [Test]
    public void Steps_that_are_switched_off_change_nothing()
    {
        PreprocessorConfig config = Parse("""{"do_resize": false, "do_center_crop": false, "do_rescale": false, "do_normalize": false}""");
        RgbImage image = new(2, 1, [1, 2, 3, 4, 5, 6]);
        Assert.That(Pipelines.HuggingFace(image, config).Pixels, Is.EqualTo(image.Pixels));
        float[] values = new float[6];
        config.Normalization.Apply(image, values);
        Assert.That(values, Is.EqualTo(new float[] { 1, 4, 2, 5, 3, 6 }));
    }

    [TestCase("""{"size": 336}""", 336)]
    [TestCase("""{"size": {"shortest_edge": 112}}""", 112)]
    [TestCase("""{"size": null}""", 224)]
    public void Sizes_may_be_a_number_or_an_object(string json, int edge) => Assert.That(Parse(json).ShortestEdge, Is.EqualTo(edge));

    [TestCase("""{"size": 0}""", "size")]
    [TestCase("""{"size": 8193}""", "size")]
    [TestCase("""{"size": 1e9}""", "size")]
    [TestCase("""{"size": 224.5}""", "size")]
    [TestCase("""{"size": "224"}""", "size")]
    [TestCase("""{"size": {}}""", "size")]
    [TestCase("""{"size": {"height": 3}}""", "size")]
    [TestCase("""{"size": {"longest_edge": 3}}""", "size")]
    [TestCase("""{"size": {"shortest_edge": 3, "longest_edge": 4}}""", "size.longest_edge")]
    [TestCase("""{"size": {"shortest_edge": -3}}""", "size.shortest_edge")]
    [TestCase("""{"size": {"height": 3, "width": true}}""", "size.width")]
    [TestCase("""{"crop_size": {"shortest_edge": 3}}""", "crop_size")]
    [TestCase("""{"crop_size": [3, 3]}""", "crop_size")]
    [TestCase("""{"crop_size": {"height": 99999, "width": 3}}""", "crop_size.height")]
    [TestCase("""{"resample": 1}""", "resample")]
    [TestCase("""{"resample": "bicubic"}""", "resample")]
    [TestCase("""{"do_resize": 1}""", "do_resize")]
    [TestCase("""{"do_normalize": "yes"}""", "do_normalize")]
    [TestCase("""{"rescale_factor": 0}""", "rescale_factor")]
    [TestCase("""{"rescale_factor": 1e999}""", "rescale_factor")]
    [TestCase("""{"image_mean": [1, 2]}""", "image_mean")]
    [TestCase("""{"image_mean": [1, 2, "3"]}""", "image_mean[2]")]
    [TestCase("""{"image_std": [1, 0, 1]}""", "image_std[1]")]
    [TestCase("""{"image_std": 1}""", "image_std")]
    [TestCase("""{"segmentation_short_side": 0}""", "segmentation_short_side")]
    public void A_value_that_makes_no_sense_names_its_field(string json, string field) =>
        Assert.That(() => Parse(json), Throws.TypeOf<ModelFileException>().With.Property(nameof(ModelFileException.Item)).EqualTo(field).And.Message.StartsWith("made.json: " + field));

    [Test]
    public void Filters_that_are_not_implemented_are_named() =>
        Assert.That(() => Parse("""{"resample": 1}"""), Throws.TypeOf<ModelFileException>().With.Message.Contains("not 1 (Lanczos)"));

    [TestCase("")]
    [TestCase("[]")]
    [TestCase("7")]
    [TestCase("{")]
    [TestCase("""{"size": 1, "size": 2}""")]
    public void What_is_no_JSON_object_is_refused(string json) => Assert.That(() => Parse(json), Throws.TypeOf<ModelFileException>());

    [Test]
    public void Nesting_without_end_is_refused() => Assert.That(() => Parse("{\"size\":" + new string('[', 5000)), Throws.TypeOf<ModelFileException>());

    /// <summary>Found by fuzzing: the search for double names meets the half pair, and throws another type of exception.</summary>
    [TestCase("{\"crop_size\":224,\"\\ud800\":true}")]
    [TestCase("{\"\\udc00x\":1,\"y\":2,\"z\":3}")]
    [TestCase("{\"size\":{\"\\ud800\":1,\"width\":2}}")]
    public void Half_a_surrogate_pair_in_a_name_is_refused(string json)
        => Assert.That(() => Parse(json), Throws.TypeOf<ModelFileException>().With.Message.Contains("no valid Unicode"));

    /// <summary>Found by fuzzing: the JSON reader quotes the text where it stumbled, however long it is.</summary>
    [TestCase("{\"size\":224,'")]
    [TestCase("{\"size\":\u001B[31m")]
    public void A_message_shows_little_of_the_file_and_nothing_that_steers_a_terminal(string start)
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Parse(start + new string('x', 500_000)))!;
        Assert.That(error.Message, Has.Length.LessThan(400).And.Contains("is not valid JSON").And.Contains("LineNumber: 0"));
        Assert.That(error.Message.Any(char.IsControl), Is.False);
    }

    [Test]
    public void Bytes_that_are_not_UTF8_are_refused() => Assert.That(
        () => PreprocessorConfig.Parse((byte[])[(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}'], "made.json"), Throws.TypeOf<ModelFileException>().With.Message.Contains("UTF-8"));

    [Test]
    public void A_missing_file_and_a_folder_are_refused()
    {
        Assert.That(() => PreprocessorConfig.Load(Fixtures.Path("none.json")), Throws.TypeOf<ModelFileException>().With.Message.Contains("none.json"));
        Assert.That(() => PreprocessorConfig.Load(Fixtures.Root), Throws.TypeOf<ModelFileException>());
    }

    private static PreprocessorConfig Parse(string json) => PreprocessorConfig.Parse(Encoding.UTF8.GetBytes(json), "made.json");
}
