using System.Text;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Tools;
using GroupViT.Tool.Evaluation;
using TemporaryFolder = GroupViT.Tests.Tools.TemporaryFolder;

namespace GroupViT.Tests.Evaluation;

/// <summary>groupvit eval: the reference's figures, every layout, parts that add up to the whole, and going on after an end.</summary>
[Category("Cpu")]
internal sealed class EvalCommandTests
{
    [TestCase("nvlabs", "--preset", "nvlabs")]
    [TestCase("transformers", "--preset", "transformers")]
    [TestCase("sliding", "--mode", "slide")]
    [TestCase("sliding", "--mode", "slide", "--crop", "168", "--stride", "84", "--batch", "3", "--workers", "2")]
    public void The_figures_of_the_demonstration_are_the_references(string way, params string[] options)
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, way);
        ToolRun run = ToolRun.OnCpu(["eval", folder.Path, "--kind", "folder", "--out", folder.Join("out"), "--json", .. options]);
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement expected = SampleSets.Answers.GetProperty(way);
        JsonElement result = run.Json.Single();
        Assert.That(result.GetProperty("pictures").GetInt32(), Is.EqualTo(expected.GetProperty("pictures").GetInt32()));
        Assert.That(result.GetProperty("mIoU").GetDouble(), Is.EqualTo(expected.GetProperty("mIoU").GetDouble()).Within(0.01));
        Assert.That(result.GetProperty("aAcc").GetDouble(), Is.EqualTo(expected.GetProperty("pixel_accuracy").GetDouble()).Within(0.01));
        Dictionary<string, double> ious = result.GetProperty("classes").EnumerateArray().Where(label => label.GetProperty("IoU").ValueKind == JsonValueKind.Number)
            .ToDictionary(label => label.GetProperty("label").GetString()!, label => label.GetProperty("IoU").GetDouble());
        Dictionary<string, double> references = expected.GetProperty("per_label").EnumerateObject().ToDictionary(label => label.Name, label => label.Value.GetDouble());
        Assert.That(ious.Keys, Is.EquivalentTo(references.Keys));
        foreach ((string label, double iou) in references)
        {
            // A single pixel of the smallest thing.
            Assert.That(ious[label], Is.EqualTo(iou).Within(0.2), label);
        }
    }

    [Test]
    public void The_settings_the_table_and_the_files_are_there()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 2);
        ToolRun run = ToolRun.OnCpu("eval", folder.Path, "--kind", "folder", "--out", folder.Join("out"));
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Output, Does.Contain("2 pictures").And.Contain("mode whole, short side 168, background threshold 0.95, top classes 5, maps hard").And.Contain("mIoU").And.Contain("grass"));
        Assert.That(new DirectoryInfo(folder.Join("out")).GetFiles().Select(file => file.Name), Is.EquivalentTo((string[])["state.json", "result.json", "classes.csv", "confusion.csv", "confusion.png"]));
        string[] lines = File.ReadAllLines(folder.Join("out/confusion.csv"));
        Assert.That(lines, Has.Length.EqualTo(69));
        Assert.That(lines[0].Split(',')[^1], Is.EqualTo("(none)"));
        long counted = lines[1..].Sum(line => line.Split(',')[1..].Sum(long.Parse));
        Assert.That(counted, Is.EqualTo(SampleSets.Result(folder).GetProperty("pixels").GetInt64()).And.GreaterThan(1000));
        RgbImage picture = ImageDecoder.DecodeFile(folder.Join("out/confusion.png"));
        Assert.That(picture.Width, Is.GreaterThan(100));
    }

    [Test]
    public void Pascal_VOC_is_read_as_it_is_distributed([Values("", "VOC2012")] string inside)
    {
        using TemporaryFolder folder = new();
        SampleSets.Pascal(folder, "VOC2012", "Segmentation", "SegmentationClass", ("2007_1", SampleSets.Map(40, 32, 0, 15, 255)), ("2007_2", SampleSets.Map(40, 32, 0)));
        ToolRun run = ToolRun.OnCpu("eval", folder.Join(inside), "--kind", "voc", "--short-side", "64", "--crop", "64", "--stride", "32", "--out", folder.Join("out"), "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement result = run.Json.Single();
        JsonElement settings = result.GetProperty("settings");
        Assert.That((settings.GetProperty("background_threshold").GetString(), settings.GetProperty("mode").GetString(), settings.GetProperty("templates").GetString()), Is.EqualTo(("0.95", "slide", "a photo of a {}.")));
        Assert.That(result.GetProperty("classes").GetArrayLength(), Is.EqualTo(21));
        // A third of the first map is ignored.
        Assert.That(result.GetProperty("pixels").GetInt64(), Is.EqualTo(2 * 40 * 32 - 40 * 32 / 3));
        Assert.That(result.GetProperty("classes")[15].GetProperty("pixels").GetInt64(), Is.EqualTo(427));
    }

    [Test]
    public void The_authors_settings_are_the_defaults([Values("voc", "context", "coco-object")] string kind)
    {
        using TemporaryFolder folder = new();
        switch (kind)
        {
            case "voc":
                SampleSets.Pascal(folder, "VOC2012", "Segmentation", "SegmentationClass", ("a", SampleSets.Map(40, 32, 0)));
                break;
            case "context":
                SampleSets.Pascal(folder, "VOC2010", "SegmentationContext", "SegmentationClassContext", ("a", SampleSets.Map(40, 32, 59)));
                break;
            default:
                folder.Write("val2017/a.jpg", SampleSets.Picture(40, 32));
                folder.Write("stuffthingmaps/val2017/a.png", SampleSets.Map(40, 32, 255));
                break;
        }
        ToolRun run = ToolRun.OnCpu("eval", folder.Path, "--kind", kind, "--out", folder.Join("out"));
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Output, Does.Contain($"mode slide, short side 448, crop 448, stride 224, background threshold {(kind == "context" ? "0.35" : "0.95")}, top classes 5, maps hard"));
    }

    [Test]
    public void COCO_Object_is_made_of_COCO_Stuffs_label_maps([Values(".png", "_labelTrainIds.png", "_instanceTrainIds.png")] string suffix)
    {
        using TemporaryFolder folder = new();
        folder.Write("images/val2017/000000000139.jpg", SampleSets.Picture(40, 32));
        // Person, bicycle, toothbrush (value 89 of all 90), an unused value or stuff, no label.
        byte[] values = suffix switch
        {
            ".png" => [0, 1, 89, 11, 255],
            "_labelTrainIds.png" => [0, 1, 79, 80, 255],
            _ => [1, 2, 80, 0, 0],
        };
        folder.Write($"annotations/val2017/000000000139{suffix}", SampleSets.Map(40, 32, values));
        ToolRun run = ToolRun.OnCpu("eval", folder.Path, "--kind", "coco-object", "--mode", "whole", "--short-side", "64", "--out", folder.Join("out"), "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement[] classes = [.. run.Json.Single().GetProperty("classes").EnumerateArray()];
        Assert.That(classes, Has.Length.EqualTo(81));
        int[] pixels = [.. classes.Select(label => label.GetProperty("pixels").GetInt32())];
        Assert.That(pixels[1], Is.EqualTo(256), "person");
        Assert.That(pixels[2], Is.EqualTo(256), "bicycle");
        Assert.That(pixels[80], Is.EqualTo(256), "toothbrush");
        Assert.That(pixels[0], Is.EqualTo(512), "nothing is ignored");
    }

    [TestCase(false)]
    [TestCase(true)]
    public void ImageNet_is_read_from_folders_and_from_a_list(bool list)
    {
        using TemporaryFolder folder = new();
        folder.Write("val/0/a.png", SampleSets.Picture(30, 40));
        folder.Write("val/great_white_shark/b.png", SampleSets.Picture(40, 30, 30));
        folder.Write("list.txt", "val/0/a.png 0\nval/great_white_shark/b.png\t2\n"u8.ToArray());
        ToolRun run = ToolRun.OnCpu(["eval", folder.Path, "--kind", "imagenet", "--templates", "identity", "--out", folder.Join("out"), "--json", .. list ? (string[])["--list", folder.Join("list.txt")] : []]);
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement result = run.Json.Single();
        Assert.That(result.GetProperty("pictures").GetInt32(), Is.EqualTo(2));
        Assert.That(result.GetProperty("classes").GetArrayLength(), Is.EqualTo(1000));
        Assert.That(result.GetProperty("classes")[2].GetProperty("pictures").GetInt32(), Is.EqualTo(1));
        Assert.That(result.GetProperty("top5").GetDouble(), Is.GreaterThanOrEqualTo(result.GetProperty("top1").GetDouble()));
    }

    [Test]
    public void Shards_add_up_to_exactly_the_whole()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 7);
        Assert.That(ToolRun.OnCpu("eval", folder.Path, "--kind", "folder", "--out", folder.Join("out")).Code, Is.Zero);
        for (int i = 0; i < 3; i++)
        {
            ToolRun shard = ToolRun.OnCpu("eval", folder.Path, "--kind", "folder", "--out", folder.Join("shards"), "--shard", $"{i}/3");
            Assert.That(shard.Code, Is.Zero, shard.Error);
            Assert.That(shard.Output, Does.Contain($"shard {i} of 3"));
        }
        ToolRun merged = ToolRun.Of("eval", "merge", folder.Join("shards"));
        Assert.That(merged.Code, Is.Zero, merged.Error);
        foreach (string file in (string[])["result.json", "classes.csv", "confusion.csv", "confusion.png"])
        {
            Assert.That(File.ReadAllBytes(folder.Join($"shards/{file}")), Is.EqualTo(File.ReadAllBytes(folder.Join($"out/{file}"))), file);
        }
        Assert.That(merged.Output, Does.Contain("3 shards, 7 pictures").And.Contain("mIoU"));
    }

    [Test]
    public void What_was_counted_is_not_counted_again()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 3);
        string[] command = ["eval", folder.Path, "--kind", "folder", "--out", folder.Join("out")];
        Assert.That(ToolRun.OnCpu(command).Code, Is.Zero);
        byte[] whole = File.ReadAllBytes(folder.Join("out/result.json"));
        // The pictures are gone; the numbers stay.
        foreach (string picture in Directory.GetFiles(folder.Join("images")))
        {
            File.WriteAllBytes(picture, []);
        }
        ToolRun again = ToolRun.OnCpu(command);
        Assert.That(again.Code, Is.Zero, again.Error);
        Assert.That(again.Output, Does.Contain("3 pictures were counted before"));
        Assert.That(File.ReadAllBytes(folder.Join("out/result.json")), Is.EqualTo(whole));
    }

    [Test]
    public void A_run_that_was_ended_at_any_picture_goes_on_to_the_same_numbers([Values(1, 2, 4)] int after, [Values(1, 2)] int workers)
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 5);
        EvaluationSet set = SegmentationSets.Folder(folder.Path, null, 255);
        using GroupVitModel model = TestModels.Scenes();
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (168, 448), Workers = workers, Threads = 2 });
        LabelBank bank = session.EncodeLabels(set.Labels);
        Dictionary<string, string> settings = new() { ["model"] = model.Fingerprint };
        EvaluationState New() => new(settings, set.Labels, set.Samples.Count, 0, 1);
        EvaluationRun run = new(session, bank, set, set.Rules, workers, 1);
        EvaluationState whole = New();
        run.Run(whole, () => { }, (_, _) => { }, default);

        EvaluationState ended = New();
        string file = folder.Join("state.json");
        using CancellationTokenSource stop = new();
        int counted = 0;
        Assert.That(
            () => run.Run(ended, () => ended.Save(file), (_, _) =>
            {
                if (++counted == after)
                {
                    stop.Cancel();
                }
            }, stop.Token),
            Throws.InstanceOf<OperationCanceledException>());
        EvaluationState found = EvaluationState.Load(file);
        Assert.That(found.DoneCount, Is.EqualTo(counted).And.InRange(after, 4));
        run.Run(found, () => { }, (_, _) => { }, default);
        Assert.That(found.Confusion.Cells(), Is.EqualTo(whole.Confusion.Cells()));
        Assert.That((found.DoneCount, found.IsComplete), Is.EqualTo((5, true)));
    }

    [Test]
    public void A_state_of_other_settings_or_damaged_is_refused_by_name()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 1);
        string[] command = ["eval", folder.Path, "--kind", "folder", "--out", folder.Join("out")];
        Assert.That(ToolRun.OnCpu(command).Code, Is.Zero);
        ToolRun other = ToolRun.OnCpu([.. command, "--top-classes", "6"]);
        Assert.That((other.Code, other.Error), Is.EqualTo((2, other.Error)));
        Assert.That(other.Error, Does.Contain("state.json").And.Contain("top_classes is '5' there and '6' here").And.Contain("--restart"));
        Assert.That(ToolRun.OnCpu([.. command, "--top-classes", "6", "--restart"]).Code, Is.Zero);
        byte[] state = File.ReadAllBytes(folder.Join("out/state.json"));
        foreach (byte[] damaged in (byte[][])[state[..^20], [], "{}"u8.ToArray(), Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(state).Replace("\"done\":[0,0]", "\"done\":[0,7]", StringComparison.Ordinal))])
        {
            File.WriteAllBytes(folder.Join("out/state.json"), damaged);
            ToolRun run = ToolRun.OnCpu([.. command, "--top-classes", "6"]);
            Assert.That(run.Code, Is.EqualTo(2));
            Assert.That(run.Error, Does.Contain("state.json").And.Contain("no state of an evaluation").And.Not.Contain("unexpected"));
        }
    }
}
