using System.IO.Compression;
using System.Text;
using System.Text.Json;
using GroupViT.Native.Weights;
using GroupViT.Tool;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit embed and groupvit classify on the built-in model.</summary>
internal sealed class EmbedCommandTests
{
    private static readonly string Meadow = Fixtures.Samples("meadow.png");

    [Test]
    public void Embeddings_have_length_1_and_are_the_same_in_JSON_safetensors_and_npz()
    {
        using TemporaryFolder folder = new();
        string[] arguments = ["embed", "--image", Meadow, Fixtures.Samples("night.png"), "--text", "a horse", "the night sky", "a tree"];
        ToolRun run = ToolRun.OnCpu([.. arguments, "--output", folder.Join("e.safetensors")]);
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement json = run.Json.Single();
        Assert.That(json.EnumerateObject().Select(property => property.Name), Is.EqualTo((string[])["images", "texts"]));
        float[][] images = Rows(json.GetProperty("images"), "file", [Meadow, Fixtures.Samples("night.png")]);
        float[][] texts = Rows(json.GetProperty("texts"), "text", ["a horse", "the night sky", "a tree"]);
        foreach (float[] row in images.Concat(texts))
        {
            Assert.That(Math.Sqrt(row.Sum(value => (double)value * value)), Is.EqualTo(1).Within(1e-6));
        }

        using (SafetensorsFile file = SafetensorsFile.Open(folder.Join("e.safetensors")))
        {
            float[] values = new float[images.Sum(row => row.Length)];
            file.ReadFloat32(file.Tensors["images"], 0, values);
            Assert.That(file.Tensors["images"].Shape.ToArray(), Is.EqualTo((long[])[2, images[0].Length]).AsCollection);
            Assert.That(values, Is.EqualTo(images.SelectMany(row => row)));
            Assert.That(file.Tensors["texts"].Shape[0], Is.EqualTo(3));
        }

        Assert.That(ToolRun.OnCpu([.. arguments, "--output", folder.Join("e.npz")]).Code, Is.Zero);
        using ZipArchive zip = ZipFile.OpenRead(folder.Join("e.npz"));
        Assert.That(zip.Entries.Select(entry => entry.FullName), Is.EqualTo((string[])["images.npy", "texts.npy"]));
        using MemoryStream npy = new();
        using (Stream entry = zip.GetEntry("texts.npy")!.Open())
        {
            entry.CopyTo(npy);
        }
        byte[] bytes = npy.ToArray();
        int header = BitConverter.ToUInt16(bytes, 8);
        Assert.That((10 + header) % 64, Is.Zero);
        Assert.That(Encoding.ASCII.GetString(bytes, 10, header).TrimEnd(), Is.EqualTo($"{{'descr': '<f4', 'fortran_order': False, 'shape': (3, {texts[0].Length}), }}"));
        float[] read = new float[3 * texts[0].Length];
        Buffer.BlockCopy(bytes, 10 + header, read, 0, 4 * read.Length);
        Assert.That(bytes, Has.Length.EqualTo(10 + header + (4 * read.Length)));
        Assert.That(read, Is.EqualTo(texts.SelectMany(row => row)));
    }

    [Test]
    public void A_bad_picture_keeps_the_output_from_being_written_unless_it_is_skipped()
    {
        using TemporaryFolder folder = new();
        string output = folder.Join("e.npz");
        ToolRun run = ToolRun.OnCpu("embed", "--image", Meadow, folder.Join("missing.png"), "--output", output);
        Assert.That((run.Code, File.Exists(output)), Is.EqualTo((1, false)));
        Assert.That(run.Json.Single().GetProperty("images")[1].TryGetProperty("error", out _), Is.True);
        Assert.That(ToolRun.OnCpu("embed", "--image", Meadow, folder.Join("missing.png"), "--output", output, "--skip-bad").Code, Is.Zero);
        Assert.That(File.Exists(output), Is.True);
        Assert.That(ToolRun.OnCpu("embed", "--text", "a", "--output", folder.Join("e.bin")).Code, Is.EqualTo(2));
        Assert.That(ToolRun.OnCpu("embed", "--text", "a", "--output", folder.Join("nowhere/e.npz")).Code, Is.EqualTo(2));
    }

