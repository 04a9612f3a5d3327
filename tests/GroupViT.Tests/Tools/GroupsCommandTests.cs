using System.Text.Json;
using System.Text.RegularExpressions;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Groups;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit groups: the demonstration's pictures by their rules, the sheet, the page.</summary>
[Category("Cpu"), FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed partial class GroupsCommandTests : IDisposable
{
    private static readonly string Meadow = Fixtures.Samples("meadow.png");

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Test]
    public void Every_mode_is_a_picture_by_its_rule()
    {
        ToolRun run = ToolRun.OnCpu("groups", Meadow, "--modes", "all", "--out", folder.Path);
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(folder.Files, Is.EquivalentTo((string[])[
            "meadow.input.png", "meadow.pred.png", "meadow.input_pred.png", "meadow.input_pred_label.png", "meadow.first_group.png", "meadow.final_group.png",
            "meadow.all_groups_layer0.png", "meadow.all_groups_layer1.png", "meadow.groups.png", "meadow.groups.html"]));
        RgbImage picture = ImageDecoder.DecodeFile(Meadow);
        RgbImage input = Read("input");
        Assert.That((input.Width, input.Height), Is.EqualTo((picture.Width, picture.Height)));
        // Resized there and back: near the picture, and never a level above what was seen.
        Assert.That(Enumerable.Range(0, input.Pixels.Length).Average(i => Math.Abs(input.Pixels[i] - picture.Pixels[i])), Is.LessThan(8));

        Assert.That(ToolRun.OnCpu("segment", Meadow, "--out", folder.Join("segmented")).Code, Is.Zero);
        int[] labels = PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join("meadow.pred.png")), "pred").Labels;
        Assert.That(labels, Is.EqualTo(PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join("segmented/meadow.mask.png")), "mask").Labels));
        RgbImage colored = ImageDecoder.DecodeFile(folder.Join("meadow.pred.png"));
        RgbImage blended = Read("input_pred");
        for (int i = 0; i < input.Pixels.Length; i++)
        {
            Assert.That(blended.Pixels[i], Is.EqualTo((input.Pixels[i] + colored.Pixels[i]) / 2), $"sample {i}");
        }
        Assert.That(Read("first_group").Pixels, Is.EqualTo(Read("all_groups_layer0").Pixels));
        Assert.That(Read("final_group").Pixels, Is.EqualTo(Read("all_groups_layer1").Pixels));
        int named = 0;
        RgbImage label = Read("input_pred_label");
        for (int i = 0; i < label.Pixels.Length; i += 3)
        {
            named += label.Pixels[i] == 255 && label.Pixels[i + 1] == 69 && label.Pixels[i + 2] == 0 ? 1 : 0;
        }
        Assert.That(named, Is.GreaterThan(200), "orange-red letters");
        Assert.That(Read("groups").Width, Is.EqualTo(992));
    }

    [Test]
    public void Group_colours_are_the_tables_with_red_and_blue_exchanged()
    {
        Assert.That(GroupColors.Of(0, 2), Is.EqualTo(((byte)70, (byte)70, (byte)70)));
        Assert.That(GroupColors.Of(0, 1), Is.EqualTo(((byte)232, (byte)35, (byte)244)));
        Assert.That(GroupColors.Of(0, 19), Is.EqualTo(((byte)0, (byte)0, (byte)128)), "the first of VOC's");
        Assert.That(GroupColors.Of(0, 39), Is.EqualTo(((byte)120, (byte)120, (byte)120)), "the first of ADE20K's");
        Assert.That(GroupColors.Of(1, 0), Is.EqualTo(((byte)0, (byte)0, (byte)128)), "row 64");
        Assert.That(GroupColors.Of(0, 64), Is.EqualTo(GroupColors.Of(0, 0)));
    }

    [Test]
    public void Background_keeps_the_plain_picture_and_has_no_name()
    {
        ToolRun run = ToolRun.OnCpu("groups", Meadow, "--modes", "input,pred,input_pred", "--labels", "background, horse, tree", "--out", folder.Path);
        Assert.That(run.Code, Is.Zero, run.Error);
        int[] labels = PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join("meadow.pred.png")), "pred").Labels;
        Assert.That(labels, Does.Contain(0).And.Contain(1));
        RgbImage input = Read("input");
        RgbImage blended = Read("input_pred");
        for (int i = 0; i < labels.Length; i++)
        {
            Assert.That(blended.Pixels.AsSpan(3 * i, 3).SequenceEqual(input.Pixels.AsSpan(3 * i, 3)), Is.EqualTo(labels[i] == 0).Or.EqualTo(labels[i] != 0 && blended.Pixels[3 * i] == input.Pixels[3 * i]));
        }
    }

    [Test]
    public void The_page_stands_alone_and_no_label_can_break_out_of_it()
    {
        string list = folder.Write("labels.txt", System.Text.Encoding.UTF8.GetBytes("</script><b>horse\ntree's \"crown\" & <i>\ngrass\nsky\n"));
        ToolRun run = ToolRun.OnCpu("groups", Meadow, "--modes", "html", "--labels-file", list, "--templates", "identity", "--out", folder.Path);
        Assert.That(run.Code, Is.Zero, run.Error);
        string page = File.ReadAllText(folder.Join("meadow.groups.html"));
        Assert.That(page, Does.Not.Contain("http").And.Not.Contain("<b>horse").And.Not.Contain("<i>").And.Not.Contain("/*DATA*/").And.Not.Contain("<link").And.Not.Contain("src="));
        Assert.That(Regex.Count(page, "</script>"), Is.EqualTo(2));
        Assert.That(page.Length, Is.LessThan(400_000));
        foreach (Match id in Ids().Matches(page))
        {
            Assert.That(page, Does.Contain($"id=\"{id.Groups[1].Value}\""), id.Value);
        }
        JsonElement data = JsonDocument.Parse(Data().Match(page).Groups[1].Value).RootElement;
        JsonElement[] stages = [.. data.GetProperty("stages").EnumerateArray()];
        Assert.That(stages.Select(stage => stage.GetProperty("groups").GetArrayLength()), Is.EqualTo((int[])[32, 8]));
        foreach (JsonElement stage in stages)
        {
            byte[] map = stage.GetProperty("map").GetBytesFromBase64();
            Assert.That(map, Has.Length.EqualTo(stage.GetProperty("width").GetInt32() * stage.GetProperty("height").GetInt32()));
            Assert.That(map.Max(), Is.LessThan(stage.GetProperty("groups").GetArrayLength()));
            Assert.That(stage.GetProperty("groups").EnumerateArray().Sum(group => group.GetProperty("share").GetDouble()), Is.EqualTo(1).Within(1e-9));
        }
        string[] names = [.. stages[1].GetProperty("groups").EnumerateArray().SelectMany(group => group.GetProperty("labels").EnumerateArray()).Select(label => label.GetProperty("label").GetString()!).Distinct()];
        Assert.That(names, Does.Contain("</script><b>horse"));
        Assert.That(ImageDecoder.Decode(Convert.FromBase64String(data.GetProperty("picture").GetString()!["data:image/png;base64,".Length..])).Width, Is.EqualTo(data.GetProperty("width").GetInt32()));
    }

    [Test]
    public void What_cannot_be_drawn_is_refused()
    {
        ToolRun mode = ToolRun.OnCpu("groups", Meadow, "--modes", "sheet,video");
        Assert.That((mode.Code, mode.Error.Contains("'video'", StringComparison.Ordinal) && mode.Error.Contains("input_pred_label", StringComparison.Ordinal)), Is.EqualTo((2, true)), mode.Error);
        Assert.That(ToolRun.OnCpu("groups", Meadow, "--preset", "transformers", "--out", folder.Path).Code, Is.EqualTo(2));
        Assert.That(ToolRun.OnCpu("groups", Meadow, "--mode", "slide", "--out", folder.Path).Code, Is.EqualTo(2));
        ToolRun bad = ToolRun.OnCpu("groups", folder.Write("bad.png", [1]), Meadow, "--out", folder.Path);
        Assert.That((bad.Code, File.Exists(folder.Join("meadow.groups.png"))), Is.EqualTo((1, true)), bad.Error);
        Assert.That(bad.Error, Does.Contain("bad.png"));
    }

    [TestCase(1, 1)]
    [TestCase(3000, 40)]
    [TestCase(40, 3000)]
    public void Pictures_of_any_shape_have_a_sheet(int width, int height)
    {
        string path = folder.Write("odd.png", Evaluation.SampleSets.Picture(width, height));
        ToolRun run = ToolRun.OnCpu("groups", path, "--modes", "all", "--labels", "a, b", "--short-side", "16", "--templates", "identity", "--out", folder.Path);
        Assert.That(run.Code, Is.Zero.Or.EqualTo(1), run.Error);
        Assert.That(run.Error, Does.Not.Contain("unexpected"));
    }

    private RgbImage Read(string mode) => ImageDecoder.DecodeFile(folder.Join($"meadow.{mode}.png"));

    [GeneratedRegex("byId\\(\"([a-z]+)\"\\)")]
    private static partial Regex Ids();

    [GeneratedRegex("<script id=\"data\" type=\"application/json\">(.*?)</script>", RegexOptions.Singleline)]
    private static partial Regex Data();
}
