using System.Text.Json;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Segmenting;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit segment on the built-in model.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class SegmentCommandTests : IDisposable
{
    private static readonly string Meadow = Fixtures.Samples("meadow.png");

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Test]
    public void A_picture_gives_an_overlay_and_a_mask_of_its_size_and_a_table()
    {
        ToolRun run = Segment(Meadow);
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(folder.Files, Is.EqualTo((string[])["meadow.json", "meadow.mask.png", "meadow.overlay.png"]));
        RgbImage picture = ImageDecoder.DecodeFile(Meadow);
        RgbImage overlay = ImageDecoder.DecodeFile(folder.Join("meadow.overlay.png"));
        (int width, int height, int[] mask) = Mask("meadow");
        Assert.That((overlay.Width, overlay.Height, width, height), Is.EqualTo((picture.Width, picture.Height, picture.Width, picture.Height)));
        Assert.That(run.Output, Does.Contain("grass").And.Contain("sky").And.Contain("horse").And.Contain("encode").And.Contain("peak of the process"));
        Assert.That(run.Output, Does.Not.Contain("penguin"), "only labels with pixels are listed");

        // The table's colour, the mask's palette and the overlay's blend agree.
        LabelColors colors = SegmentSettings.ColorsOf(["any", "list"]);
        RgbImage colored = ImageDecoder.DecodeFile(folder.Join("meadow.mask.png"));
        int at = (height - 2) * width + (width / 2);
        (byte r, byte g, byte b) = colors[mask[at]];
        Assert.That(colored.Pixels[(3 * at)..(3 * at + 3)], Is.EqualTo(new[] { r, g, b }));
        Assert.That(overlay.Pixels[(3 * at)..(3 * at + 3)], Is.EqualTo(new[] { (byte)((picture.Pixels[3 * at] + r) / 2), (byte)((picture.Pixels[(3 * at) + 1] + g) / 2), (byte)((picture.Pixels[(3 * at) + 2] + b) / 2) }));
        Assert.That(run.Output, Does.Contain($"#{r:x2}{g:x2}{b:x2}"));
    }

    [Test]
    public void The_JSON_has_the_documented_fields_and_agrees_with_the_mask()
    {
        ToolRun run = Segment(Meadow, "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement json = run.Json.Single();
        Assert.That(Names(json), Is.EqualTo((string[])["file", "width", "height", "device", "precision", "preset", "settings", "labels", "milliseconds", "bytes"]));
        Assert.That(Names(json.GetProperty("milliseconds")), Is.EqualTo((string[])["decode", "prepare", "encode", "label", "write", "total"]));
        Assert.That(Names(json.GetProperty("bytes")), Is.EqualTo((string[])["weights", "arena", "peak"]));
        Assert.That(json.GetProperty("file").GetString(), Is.EqualTo(Meadow));
        Assert.That((json.GetProperty("device").GetString(), json.GetProperty("precision").GetString(), json.GetProperty("preset").GetString()), Is.EqualTo(("cpu", "fp32", "nvlabs")));
        (int width, int height, int[] mask) = Mask("meadow");
        Assert.That((json.GetProperty("width").GetInt32(), json.GetProperty("height").GetInt32()), Is.EqualTo((width, height)));
        JsonElement[] labels = [.. json.GetProperty("labels").EnumerateArray()];
        Assert.That(labels, Has.Length.EqualTo(File.ReadAllLines(Path.Combine(Fixtures.Models("scenes"), "labels.txt")).Count(line => line.Trim().Length > 0)));
        for (int id = 0; id < labels.Length; id++)
        {
            Assert.That(Names(labels[id]), Is.EqualTo((string[])["id", "label", "pixels", "share", "score"]));
            Assert.That(labels[id].GetProperty("id").GetInt32(), Is.EqualTo(id));
            Assert.That(labels[id].GetProperty("pixels").GetInt32(), Is.EqualTo(mask.Count(value => value == id)));
            Assert.That(labels[id].GetProperty("score").ValueKind, Is.EqualTo(labels[id].GetProperty("pixels").GetInt32() == 0 ? JsonValueKind.Null : JsonValueKind.Number));
        }
        Assert.That(labels.Sum(label => label.GetProperty("share").GetDouble()), Is.EqualTo(1).Within(1e-12));
        JsonElement file = JsonDocument.Parse(File.ReadAllBytes(folder.Join("meadow.json"))).RootElement;
        Assert.That(JsonElement.DeepEquals(file, json), Is.True);
    }

    [Test]
    public void With_json_a_bad_picture_is_an_object_on_its_line_and_the_others_go_on()
    {
        string bad = folder.Write("in/bad.png", [1, 2, 3]);
        ToolRun run = Segment(Meadow, bad, Fixtures.Samples("night.png"), "--json");
        Assert.That(run.Code, Is.EqualTo(1));
        Assert.That(run.Json.Select(json => json.GetProperty("file").GetString()), Is.EqualTo((string[])[Meadow, bad, Fixtures.Samples("night.png")]));
        Assert.That(Names(run.Json[1]), Is.EqualTo((string[])["file", "error"]));
        Assert.That(run.Error, Does.Contain("bad.png"));
        Assert.That(File.Exists(folder.Join("night.mask.png")), Is.True);
        Assert.That(Segment(Meadow, bad, "--skip-bad").Code, Is.Zero);
    }

    [Test]
    public void Batches_and_workers_change_no_mask()
    {
        string[] pictures = [.. "meadow night street harbour".Split(' ').Select(name => Fixtures.Samples($"{name}.png"))];
        Assert.That(Segment([.. pictures, "--quiet"]).Code, Is.Zero);
        byte[][] alone = [.. pictures.Select(picture => File.ReadAllBytes(folder.Join($"{Path.GetFileNameWithoutExtension(picture)}.mask.png")))];
        Assert.That(Segment([.. pictures, folder.Join("missing.png"), "--quiet", "--batch", "3", "--workers", "2"]).Code, Is.EqualTo(1));
        Assert.That(pictures.Select(picture => File.ReadAllBytes(folder.Join($"{Path.GetFileNameWithoutExtension(picture)}.mask.png"))), Is.EqualTo(alone));
    }

    [Test]
    public void Equal_stems_get_a_suffix_and_a_line()
    {
        string second = folder.Write("in/meadow.png", File.ReadAllBytes(Meadow));
        ToolRun run = Segment(Meadow, second);
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(folder.Files, Is.SupersetOf((string[])["meadow.mask.png", "meadow-2.mask.png", "meadow-2.json", "meadow-2.overlay.png"]));
        Assert.That(run.Error, Does.Contain("meadow-2"));
    }

    [Test]
    public void Quiet_prints_nothing_and_writes_all()
    {
        ToolRun run = Segment(Meadow, "--quiet");
        Assert.That((run.Code, run.Output, run.Error), Is.EqualTo((0, "", "")));
        Assert.That(folder.Files, Has.Length.EqualTo(3));
    }

    [Test]
    public void A_folder_and_a_pattern_stand_for_their_pictures_without_what_was_written_there()
    {
        folder.Write("b.png", File.ReadAllBytes(Meadow));
        folder.Write("a.PNG", File.ReadAllBytes(Meadow));
        folder.Write("notes.txt", [1]);
        Assert.That(Segment(folder.Path, "--quiet").Code, Is.Zero);
        ToolRun run = Segment(folder.Path, "--json");
        Assert.That(run.Json.Select(json => Path.GetFileName(json.GetProperty("file").GetString())), Is.EqualTo((string[])["a.PNG", "b.png"]));
        Assert.That(Segment(folder.Join("b.*g"), "--json").Json.Select(json => Path.GetFileName(json.GetProperty("file").GetString())), Does.Contain("b.png"));
        ToolRun none = Segment(folder.Join("*.gif"));
        Assert.That((none.Code, none.Error), Is.EqualTo((1, $"groupvit: {folder.Join("*.gif")}: no file matches\n")));
    }

    [Test]
    public void Preset_transformers_leaves_what_is_outside_the_crop_without_label()
    {
        ToolRun run = Segment(Meadow, "--json", "--preset", "transformers", "--labels", "background, grass, sky");
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Error, Does.Contain("background"), "a warning: it is an ordinary text here");
        (int width, int height, int[] mask) = Mask("meadow");
        Assert.That(mask.Count(value => value is 255 or MaskWriter.Ignored), Is.EqualTo((width - height) * height));
        Assert.That(run.Json.Single().GetProperty("labels").EnumerateArray().Sum(label => label.GetProperty("share").GetDouble()), Is.EqualTo(1).Within(1e-12));
        Assert.That(Segment(Meadow, "--json", "--preset", "transformers", "--fit", "stretch").Code, Is.Zero);
        Assert.That(Mask("meadow").Labels, Has.None.EqualTo(255));
    }

    [Test]
    public void Data_sets_keep_their_palette_and_a_background_is_black()
    {
        Assert.That(SegmentSettings.ColorsOf([.. Native.Text.ClassNames.Get("voc")])[1], Is.EqualTo(((byte)128, (byte)0, (byte)0)));
        Assert.That(SegmentSettings.ColorsOf(["background", "horse"])[0], Is.EqualTo(((byte)0, (byte)0, (byte)0)));
        Assert.That(SegmentSettings.ColorsOf(["background", "horse"])[1], Is.EqualTo(LabelColors.Default[0]));
    }

    private ToolRun Segment(params string[] arguments) => ToolRun.OnCpu(["segment", .. arguments, "--out", folder.Path]);

    private (int Width, int Height, int[] Labels) Mask(string name) => PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join($"{name}.mask.png")), name);

    private static string[] Names(JsonElement json) => [.. json.EnumerateObject().Select(property => property.Name)];
}