    [Test]
    public void Classification_names_the_best_labels_first()
    {
        ToolRun run = ToolRun.OnCpu("classify", Meadow, "--json", "--top", "3");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement[] labels = [.. run.Json.Single().GetProperty("labels").EnumerateArray()];
        Assert.That(labels, Has.Length.EqualTo(3));
        Assert.That(labels[0].GetProperty("label").GetString(), Is.EqualTo("horse"));
        Assert.That(labels.Select(label => label.GetProperty("score").GetDouble()), Is.Ordered.Descending);
        Assert.That(run.Json.Single().GetProperty("settings").GetProperty("templates").GetString(), Is.EqualTo("subset"));

        ToolRun soft = ToolRun.OnCpu("classify", Meadow, "--json", "--preset", "transformers", "--labels", "background, horse, penguin");
        Assert.That(soft.Json.Single().GetProperty("labels").EnumerateArray().Sum(label => label.GetProperty("score").GetDouble()), Is.EqualTo(1).Within(1e-12));
        ToolRun table = ToolRun.OnCpu("classify", Meadow);
        Assert.That(table.Lines.Count(line => line.Contains(" 0.", StringComparison.Ordinal)), Is.EqualTo(5));
    }

    private static float[][] Rows(JsonElement list, string name, string[] names)
    {
        Assert.That(list.EnumerateArray().Select(row => row.GetProperty(name).GetString()), Is.EqualTo(names));
        return [.. list.EnumerateArray().Select(row => row.GetProperty("embedding").EnumerateArray().Select(value => value.GetSingle()).ToArray())];
    }
}

/// <summary>What --model means.</summary>
internal sealed class ModelLocatorTests
{
    [Test]
    public void A_repository_id_is_found_in_the_hub_cache_by_its_main_revision()
    {
        using TemporaryFolder home = new();
        home.Write("hub/models--owner--name/refs/main", "abc123\n"u8.ToArray());
        home.Write("hub/models--owner--name/snapshots/abc123/config.json", "{}"u8.ToArray());
        home.Write("hub/models--owner--name/snapshots/abc123/model.safetensors", []);
        string expected = home.Join("hub/models--owner--name/snapshots/abc123");
        Assert.That(Path.GetFullPath(ModelLocator.Locate("owner/name", name => name == "HF_HOME" ? home.Path : null)), Is.EqualTo(Path.GetFullPath(expected)));
        Assert.That(Path.GetFullPath(ModelLocator.Locate("owner/name", name => name == "HF_HUB_CACHE" ? home.Join("hub") : "/elsewhere")), Is.EqualTo(Path.GetFullPath(expected)));
        Assert.That(() => ModelLocator.Locate("owner/other", _ => home.Path), Throws.TypeOf<UsageException>().With.Message.Contains("models--owner--other"));
        Assert.That(ModelLocator.Locate(home.Path, _ => null), Is.EqualTo(home.Path), "an existing folder comes first");
    }

    [Test]
    public void A_revision_that_leads_out_of_the_cache_is_refused()
    {
        using TemporaryFolder home = new();
        home.Write("models--owner--name/refs/main", "../../.."u8.ToArray());
        Assert.That(() => ModelLocator.Locate("owner/name", _ => home.Path), Throws.TypeOf<UsageException>());
        Assert.That(() => ModelLocator.Locate("../name", _ => home.Path), Throws.TypeOf<UsageException>());
    }

    [TestCase("512M", 512L << 20)]
    [TestCase("2G", 2L << 30)]
    [TestCase("3 KiB", null)]
    [TestCase("3KiB", 3L << 10)]
    [TestCase("77", 77L)]
    [TestCase("0", null)]
    [TestCase("-1", null)]
    [TestCase("99999999999G", null)]
    [TestCase("M", null)]
    [TestCase("", null)]
    public void Amounts_are_read_as_people_write_them(string text, long? expected) => Assert.That(Quantity.Parse(text), Is.EqualTo(expected));
}
