using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Tests.Tools;

/// <summary>Every kind of file that segment writes says the same as the mask.</summary>
[Category("Cpu"), FixtureLifeCycle(LifeCycle.InstancePerTestCase), NonParallelizable]
internal sealed class OutputTests : IDisposable
{
    private const string AllKinds = "overlay,mask,json,ids,rle,polygons,masks,cutouts,npy";

    private static readonly string Night = Fixtures.Samples("night.png");

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Test]
    public void All_kinds_are_written_and_agree()
    {
        ToolRun run = ToolRun.OnCpu("segment", Night, "--out", folder.Path, "--write", AllKinds);
        Assert.That(run.Code, Is.Zero, run.Error);
        (int width, int height, int[] mask) = PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join("night.mask.png")), "mask");
        int[] found = [.. mask.Distinct().Order()];
        Assert.That(found, Has.Length.EqualTo(4));
        string[] labels = File.ReadAllLines(Path.Combine(Fixtures.Models("scenes"), "labels.txt"));
        string[] whole = ["night.ids.png", "night.json", "night.mask.png", "night.npy", "night.overlay.png", "night.polygons.json", "night.rle.json"];
        Assert.That(folder.Files, Is.EqualTo(found.SelectMany(label => (string[])[$"night.{label:00}-{labels[label]}.mask.png", $"night.{label:00}-{labels[label]}.cutout.png"]).Concat(whole).Order(StringComparer.Ordinal)));

        Assert.That(PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join("night.ids.png")), "ids").Labels, Is.EqualTo(mask));
        Assert.That(Npy(File.ReadAllBytes(folder.Join("night.npy")), width, height), Is.EqualTo(mask));
        JsonElement rle = Json("night.rle.json");
        JsonElement polygons = Json("night.polygons.json");
        Assert.That(rle.GetProperty("categories").GetArrayLength(), Is.EqualTo(68));
        RgbImage picture = ImageDecoder.DecodeFile(Night);
        foreach (int label in found)
        {
            bool[] expected = [.. mask.Select(value => value == label)];
            JsonElement annotation = rle.GetProperty("annotations").EnumerateArray().Single(one => one.GetProperty("category_id").GetInt32() == label);
            Assert.That(annotation.GetProperty("segmentation").GetProperty("size").EnumerateArray().Select(side => side.GetInt32()), Is.EqualTo((int[])[height, width]));
            Assert.That(Decode(annotation.GetProperty("segmentation").GetProperty("counts").GetString()!, width, height), Is.EqualTo(expected));
            Assert.That(annotation.GetProperty("area").GetInt32(), Is.EqualTo(expected.Count(one => one)));
            int[] box = [.. annotation.GetProperty("bbox").EnumerateArray().Select(side => side.GetInt32())];
            Assert.That(box, Is.EqualTo(Box(expected, width)));

            bool[] drawn = new bool[mask.Length];
            foreach (JsonElement part in polygons.GetProperty("annotations").EnumerateArray().Where(one => one.GetProperty("category_id").GetInt32() == label))
            {
                bool[] inside = Fill([.. part.GetProperty("segmentation")[0].EnumerateArray().Select(value => value.GetInt32())], width, height);
                Assert.That(part.GetProperty("area").GetDouble(), Is.EqualTo(inside.Count(one => one)));
                for (int i = 0; i < drawn.Length; i++)
                {
                    Assert.That(drawn[i] && inside[i], Is.False, "parts do not overlap");
                    drawn[i] |= inside[i];
                }
            }
            Assert.That(drawn, Is.EqualTo(expected), $"polygons of {label}");

            string name = $"{label:00}-{labels[label]}";
            Assert.That(PngDecoder.DecodeLabels(File.ReadAllBytes(folder.Join($"night.{name}.mask.png")), "one").Labels, Is.EqualTo(expected.Select(one => one ? 255 : 0)));
            RgbImage cut = ImageDecoder.DecodeFile(folder.Join($"night.{name}.cutout.png"));
            Assert.That((cut.Width, cut.Height), Is.EqualTo((box[2], box[3])));
            int at = Array.IndexOf(expected, true);
            Assert.That(cut.Row(at / width - box[1]).Slice(3 * (at % width - box[0]), 3).ToArray(), Is.EqualTo(picture.Pixels[(3 * at)..(3 * at + 3)]));
        }
    }

    [Test]
    public void Nothing_is_written_where_nothing_is_asked_for_and_JSON_can_hold_the_runs()
    {
        ToolRun none = ToolRun.OnCpu("segment", Night, "--out", folder.Join("absent"), "--write", "none", "--json");
        Assert.That((none.Code, Directory.Exists(folder.Join("absent"))), Is.EqualTo((0, false)), none.Error);
        Assert.That(none.Json.Single().GetProperty("labels")[62].TryGetProperty("rle", out _), Is.False);
        ToolRun runs = ToolRun.OnCpu("segment", Night, "--out", folder.Path, "--write", "rle", "--json");
        Assert.That(runs.Json.Single().GetProperty("labels")[62].GetProperty("rle").GetProperty("counts").GetString(), Has.Length.GreaterThan(3));
        ToolRun lines = ToolRun.OnCpu("segment", Night, "--write", "none", "--json-lines", "--json-rle");
        Assert.That(lines.Json.Single().GetProperty("labels")[62].GetProperty("rle").GetRawText(), Is.EqualTo(runs.Json.Single().GetProperty("labels")[62].GetProperty("rle").GetRawText()));
        ToolRun wrong = ToolRun.OnCpu("segment", Night, "--write", "overlay,svg");
        Assert.That((wrong.Code, wrong.Error.Contains("'svg'", StringComparison.Ordinal) && wrong.Error.Contains("cutouts", StringComparison.Ordinal)), Is.EqualTo((2, true)), wrong.Error);
    }

    [TestCase(1, 1, "0")]
    [TestCase(3, 2, "0 1 1 / 1 0 -")]
    [TestCase(4, 3, "1 1 1 1 / 1 0 1 1 / 1 1 1 1")]
    [TestCase(5, 5, "1 1 1 1 1 / 1 0 1 0 1 / 1 1 0 1 1 / 1 0 1 0 1 / 1 1 1 1 1")]
    [TestCase(7, 6, "1 1 1 1 1 1 1 / 1 0 0 0 0 0 1 / 1 0 1 1 1 0 1 / 1 0 1 0 1 0 1 / 1 0 1 1 1 0 1 / 1 1 0 0 0 1 1")]
    [TestCase(6, 3, "0 1 0 1 0 1 / 1 0 1 0 1 0 / 0 1 0 1 0 1")]
    public void Masks_survive_runs_and_polygons(int width, int height, string text)
    {
        ushort[] mask = [.. text.Split([' ', '/'], StringSplitOptions.RemoveEmptyEntries).Select(value => value == "-" ? MaskWriter.Ignored : ushort.Parse(value))];
        Survives(mask, width, height);
    }

    [Test]
    public void Random_masks_survive_runs_and_polygons([Range(1, 40)] int seed)
    {
        Random random = new(seed);
        (int width, int height) = (random.Next(1, 24), random.Next(1, 24));
        int labels = random.Next(1, 4);
        Survives([.. Enumerable.Range(0, width * height).Select(_ => random.Next(8) == 0 ? MaskWriter.Ignored : (ushort)random.Next(labels))], width, height);
    }

    [Test]
    public void Pictures_are_taken_from_standard_input_one_JSON_object_on_a_line()
    {
        byte[] night = File.ReadAllBytes(Night);
        string[] lines =
        [
            $"{{\"file\": {JsonSerializer.Serialize(Night)}, \"id\": {{\"row\": 7}}}}", "", "not JSON", "[1]", "{\"file\": 3}", "{\"file\": \"/none.png\", \"id\": \"x\"}",
            $"{{\"data\": \"{Convert.ToBase64String(night)}\", \"name\": \"inline\", \"id\": 2}}", "{\"data\": \"%%\"}", $"{{\"file\": {JsonSerializer.Serialize(Fixtures.Samples("desert.png"))}}}",
        ];
        ToolRun run = Piped(string.Join('\n', lines), "--skip-bad");
        Assert.That(run.Code, Is.Zero, run.Error);
        JsonElement[] answers = run.Json;
        Assert.That(answers, Has.Length.EqualTo(8));
        Assert.That(answers[0].GetProperty("id").GetProperty("row").GetInt32(), Is.EqualTo(7));
        Assert.That(answers[0].GetProperty("labels")[62].GetProperty("pixels").GetInt32(), Is.EqualTo(answers[5].GetProperty("labels")[62].GetProperty("pixels").GetInt32()).And.GreaterThan(100));
        Assert.That(answers[5].GetProperty("file").GetString(), Is.EqualTo("inline"));
        Assert.That(answers[5].GetProperty("id").GetInt32(), Is.EqualTo(2));
        (int Answer, string Says)[] bad = [(1, "line 3"), (2, "line 4"), (3, "\"file\" or \"data\""), (4, "no such file"), (6, "base64")];
        foreach ((int answer, string says) in bad)
        {
            Assert.That(answers[answer].GetProperty("error").GetString(), Does.Contain(says));
        }
        Assert.That(answers[4].GetProperty("id").GetString(), Is.EqualTo("x"));
        Assert.That(answers[7].GetProperty("file").GetString(), Does.EndWith("desert.png"));
        Assert.That(Piped("nothing").Code, Is.EqualTo(1));
        Assert.That(ToolRun.OnCpu("segment", "-", Night).Code, Is.EqualTo(2));
    }

    [Test]
    public void A_line_that_never_ends_is_refused_without_being_held()
    {
        using EndlessLine endless = new(PictureLines.MaxLineBytes + 1000L);
        PictureLines.Source = () => endless;
        try
        {
            PictureEntry[] entries = [.. PictureLines.Read()];
            Assert.That(entries.Single().Problem, Does.Contain("line 1").And.Contain("longer than 64 MiB"));
        }
        finally
        {
            PictureLines.Source = Console.OpenStandardInput;
        }
    }

    [Test]
    public void Results_come_in_the_order_given_whatever_is_under_way([Values(1, 3)] int batch, [Values(1, 2)] int workers)
    {
        string[] samples = ["night", "meadow", "kitchen", "street", "harbour", "desert"];
        string bad = folder.Write("in/bad.png", [1]);
        string[] files = [.. samples.Select(name => Fixtures.Samples($"{name}.png")), bad, .. samples.Reverse().Select(name => Fixtures.Samples($"{name}.png"))];
        ToolRun run = ToolRun.OnCpu(["segment", .. files, "--write", "none", "--json", "--skip-bad", "--batch", $"{batch}", "--workers", $"{workers}"]);
        Assert.That(run.Code, Is.Zero, run.Error);
        Assert.That(run.Json.Select(answer => answer.GetProperty("file").GetString()), Is.EqualTo(files));
        for (int i = 0; i < 6; i++)
        {
            Assert.That(run.Json[i].GetProperty("labels").GetRawText(), Is.EqualTo(run.Json[12 - i].GetProperty("labels").GetRawText()), samples[i]);
        }
    }

    [Test]
    public void A_file_whose_writing_is_cancelled_leaves_nothing()
    {
        using CancellationTokenSource stop = new();
        OutputFolder target = new(folder.Path);
        int rows = 0;
        Assert.That(
            () => target.Write("large.png", stream => PngWriter.WriteGray8(stream, 4000, 100_000, (y, samples) =>
            {
                rows = y;
                // Bytes that do not compress, so that they reach the file.
                new Random(y).NextBytes(samples);
                if (y == 300)
                {
                    stop.Cancel();
                }
            }), stop.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(rows, Is.LessThan(600), "it ended soon after");
        Assert.That(folder.Files, Is.Empty);
    }

    private static ToolRun Piped(string text, params string[] options)
    {
        PictureLines.Source = () => new MemoryStream(Encoding.UTF8.GetBytes(text));
        try
        {
            return ToolRun.OnCpu(["segment", "-", "--write", "none", "--json", .. options]);
        }
        finally
        {
            PictureLines.Source = Console.OpenStandardInput;
        }
    }

    private static void Survives(ushort[] mask, int width, int height)
    {
        LabelRuns[] runs = [.. LabelRuns.Of(mask, width, height).Values];
        LabelPolygons polygons = new(mask, width, height);
        int[] labels = [.. mask.Where(label => label != MaskWriter.Ignored).Distinct().Order().Select(label => (int)label)];
        Assert.That(runs.Select(run => run.Label), Is.EqualTo(labels));
        Assert.That(polygons.Labels, Is.EqualTo(labels));
        foreach (LabelRuns run in runs)
        {
            bool[] expected = [.. mask.Select(value => value == run.Label)];
            Assert.That(Decode(run.ToString(), width, height), Is.EqualTo(expected), $"runs of {run.Label}");
            bool[] drawn = new bool[mask.Length];
            foreach (IReadOnlyList<int> polygon in polygons.Of(run.Label))
            {
                bool[] inside = Fill([.. polygon], width, height);
                drawn = [.. drawn.Zip(inside, (a, b) => a | b)];
            }
            Assert.That(drawn, Is.EqualTo(expected), $"polygons of {run.Label}");
        }
    }

    // A definition of its own: even-odd along each row of pixel centres.
    private static bool[] Fill(int[] polygon, int width, int height)
    {
        Assert.That(polygon, Has.Length.GreaterThanOrEqualTo(8));
        bool[] inside = new bool[width * height];
        for (int i = 0; i < polygon.Length; i += 2)
        {
            (int x, int y) = (polygon[i], polygon[i + 1]);
            (int nextX, int nextY) = (polygon[(i + 2) % polygon.Length], polygon[(i + 3) % polygon.Length]);
            Assert.That(x == nextX || y == nextY, "along the pixels' edges");
            for (int row = Math.Min(y, nextY); row < Math.Max(y, nextY); row++)
            {
                for (int column = x; column < width; column++)
                {
                    inside[row * width + column] ^= true;
                }
            }
        }
        return inside;
    }

    // maskApi's rleFrString and rleDecode, from their definition.
    private static bool[] Decode(string text, int width, int height)
    {
        List<long> runs = [];
        for (int at = 0; at < text.Length;)
        {
            long value = 0;
            int shift = 0;
            for (bool more = true; more; shift += 5)
            {
                int bits = text[at++] - 48;
                value |= (long)(bits & 31) << shift;
                more = (bits & 32) != 0;
                if (!more && (bits & 16) != 0)
                {
                    value |= -1L << (shift + 5);
                }
            }
            runs.Add(runs.Count > 2 ? value + runs[^2] : value);
        }
        bool[] mask = new bool[width * height];
        long pixel = 0;
        for (int i = 0; i < runs.Count; i++)
        {
            for (long end = pixel + runs[i]; pixel < end; pixel++)
            {
                mask[pixel % height * width + pixel / height] = i % 2 == 1;
            }
        }
        return mask;
    }

    private static int[] Box(bool[] mask, int width)
    {
        int[] at = [.. Enumerable.Range(0, mask.Length).Where(i => mask[i])];
        (int left, int top) = (at.Min(i => i % width), at.Min(i => i / width));
        return [left, top, at.Max(i => i % width) - left + 1, at.Max(i => i / width) - top + 1];
    }

    private static int[] Npy(byte[] file, int width, int height)
    {
        Assert.That(file[..8], Is.EqualTo((byte[])[0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0]));
        int header = BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(8));
        Assert.That((header + 10) % 64, Is.Zero);
        Assert.That(Encoding.ASCII.GetString(file, 10, header), Does.StartWith($"{{'descr': '<u2', 'fortran_order': False, 'shape': ({height}, {width}), }}").And.EndsWith(" \n"));
        return [.. file[(10 + header)..].Chunk(2).Select(pair => (int)BinaryPrimitives.ReadUInt16LittleEndian(pair))];
    }

    private JsonElement Json(string name) => JsonDocument.Parse(File.ReadAllBytes(folder.Join(name))).RootElement;

    private sealed class EndlessLine(long length) : MemoryStream
    {
        private long left = length;

        public override int Read(Span<byte> buffer)
        {
            int count = (int)Math.Min(left, buffer.Length);
            buffer[..count].Fill((byte)'x');
            left -= count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    }
}
