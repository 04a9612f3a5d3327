using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool;

namespace GroupViT.Tests.Tools;

/// <summary>What cannot be done is said in one line, with its exit code, and leaves no file.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class BadInputTests : IDisposable
{
    private static readonly string Meadow = Fixtures.Samples("meadow.png");

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [TestCase("missing", "no such file")]
    [TestCase("empty", "0 bytes")]
    [TestCase("truncated", "truncated")]
    [TestCase("text", "is no picture")]
    public void A_bad_picture_is_exit_code_1(string kind, string says)
    {
        byte[]? bytes = kind switch
        {
            "empty" => [],
            "truncated" => File.ReadAllBytes(Meadow)[..5000],
            "text" => "this is a text"u8.ToArray(),
            _ => null,
        };
        string path = bytes is null ? folder.Join("in/bad.png") : folder.Write("in/bad.png", bytes);
        foreach (string command in (string[])["segment", "classify", "embed"])
        {
            string[] picture = command == "embed" ? ["--image", path] : [path];
            ToolRun run = ToolRun.OnCpu([command, .. picture, .. command == "segment" ? (string[])["--out", folder.Path] : []]);
            Assert.That(run.Code, Is.EqualTo(1), command);
            Assert.That(run.Error, Does.Contain("bad.png").And.Contain(says), command);
            Assert.That(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(1), command);
        }
        Assert.That(folder.Files.Except(["in"]), Is.Empty);
    }

    [TestCase("cpu, simulator", "--device", "cuda:93")]
    [TestCase("cpu, simulator", "--device", "abacus")]
    [TestCase("position 2 is empty", "--labels", "a,,b")]
    [TestCase("no label", "--labels", " ")]
    [TestCase("occurs twice", "--labels", "cat, dog, cat")]
    [TestCase("context", "--labels", "a horse and a dog and a cat and a tree and a cow and a pig and a sheep and a horse and a dog and a cat and a tree and a cow and a pig and a sheep and a horse and a dog and a cat and a tree and a cow and a pig and a sheep and a horse and a dog")]
    [TestCase("no such folder or file", "--model", "nowhere")]
    [TestCase("hub's cache", "--model", "nobody/nothing-of-this-name")]
    [TestCase("no such label bank", "--bank", "nowhere.safetensors")]
    [TestCase("cannot be read", "--labels-file", "nowhere.txt")]
    [TestCase("exclude one another", "--labels", "a", "--labels-file", "b")]
    [TestCase("brings its templates", "--bank", "b", "--templates", "full")]
    [TestCase("template sets", "--templates", "nowhere")]
    [TestCase("stride", "--mode", "slide", "--crop", "64", "--stride", "65")]
    [TestCase("from 16 to 2048", "--mode", "slide", "--crop", "15")]
    [TestCase("transformers", "--mode", "slide", "--preset", "transformers")]
    [TestCase("would do", "--memory-limit", "1M")]
    [TestCase("no kernels for fp16; what there is: fp32", "--precision", "fp16")]
    [TestCase("from 1 to 2048", "--short-side", "99999")]
    [TestCase("from 0 to 1", "--background-threshold", "nan")]
    [TestCase("K, M or G", "--memory-limit", "much")]
    [TestCase("nvlabs, transformers", "--preset", "mine")]
    [TestCase("--colour", "--colour")]
    public void A_bad_command_line_is_exit_code_2(string says, params string[] options)
    {
        string[] device = options[0] == "--device" ? [] : ["--device", "cpu"];
        ToolRun run = ToolRun.Of(["segment", Meadow, "--out", folder.Join("new"), .. device, .. options]);
        Assert.That(run.Code, Is.EqualTo(2), run.Output);
        Assert.That(run.Error, Does.StartWith("groupvit: ").And.Contain(says));
        Assert.That(run.Output, Is.Empty);
        Assert.That(folder.Files, Is.Empty, "not even the folder is made");
    }

    [Test]
    public void A_folder_that_cannot_be_written_is_exit_code_2()
    {
        string file = folder.Write("file", [1]);
        foreach (string path in (string[])[file, Path.Combine(file, "below")])
        {
            ToolRun run = ToolRun.OnCpu("segment", Meadow, "--out", path);
            Assert.That((run.Code, run.Output), Is.EqualTo((2, "")));
            Assert.That(run.Error, Does.Contain("--out").And.Contain(path));
        }
    }

    [Test]
    public void A_bank_of_another_model_is_exit_code_2_and_one_of_this_model_does_the_work()
    {
        using GroupVitModel model = ModelLocator.Open("scenes");
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", Threads = 2 });
        string own = folder.Join("own.safetensors");
        LabelBank bank = session.EncodeLabels(["horse", "grass", "sky", "tree"]);
        bank.Save(own);
        string other = folder.Join("other.safetensors");
        new LabelBank(bank.Labels, bank.HasBackground, bank.Embeddings, bank.Width, bank.Templates, bank.Normalization, new string('0', 64)).Save(other);

        ToolRun refused = ToolRun.OnCpu("segment", Meadow, "--out", folder.Path, "--bank", other);
        Assert.That(refused.Code, Is.EqualTo(2));
        Assert.That(refused.Error, Does.Contain("another model"));
        ToolRun done = ToolRun.OnCpu("segment", Meadow, "--out", folder.Path, "--bank", own, "--json");
        Assert.That(done.Code, Is.Zero, done.Error);
        Assert.That(done.Json.Single().GetProperty("labels").GetArrayLength(), Is.EqualTo(4));
    }

    [Test]
    public void No_command_and_an_unknown_one_are_exit_code_2_and_help_is_0()
    {
        Assert.That(ToolRun.Of().Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("paint").Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("segment").Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("embed", "--text", "a", "--colour").Code, Is.EqualTo(2));
        Assert.That(ToolRun.Of("embed").Error, Does.Contain("nothing to embed"));
        ToolRun help = ToolRun.Of("segment", "--help");
        Assert.That((help.Code, help.Error), Is.EqualTo((0, "")));
        Assert.That(help.Output, Does.Contain("--background-threshold"));
    }

    [Test]
    public void A_cancelled_run_is_exit_code_130_and_leaves_no_half_written_file()
    {
        using CancellationTokenSource stop = new();
        stop.Cancel();
        using StringWriter output = new();
        using StringWriter error = new();
        int code = GroupVitProgram.Run(["segment", Meadow, "--out", folder.Path, "--device", "cpu"], output, error, stop.Token);
        Assert.That(code, Is.EqualTo(130));
        Assert.That(folder.Files, Is.Empty);
    }

    [Test]
    public void A_picture_above_max_pixels_is_refused_and_transparency_is_honoured()
    {
        ToolRun refused = ToolRun.OnCpu("classify", Meadow, "--max-pixels", "1K");
        Assert.That(refused.Code, Is.EqualTo(1));
        Assert.That(refused.Error, Does.Contain("above the limit"));
        Assert.That(Enum.GetValues<AlphaMode>().Select(CommonOptions.NameOf), Is.EqualTo((string[])["white", "drop"]));
    }
}
