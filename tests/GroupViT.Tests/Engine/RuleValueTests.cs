using GroupViT.Kernels;
using GroupViT.Native;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Engine;

/// <summary>The rules' values that neither preset has by itself: soft maps with nvlabs, hard ones with transformers, a temperature of one's own.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class RuleValueTests(TestDevice device)
{
    [TestCase(SegmentationPreset.Nvlabs, GroupMapKind.Soft, true)]
    [TestCase(SegmentationPreset.Nvlabs, GroupMapKind.Soft, false)]
    [TestCase(SegmentationPreset.Nvlabs, GroupMapKind.Hard, true)]
    [TestCase(SegmentationPreset.Transformers, GroupMapKind.Hard, false)]
    public void Labels_are_those_of_the_rule_written_out(SegmentationPreset preset, GroupMapKind maps, bool background)
    {
        using GroupVitModel model = TestModels.Tiny();
        using Session session = model.OpenSession(new SessionOptions { Device = device.Name, MaxSize = (96, 96), MaxLabels = 8 });
        (int width, int height) = device.IsSlow ? (20, 16) : (61, 48);
        LabelBank bank = TestModels.Bank(model, 6, background);
        // Cosines of random labels are near 0: a temperature that makes them differ, a threshold that some pass.
        SegmentationOptions rules = new() { Preset = preset, ShortSide = 48, Maps = maps, Temperature = 4, BackgroundThreshold = maps == GroupMapKind.Soft ? 0.08 : 0.25, TopClasses = 4, Fit = PictureFit.Stretch };
        ImageEncoding encoding = RandomEncoding(model, preset, width, height);
        SegmentationResult result = session.Label(encoding, bank, rules);

        ScoreTable table = new(encoding.GroupCount, bank.Labels.Count);
        double threshold = double.NaN;
        if (preset == SegmentationPreset.Nvlabs)
        {
            threshold = table.MakeNvlabs(encoding.EmbeddingValues, encoding.GroupEmbeddings, bank, 4, rules);
            // The processor's comes as two floats, 48 bits; a GPU's is one float, of two quotients of exponentials that are each off by 2^-21 at most.
            double bound = Math.ScaleB(threshold, device.IsCpu ? -47 : -19);
            Assert.That(result.EffectiveThreshold, double.IsNaN(threshold) ? Is.NaN : Is.InRange(threshold - bound, threshold + bound));
        }
        else
        {
            table.MakeTransformers(encoding.GroupEmbeddings, bank, 4);
        }
        int labels = bank.Labels.Count;
        int cells = encoding.GridWidth * encoding.GridHeight;
        int checkedPixels = 0;
        for (int i = 0; i < width * height; i++)
        {
            double[] scores = new double[labels];
            for (int n = 0; n < labels; n++)
            {
                scores[n] = maps == GroupMapKind.Soft
                    ? Enumerable.Range(0, encoding.GroupCount).Sum(g => Share(g, encoding.GridHeight, encoding.GridWidth, height, width, i / width, i % width) * table.Values(labels)[g * labels + n])
                    : Bilinear.Sample((r, c) => table.Values(labels)[GroupAt(r, c) * labels + n], encoding.InputHeight, encoding.InputWidth, height, width, i / width, i % width).Value;
            }
            int best = Array.IndexOf(scores, scores.Max());
            int actual = result.Mask.Span[i];
            if (actual != best)
            {
                // Eight terms of float32, each rounded a few times.
                Assert.That(scores[actual], Is.EqualTo(scores[best]).Within(32 * 6e-8 * Math.Max(1, Math.Abs(scores[best]))), $"pixel {i}");
            }
            checkedPixels++;
        }
        Assert.That(checkedPixels, Is.EqualTo(width * height));
        Assert.That(result.Labels.Count(label => label.Pixels > 0), Is.GreaterThan(1), "the example is too plain");

        double Share(int g, int gridHeight, int gridWidth, int outHeight, int outWidth, int row, int column)
            => Bilinear.Sample((r, c) => encoding.Maps[g * cells + r * gridWidth + c], gridHeight, gridWidth, outHeight, outWidth, row, column).Value;

        int GroupAt(int row, int column)
        {
            double[] shares = [.. Enumerable.Range(0, encoding.GroupCount).Select(g => Share(g, encoding.GridHeight, encoding.GridWidth, encoding.InputHeight, encoding.InputWidth, row, column))];
            return Array.IndexOf(shares, shares.Max());
        }
    }

    [Test]
    public void The_presets_are_named_values()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("seen on the other devices");
        }
        using GroupVitModel model = TestModels.Tiny();
        using Session session = model.OpenSession(new SessionOptions { Device = device.Name, MaxSize = (96, 128), MaxLabels = 8 });
        Picture picture = TestModels.Noise(80, 60);
        LabelBank bank = TestModels.Bank(model, 6);
        double temperature = Math.Exp(model.Checkpoint.ReadScalar("logit_scale"));
        foreach (SegmentationPreset preset in Enum.GetValues<SegmentationPreset>())
        {
            SegmentationOptions named = new() { Preset = preset, ShortSide = 64 };
            SegmentationOptions spelled = named with
            {
                Maps = preset == SegmentationPreset.Nvlabs ? GroupMapKind.Hard : GroupMapKind.Soft,
                Temperature = preset == SegmentationPreset.Nvlabs ? Math.Min(temperature, 100) : temperature,
                TopClasses = 5,
                BackgroundThreshold = 0.95,
            };
            Assert.That(session.Segment(picture, bank, spelled).Mask.ToArray(), Is.EqualTo(session.Segment(picture, bank, named).Mask.ToArray()));
        }
    }

    // Groups that differ, as those of a network with formula weights hardly do.
    private static ImageEncoding RandomEncoding(GroupVitModel model, SegmentationPreset preset, int width, int height)
    {
        Random random = new(width);
        int groups = model.Config.Vision.NumOutputGroups[^2];
        int patch = model.Config.Vision.PatchSize;
        (int gridWidth, int gridHeight) = (4, 3);
        float[] maps = [.. Enumerable.Range(0, groups * gridWidth * gridHeight).Select(_ => MathF.Pow(random.NextSingle(), 4))];
        for (int cell = 0; cell < gridWidth * gridHeight; cell++)
        {
            float sum = Enumerable.Range(0, groups).Sum(g => maps[g * gridWidth * gridHeight + cell]);
            for (int g = 0; g < groups; g++)
            {
                maps[g * gridWidth * gridHeight + cell] /= sum;
            }
        }
        return new ImageEncoding(
            preset, (width, height), new PictureRegion(0, 0, width, height), (gridWidth * patch, gridHeight * patch), (gridWidth, gridHeight), Units(1), Units(groups), maps, model.Fingerprint);

        float[] Units(int rows)
            => [.. Enumerable.Range(0, rows).SelectMany(_ =>
            {
                double[] values = [.. Enumerable.Range(0, model.Config.ProjectionDim).Select(_ => random.NextDouble() - 0.5)];
                double length = Math.Sqrt(values.Sum(value => value * value));
                return values.Select(value => (float)(value / length));
            })];
    }

    [Test]
    public void Values_out_of_range_are_refused()
    {
        foreach (double temperature in (double[])[0, -1, double.NaN, double.PositiveInfinity, 1e7])
        {
            Assert.That(() => new SegmentationOptions { Temperature = temperature }.Validate(), Throws.TypeOf<ArgumentOutOfRangeException>());
        }
        Assert.That(() => new SegmentationOptions { Mode = SegmentationMode.Slide, Maps = GroupMapKind.Soft }.Validate(), Throws.ArgumentException);
    }
}
