using GroupViT.Native.Imaging;
using GroupViT.Tests.Tools;
using GroupViT.Tool;
using GroupViT.Tool.Evaluation;

namespace GroupViT.Tests.Evaluation;

/// <summary>What is wrong with a data set, a shard or a state is said with the file's name, and one bad picture does not end a run.</summary>
[Category("Cpu")]
internal sealed class EvalBadInputTests
{
    [Test]
    public void A_folder_that_is_something_else_is_refused_with_what_was_looked_for([Values("voc", "context", "coco-object", "imagenet", "folder")] string kind)
    {
        using TemporaryFolder folder = new();
        folder.Write("readme.txt", "nothing"u8.ToArray());
        Refused(folder, kind, folder.Path, kind switch
        {
            "voc" => "JPEGImages",
            "context" => "VOC2010",
            "coco-object" => "images/val2017",
            "imagenet" => "folders of classes",
            _ => "images/",
        });
        Refused(folder, kind, folder.Join("absent"), "no such folder");
        Refused(folder, kind, folder.Join("readme.txt"), "is a file");
    }

    [Test]
    public void An_empty_split_is_refused()
    {
        using TemporaryFolder folder = new();
        SampleSets.Pascal(folder, "VOC2012", "Segmentation", "SegmentationClass", ("a", SampleSets.Map(40, 32, 0)));
        folder.Write("VOC2012/ImageSets/Segmentation/val.txt", "\n\n"u8.ToArray());
        Refused(folder, "voc", folder.Path, "val.txt", "the split is empty");
        Refused(folder, "voc", folder.Path, "test.txt", "--split", "test");
        folder.Write("VOC2012/ImageSets/Segmentation/val.txt", "a\nb\n"u8.ToArray());
        Refused(folder, "voc", folder.Path, "line 2", "'b'");
        folder.Write("VOC2012/ImageSets/Segmentation/val.txt", "a\na\n"u8.ToArray());
        Refused(folder, "voc", folder.Path, "line 2", "twice");
        folder.Write("VOC2012/ImageSets/Segmentation/val.txt", "../../a\n"u8.ToArray());
        Refused(folder, "voc", folder.Path, "line 1", "path");
    }

