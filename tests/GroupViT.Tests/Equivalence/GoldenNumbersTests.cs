using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Equivalence;

/// <summary>The specification's own numbers (K.3 to K.5) for the full-size network with formula weights, on cpu.</summary>
[Category("Cpu"), Category("FullSize")]
internal sealed class GoldenNumbersTests
{
    private readonly TestDevice cpu = TestDevices.Present[0];
    private GroupVitModel model = null!;
    private Session session = null!;
    private Dictionary<string, float[]> at224 = null!;
    private Dictionary<string, float[]> at448 = null!;

    [OneTimeSetUp]
    public void Open()
    {
        model = GroupVitModel.Load(FullModel.Folder);
        session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (448, 448), MaxLabels = 64 });
        at224 = Encode(224);
        at448 = Encode(448);
    }

    [OneTimeTearDown]
    public void Close()
    {
        session?.Dispose();
        model?.Dispose();
    }

    [Test]
    public void Tokens_choose_the_groups_of_K3()
    {
        int[] first = [.. at224["stages.0.hard_index"].Select(value => (int)value)];
        int[] second = [.. at224["stages.1.hard_index"].Select(value => (int)value)];
        Assert.That(first[..14], Is.EqualTo((int[])[7, 50, 20, 10, 3, 55, 10, 3, 50, 3, 20, 20, 20, 20]));
        Dictionary<int, int> counts = new()
        {
            [0] = 21, [3] = 9, [4] = 2, [7] = 5, [10] = 15, [12] = 1, [15] = 1, [20] = 45, [26] = 8, [29] = 20, [34] = 1, [35] = 22,
            [38] = 3, [46] = 3, [50] = 19, [51] = 1, [52] = 10, [54] = 8, [55] = 1, [57] = 1,
        };
        Assert.That(first.CountBy(group => group).ToDictionary(), Is.EquivalentTo(counts));
        Assert.That(second, Is.EqualTo("6 1 5 6 1 6 1 6 6 6 7 7 6 7 6 7 5 6 1 6 6 6 5 6 1 6 1 6 6 6 6 6 7 4 6 6 1 7 1 6 1 4 6 6 1 6 6 1 4 1 6 6 6 6 6 6 1 6 6 6 2 7 6 6".Split(' ').Select(int.Parse)));
    }

    [Test]
    public void Points_inside_the_image_encoder_are_those_of_K3()
    {
        AssertRow(at224["embeddings.patch_embeddings"], 0, 384, [-1.433204, -0.412647, -0.631164, -0.656011, -0.759094, 0.121054], 18.922015);
        AssertRow(at224["embeddings"], 15, 384, [-1.698663, -0.585003, -0.585831, -0.703135, -0.404565, 0.720015], 7.565834);
        AssertRow(at224["stages.0.layers.5"], 259, 384, [-0.514822, 0.317142, 0.807768, -0.033235, -1.478840, 1.829486], 13.596604);
        AssertRow(at224["stages.0.downsample"], 63, 384, [1.274035, -1.244720, -0.981226, -0.954829, -2.695346, 1.160042], 1.731139);
        AssertRow(at224["last_hidden_state"], 7, 384, [0.549931, -0.111256, -1.767948, 0.024775, -0.140941, 1.891176], 2.277305);
        AssertRow(at224["visual_projection_groups"], 0, 256, [0.473921, 0.066085, -0.000902, -1.215874, -0.087929, 0.291671], -8.585731);
    }

    [TestCase("dog", false, new[] { 0.077568, 0.030053, 0.049866, -0.035567, 0.009376, -0.136076 }, -1.235069)]
    [TestCase("dog", true, new[] { 0.092659, 0.042794, 0.063557, -0.020962, 0.021613, -0.123648 }, -1.142487)]
    [TestCase("aeroplane", false, new[] { 0.111992, 0.062689, 0.062794, -0.032477, 0.011873, -0.116777 }, -0.638150)]
    public void A_labels_embedding_is_that_of_K4(string label, bool subset, double[] expected, double sum)
    {
        LabelBank bank = session.EncodeLabels([label], new LabelOptions { Templates = subset ? PromptTemplates.Subset : null });
        AssertRow(bank.Embeddings, 0, 256, expected, sum);
    }

    [Test]
    public void Composed_maps_are_those_of_K5()
    {
        float[] maps = at224["maps"];
        double[] first = [0.000003, 0.009568, 0.000051, 0.000009, 0.000227, 0.009191, 0.980905, 0.000046];
        double[] point = [0.000370, 0.078200, 0.003432, 0.001291, 0.008081, 0.023094, 0.767655, 0.117877];
        for (int g = 0; g < 8; g++)
        {
            // The recorded tolerance of composed_groups at this size (fixtures/full): four times the reference's own float32 error.
            Assert.That(maps[g * 196], Is.EqualTo(first[g]).Within(1.5e-5), $"group {g} at token 0");
            Assert.That(Sample(maps, g, 14, 224, 100, 57), Is.EqualTo(point[g]).Within(1.5e-5), $"group {g} at (100, 57)");
        }
    }

    [TestCase(0.95, "0:183666 1:17038")]
    [TestCase(0.0135, "0:183139 1:17565")]
    [TestCase(0.0125, "0:2953 1:17565 9:180186")]
    public void Label_histograms_of_preset_nvlabs_are_those_of_K5(double threshold, string expected)
    {
        LabelBank bank = session.EncodeLabels(ClassNames.Get("voc"));
        SegmentationOptions rules = new() { BackgroundThreshold = threshold };
        SegmentationResult result = session.Label(Encoding(SegmentationPreset.Nvlabs, at448, 448), bank, rules);
        Assert.That(string.Join(' ', result.Labels.Where(label => label.Pixels > 0).Select(label => $"{label.Id}:{label.Pixels}")), Is.EqualTo(expected));
        // Embeddings are good to 3e-7; twice the temperature of 14 times that, of a value of 0.015, are 3e-7.
        Assert.That(result.EffectiveThreshold, Is.EqualTo(Math.Min(threshold, 0.01535767)).Within(5e-7));
    }

    [Test]
    public void The_sliding_windows_histogram_is_that_of_K5()
    {
        (int width, int height) = (608, 448);
        float[] input = FullModel.Input(height, width);
        Window[] areas = SlidingWindow.Over(width, height, 448, 224);
        Assert.That(areas, Is.EqualTo((Window[])[new(0, 0, 448, 448), new(160, 0, 448, 448)]));
        EncodedWindow[] windows = [.. areas.Select(area => Encoded(area, input, width, height))];
        (Dictionary<int, int> areasOfGroups, int ties) = Areas(windows[1].Maps);
        Dictionary<int, int> expected = new() { [1] = 61994, [2] = 2357, [3] = 38, [6] = 136315 };
        Assert.That(areasOfGroups.Keys, Is.EquivalentTo(expected.Keys));
        foreach ((int group, int area) in expected)
        {
            Assert.That(areasOfGroups[group], Is.EqualTo(area).Within(ties), $"group {group}");
        }
        ties += Areas(windows[0].Maps).Ties;
        TestContext.Out.WriteLine($"{ties} pixels are a rounding from another group");
        Assert.That(ties, Is.LessThan(60));
        LabelBank bank = session.EncodeLabels(ClassNames.Get("voc"));
        ScoreTable table = new(8, 64);
        table.MakeNvlabs(windows[1].Embedding, windows[1].GroupEmbeddings, bank, 1 / 0.07, new SegmentationOptions());
        Assert.That(Enumerable.Range(0, 8).Select(g => Winner(table.Values(21).Slice(g * 21 + 1, 20).ToArray())), Is.EqualTo((int[])[10, 0, 8, 10, 10, 0, 8, 10]));

        ImageEncoding encoding = new((width, height), (width, height), (28, 28), windows, model.Fingerprint);
        SegmentationResult result = session.Label(encoding, bank, new SegmentationOptions { Mode = SegmentationMode.Slide, BackgroundThreshold = 0.0125 });
        Assert.That(result.Labels.Where(label => label.Pixels > 0).Select(label => label.Id), Is.EqualTo((int[])[0, 1, 9, 11]));
        foreach ((int id, int pixels) in new[] { (0, 138836), (1, 48536), (9, 63807), (11, 21205) })
        {
            Assert.That(result.Labels[id].Pixels, Is.EqualTo(pixels).Within(ties), $"label {id}");
        }
        Assert.That((encoding.WindowCount, encoding.GroupCount, encoding.Mode), Is.EqualTo((2, 8, SegmentationMode.Slide)));
    }

    [Test]
    public void The_scores_of_groups_are_those_of_K5()
    {
        LabelBank bank = session.EncodeLabels(ClassNames.Get("voc"));
        ScoreTable table = new(8, 64);
        table.MakeNvlabs(at448["embedding"], at448["group embeddings"], bank, 1 / 0.07, new SegmentationOptions());
        double[] best = [0.013398, 0.015358, 0.012387, 0.014667, 0.012756, 0.015257, 0.012966, 0.012994];
        int[] classes = [10, 0, 0, 10, 8, 0, 8, 8];
        HashSet<int> kept = [];
        for (int g = 0; g < 8; g++)
        {
            float[] row = table.Values(21).Slice(g * 21 + 1, 20).ToArray();
            int winner = Array.IndexOf(row, row.Max());
            Assert.That(row[winner], Is.EqualTo(best[g]).Within(2e-6), $"group {g}");
            Assert.That(winner, Is.EqualTo(classes[g]), $"group {g}");
            kept.UnionWith(Enumerable.Range(0, 20).Where(label => row[label] > 0));
        }
        Assert.That(kept, Is.EquivalentTo((int[])[10, 8, 1, 0, 3]));
    }

    [Test]
    public void Logits_of_preset_transformers_are_those_of_K5()
    {
        LabelBank bank = session.EncodeLabels(["cat", "dog"], new LabelOptions { Templates = ["a photo of a {}"], Normalization = TextNormalization.HuggingFace });
        SegmentationResult result = session.Label(Encoding(SegmentationPreset.Transformers, at224, 224), bank);
        Assert.That(result.Labels[1].Pixels, Is.EqualTo(224 * 224), "dog wins at every pixel");
        ScoreTable table = new(8, 64);
        table.MakeTransformers(at224["group embeddings"], bank, 1 / 0.07);
        (int Y, int X, double Cat, double Dog)[] points = [(0, 0, -10.05609, -8.36015), (100, 57, -6.91574, -5.55321), (223, 223, -10.23611, -8.56004)];
        foreach ((int y, int x, double cat, double dog) in points)
        {
            double[] logits = new double[2];
            for (int t = 0; t < 2; t++)
            {
                for (int g = 0; g < 8; g++)
                {
                    logits[t] += Sample(at224["maps"], g, 14, 224, y, x) * table.Values(2)[g * 2 + t] / 0.07;
                }
            }
            Assert.That(logits[0], Is.EqualTo(cat).Within(2e-4), $"cat at ({y}, {x})");
            Assert.That(logits[1], Is.EqualTo(dog).Within(2e-4), $"dog at ({y}, {x})");
        }
    }

    private EncodedWindow Encoded(Window area, float[] input, int width, int height)
    {
        float[] pixels = new float[3 * area.Height * area.Width];
        for (int row = 0; row < 3 * area.Height; row++)
        {
            (int channel, int y) = Math.DivRem(row, area.Height);
            input.AsSpan((channel * height + area.Top + y) * width + area.Left, area.Width).CopyTo(pixels.AsSpan(row * area.Width));
        }
        Graph graph = new();
        ImageFeatures features = new ImageEncoder(model.Weights).Describe(graph, 1, area.Height, area.Width);
        Dictionary<string, float[]> results = TestModels.Run(cpu, graph, program => program.Upload<float>(features.Pixels, pixels));
        return new EncodedWindow(area, results["embedding"], results["group embeddings"], results["maps"]);
    }

    // By the definition, in float64; and how many pixels' two best groups are closer than the recorded tolerance of the maps of both.
    private static (Dictionary<int, int> Areas, int Ties) Areas(float[] maps)
    {
        Dictionary<int, int> areas = [];
        int ties = 0;
        for (int i = 0; i < 448 * 448; i++)
        {
            double[] shares = [.. Enumerable.Range(0, 8).Select(g => Sample(maps, g, 28, 448, i / 448, i % 448))];
            int group = Array.IndexOf(shares, shares.Max());
            areas[group] = areas.GetValueOrDefault(group) + 1;
            ties += shares.Where((share, g) => g != group && shares[group] - share < 2 * 1.5e-5).Any() ? 1 : 0;
        }
        return (areas, ties);
    }

    private static int Winner(float[] row) => Array.IndexOf(row, row.Max());

    private static double Sample(float[] maps, int group, int grid, int side, int y, int x)
        => Bilinear.Sample((r, c) => maps[(group * grid + r) * grid + c], grid, grid, side, side, y, x).Value;

    private static void AssertRow(float[] values, int row, int width, double[] first, double sum)
    {
        ReadOnlySpan<float> actual = values.AsSpan(row * width, width);
        for (int i = 0; i < first.Length; i++)
        {
            Assert.That(actual[i], Is.EqualTo(first[i]).Within(2e-5), $"element {i} of row {row}");
        }
        double total = 0;
        foreach (float value in actual)
        {
            total += value;
        }
        Assert.That(total, Is.EqualTo(sum).Within(5e-4), $"sum of row {row}");
    }

    private ImageEncoding Encoding(SegmentationPreset preset, Dictionary<string, float[]> results, int side)
        => new(preset, (side, side), new PictureRegion(0, 0, side, side), (side, side), (side / 16, side / 16), results["embedding"], results["group embeddings"], results["maps"], model.Fingerprint);

    private Dictionary<string, float[]> Encode(int side)
    {
        string[] taps = ["embeddings.patch_embeddings", "embeddings", "stages.0.layers.5", "stages.0.downsample", "stages.0.hard_index", "stages.1.hard_index", "last_hidden_state", "visual_projection_groups"];
        Graph graph = new(taps.Contains);
        ImageFeatures features = new ImageEncoder(model.Weights).Describe(graph, 1, side, side);
        return TestModels.Run(cpu, graph, program => program.Upload<float>(features.Pixels, FullModel.Input(side, side)));
    }
}
