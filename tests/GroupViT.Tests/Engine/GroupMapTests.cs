using GroupViT.Kernels;
using GroupViT.Native;

namespace GroupViT.Tests.Engine;

/// <summary>Who belongs to whom at every stage.</summary>
[Category("Cpu")]
internal sealed class GroupMapTests
{
    [TestCase(4, 3, 64, 48, 64, 48)]
    [TestCase(4, 3, 70, 55, 131, 90)]
    [TestCase(5, 2, 80, 40, 23, 11)]
    [TestCase(1, 1, 16, 16, 5, 7)]
    public void Pixels_are_assigned_as_by_two_resizes_and_an_arg_max(int gridWidth, int gridHeight, int inputWidth, int inputHeight, int width, int height)
    {
        const int groups = 7;
        Random random = new(width);
        float[] shares = [.. Enumerable.Range(0, groups * gridWidth * gridHeight).Select(_ => random.NextSingle())];
        ushort[] actual = new GroupMap(groups, (gridWidth, gridHeight), (inputWidth, inputHeight), shares).AssignPixels(width, height);
        for (int i = 0; i < actual.Length; i++)
        {
            double[] values = [.. Enumerable.Range(0, groups).Select(g => Bilinear.Sample(
                (r, c) => Bilinear.Sample((y, x) => shares[(g * gridHeight + y) * gridWidth + x], gridHeight, gridWidth, inputHeight, inputWidth, r, c).Value,
                inputHeight, inputWidth, height, width, i / width, i % width).Value)];
            // Sixteen products of float32 weights.
            Assert.That(values[actual[i]], Is.EqualTo(values.Max()).Within(20 * 6e-8), $"pixel {i}");
        }
    }

    [Test]
    public void Every_stage_is_kept_where_it_was_asked_for_and_the_memory_is_the_estimate()
    {
        using GroupVitModel model = TestModels.Scenes();
        SessionOptions options = new() { Device = "cpu", MaxSize = (112, 168), StageMaps = true, MaxBatch = 2 };
        using Session session = model.OpenSession(options);
        using Session plain = model.OpenSession(options with { StageMaps = false });
        SegmentationOptions rules = new() { ShortSide = 112 };
        Picture[] pictures = [TestModels.Noise(150, 120), TestModels.Noise(150, 120, seed: 2)];
        IReadOnlyList<ImageEncoding> encodings = session.Encode(pictures, rules);
        for (int p = 0; p < 2; p++)
        {
            ImageEncoding encoding = encodings[p];
            ImageEncoding without = plain.Encode(pictures[p], rules);
            TestModels.AssertSameBits(encoding, without, "with the maps of every stage");
            Assert.That(without.StageMaps, Is.Empty);
            Assert.That(encoding.StageMaps.Select(map => map.Groups), Is.EqualTo((int[])[32, 8]));
            TestModels.AssertSameBits(encoding.StageMaps[1].Shares.ToArray(), encoding.Maps, "the last stage's");
            foreach (GroupMap map in encoding.StageMaps)
            {
                int cells = map.GridWidth * map.GridHeight;
                for (int cell = 0; cell < cells; cell++)
                {
                    double sum = Enumerable.Range(0, map.Groups).Sum(g => (double)map.Shares.Span[g * cells + cell]);
                    Assert.That(sum, Is.EqualTo(1).Within(1e-5));
                }
            }
        }
        Assert.That(session.MemoryInUse, Is.LessThanOrEqualTo(model.EstimateMemory(options).Total));
        Assert.That(session.ArenaBytes, Is.GreaterThanOrEqualTo(plain.ArenaBytes));
    }
}