    [Test]
    public void Names_that_do_not_match_are_refused()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 2);
        File.Move(folder.Join("labels/scene01.png"), folder.Join("labels/other.png"));
        Refused(folder, "folder", folder.Path, "scene01", "has no label map");
        File.Delete(folder.Join("images/scene01.png"));
        Refused(folder, "folder", folder.Path, "other.png", "has no picture");
        File.Delete(folder.Join("classes.txt"));
        Refused(folder, "folder", folder.Path, "classes.txt");
    }

    [Test]
    public void A_bad_picture_is_counted_reported_and_fails_the_run_at_its_end_unless_skipped()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 6);
        folder.Write("images/scene00.png", [1, 2, 3]);
        folder.Write("labels/scene01.png", SampleSets.Map(5, 5, 0));
        (int width, int height, _) = PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join("labels/scene02.png")), "truth");
        folder.Write("labels/scene02.png", SampleSets.Map(width, height, 0, 1, 99));
        folder.Write("labels/scene03.png", SampleSets.Picture(width, height));
        folder.Write("labels/scene04.png", File.ReadAllBytes(folder.Join("labels/scene04.png"))[..100]);
        string[] command = ["eval", folder.Path, "--kind", "folder", "--out", folder.Join("out"), "--json"];
        foreach (bool skip in (bool[])[false, true])
        {
            ToolRun run = ToolRun.OnCpu([.. command, .. skip ? (string[])["--skip-bad"] : []]);
            Assert.That(run.Code, Is.EqualTo(skip ? 0 : 1), run.Error);
            Assert.That(run.Error, Does.Contain("5 of 6 pictures failed"));
            Assert.That(run.Error, Does.Contain("scene00.png: is no picture").And.Contain("scene01.png: the label map has 5 x 5 pixels, its picture"));
            Assert.That(run.Error, Does.Contain("scene02.png: the label map holds the value 99").And.Contain("0 to 67"));
            Assert.That(run.Error, Does.Contain("scene03.png: holds Rgb pixels").And.Contain("scene04.png: PNG"));
            Assert.That((run.Json.Single().GetProperty("pictures").GetInt32(), run.Json.Single().GetProperty("failed").GetInt32()), Is.EqualTo((1, 5)));
        }
    }

    [Test]
    public void Shards_that_do_not_belong_together_are_refused()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 4);
        for (int i = 0; i < 3; i++)
        {
            Shard(i, 3, "a");
        }
        Shard(1, 3, "b", "--top-classes", "7");
        Shard(1, 2, "c");
        string A(int i) => folder.Join($"a/shard-{i}-of-3.json");
        RefusedMerge("shard 0", "twice", A(0), A(1), A(2), A(0));
        RefusedMerge(A(0), "2 is missing", A(0), A(1));
        RefusedMerge("b/shard-1-of-3.json", "top_classes is '7' there and '5' here", A(0), folder.Join("b/shard-1-of-3.json"), A(2));
        RefusedMerge("c/shard-1-of-2.json", "one of 2", A(0), folder.Join("c/shard-1-of-2.json"), A(2));
        RefusedMerge("none.json", "no such file", A(0), folder.Join("none.json"));
        RefusedMerge("images", "holds no shard", folder.Join("images"));
        string text = File.ReadAllText(A(1));
        File.WriteAllText(A(1), text.Replace("\"done\":[1,1]", "\"done\":[]", StringComparison.Ordinal));
        RefusedMerge("shard-1-of-3.json", "not finished", A(0), A(1), A(2));
        File.WriteAllText(A(1), text[..40]);
        RefusedMerge("shard-1-of-3.json", "no state of an evaluation", A(0), A(1), A(2));

        void Shard(int index, int count, string name, params string[] more)
            => Assert.That(ToolRun.OnCpu(["eval", folder.Path, "--kind", "folder", "--out", folder.Join(name), "--shard", $"{index}/{count}", .. more]).Code, Is.Zero);

        void RefusedMerge(string file, string says, params string[] files)
        {
            ToolRun run = ToolRun.Of(["eval", "merge", .. files, "--out", folder.Join("merged")]);
            Assert.That(run.Code, Is.EqualTo(2), run.Error);
            Assert.That(run.Error, Does.Contain(file).And.Contain(says).And.Not.Contain("unexpected"));
            Assert.That(Directory.Exists(folder.Join("merged")), Is.False);
        }
    }

    [TestCase("0/4", null, "", 0, 4)]
    [TestCase(null, null, "", 0, 1)]
    [TestCase(null, 8, "JOB_COMPLETION_INDEX=5", 5, 8)]
    [TestCase(null, null, "SLURM_ARRAY_TASK_ID=12,SLURM_ARRAY_TASK_MIN=10,SLURM_ARRAY_TASK_MAX=13,SLURM_ARRAY_TASK_COUNT=4,SLURM_ARRAY_TASK_STEP=1", 2, 4)]
    [TestCase(null, 4, "SLURM_ARRAY_TASK_ID=3,SLURM_ARRAY_TASK_MIN=0,SLURM_ARRAY_TASK_MAX=3,SLURM_ARRAY_TASK_COUNT=4", 3, 4)]
    [TestCase("1/2", null, "JOB_COMPLETION_INDEX=5", 1, 2)]
    public void The_shard_is_told_by_the_command_line_or_the_scheduler(string? shard, int? shards, string environment, int index, int count)
    {
        ShardChoice choice = ShardChoice.Read(shard, shards, Variables(environment));
        Assert.That((choice.Index, choice.Count), Is.EqualTo((index, count)));
    }

    [TestCase("4/4", null, "", "--shard")]
    [TestCase("-1/4", null, "", "--shard")]
    [TestCase("1", null, "", "--shard")]
    [TestCase("1/0", null, "", "--shard")]
    [TestCase("0/2", 2, "", "--shards")]
    [TestCase(null, 4, "", "--shard INDEX/4")]
    [TestCase(null, null, "JOB_COMPLETION_INDEX=1", "--shards N")]
    [TestCase(null, 2, "JOB_COMPLETION_INDEX=2", "0 to 1")]
    [TestCase(null, 2, "JOB_COMPLETION_INDEX=x", "'x'")]
    [TestCase(null, null, "SLURM_ARRAY_TASK_ID=2,SLURM_ARRAY_TASK_MIN=0,SLURM_ARRAY_TASK_MAX=6,SLURM_ARRAY_TASK_COUNT=4,SLURM_ARRAY_TASK_STEP=2", "step must be 1")]
    [TestCase(null, null, "SLURM_ARRAY_TASK_ID=2,SLURM_ARRAY_TASK_MIN=0,SLURM_ARRAY_TASK_MAX=6,SLURM_ARRAY_TASK_COUNT=4", "gaps")]
    [TestCase(null, 3, "SLURM_ARRAY_TASK_ID=2,SLURM_ARRAY_TASK_MIN=0,SLURM_ARRAY_TASK_MAX=3,SLURM_ARRAY_TASK_COUNT=4", "leave out --shards")]
    [TestCase(null, null, "SLURM_ARRAY_TASK_ID=2", "SLURM_ARRAY_TASK_MIN")]
    public void A_shard_that_cannot_be_told_is_refused(string? shard, int? shards, string environment, string says)
        => Assert.That(() => ShardChoice.Read(shard, shards, Variables(environment)), Throws.TypeOf<UsageException>().With.Message.Contains(says));

    [Test]
    public void Options_that_do_not_go_together_are_refused()
    {
        using TemporaryFolder folder = new();
        SampleSets.Folder(folder, "nvlabs", 1);
        Refused(folder, "folder", folder.Path, "--split is for", "--split", "val");
        Refused(folder, "folder", folder.Path, "--list is for", "--list", "x.txt");
        ToolRun none = ToolRun.Of("eval", folder.Path);
        Assert.That((none.Code, none.Error.Contains("--kind voc|context|coco-object|imagenet|folder", StringComparison.Ordinal)), Is.EqualTo((2, true)));
        ToolRun unknown = ToolRun.Of("eval", folder.Path, "--kind", "ade");
        Assert.That((unknown.Code, unknown.Error.Contains("coco-object", StringComparison.Ordinal)), Is.EqualTo((2, true)));
    }

    private static Func<string, string?> Variables(string text)
    {
        Dictionary<string, string> variables = text.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        return name => variables.GetValueOrDefault(name);
    }

    private static void Refused(TemporaryFolder folder, string kind, string path, string says, params string[] more)
    {
        string[] options = more.Where(text => text.StartsWith("--", StringComparison.Ordinal)).Any() ? more : [];
        ToolRun run = ToolRun.OnCpu(["eval", path, "--kind", kind, "--out", folder.Join("out"), .. options]);
        Assert.That(run.Code, Is.EqualTo(2), run.Error);
        Assert.That(run.Error, Does.Contain(says).And.Not.Contain("unexpected"));
        foreach (string text in more.Except(options))
        {
            Assert.That(run.Error, Does.Contain(text));
        }
        Assert.That(Directory.Exists(folder.Join("out")), Is.False);
    }
}
