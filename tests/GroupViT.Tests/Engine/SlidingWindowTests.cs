using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Engine;

/// <summary>Mode Slide: where windows stand, and that their scores are summed, averaged, resampled and compared as in spec F.1 steps 6 and 7.</summary>
[Category("Cpu")]
internal sealed class SlidingWindowTests
{
    // Four scores below 1, mixed by weights that are float32: two roundings of each of the two.
    private const double WeightError = 4 * 6e-8;

    [TestCase(597, 448, 448, 224, "0,0,448,448 149,0,448,448")]
    [TestCase(448, 673, 448, 224, "0,0,448,448 0,224,448,448 0,225,448,448")]
    [TestCase(448, 448, 448, 224, "0,0,448,448")]
    [TestCase(300, 200, 448, 224, "0,0,300,200")]
    [TestCase(50, 40, 32, 32, "0,0,32,32 18,0,32,32 0,8,32,32 18,8,32,32")]
    [TestCase(64, 33, 32, 32, "0,0,32,32 32,0,32,32 0,1,32,32 32,1,32,32")]
    public void Windows_stand_where_the_specification_says(int width, int height, int crop, int stride, string expected)
        => Assert.That(string.Join(' ', SlidingWindow.Over(width, height, crop, stride).Select(w => $"{w.Left},{w.Top},{w.Width},{w.Height}")), Is.EqualTo(expected));

    [Test]
    public void Too_many_windows_are_refused_with_their_number()
        => Assert.That(() => SlidingWindow.Over(2048, 448, 32, 4), Throws.TypeOf<SessionLimitException>().With.Message.Contains("505 x 105"));

    // Sizes that nothing divides, a picture smaller and one larger than the canvas, windows four deep, a canvas that is one window.
    [TestCase(50, 37, 32, 16, 50, 37, 5)]
    [TestCase(50, 37, 32, 16, 131, 90, 9)]
    [TestCase(83, 41, 40, 11, 60, 23, 33)]
    [TestCase(30, 20, 40, 20, 77, 31, 3)]
    [TestCase(97, 64, 17, 5, 97, 64, 12)]
    public void Labels_are_those_of_the_rule_written_out(int width, int height, int crop, int stride, int pictureWidth, int pictureHeight, int labels)
    {
        const int groups = 4;
        Random random = new(width + crop);
        WindowCanvas canvas = new();
        double[] sums = new double[labels * height * width];
        int[] counts = new int[height * width];
        // Twice: what the first picture left behind must not be seen.
        canvas.Begin(width + 7, height + 3, labels);
        canvas.Add(new Window(0, 0, width + 7, height + 3), Blobs(random, width + 7, height + 3, groups), new double[groups * labels]);
        canvas.Begin(width, height, labels);
        foreach (Window area in SlidingWindow.Over(width, height, crop, stride))
        {
            int[] map = Blobs(random, area.Width, area.Height, groups);
            double[] table = [.. Enumerable.Range(0, groups * labels).Select(_ => random.NextDouble())];
            canvas.Add(area, map, table);
            for (int i = 0; i < map.Length; i++)
            {
                int pixel = (area.Top + i / area.Width) * width + area.Left + i % area.Width;
                counts[pixel]++;
                for (int n = 0; n < labels; n++)
                {
                    sums[n * height * width + pixel] += table[map[i] * labels + n];
                }
            }
        }
        Assert.That(counts, Is.All.GreaterThan(0), "every pixel is seen");
        ushort[] mask = new ushort[pictureWidth * pictureHeight];
        long[] pixels = new long[labels];
        double[] scores = new double[labels];
        Array.Fill(pixels, 99);
        Array.Fill(scores, double.NaN);
        canvas.Label(pictureWidth, pictureHeight, mask, pixels, scores, default);

        long[] expectedPixels = new long[labels];
        double[] expectedScores = new double[labels];
        for (int i = 0; i < mask.Length; i++)
        {
            double[] values = [.. Enumerable.Range(0, labels).Select(n => Bilinear.Sample(
                (r, c) => sums[(n * height + r) * width + c] / counts[r * width + c], height, width, pictureHeight, pictureWidth, i / pictureWidth, i % pictureWidth).Value)];
            int best = Array.IndexOf(values, values.Max());
            Assert.That(values[mask[i]], Is.EqualTo(values[best]).Within(WeightError), $"pixel {i}");
            expectedPixels[mask[i]]++;
            expectedScores[mask[i]] += values[mask[i]];
        }
        Assert.That(pixels, Is.EqualTo(expectedPixels));
        for (int n = 0; n < labels; n++)
        {
            Assert.That(scores[n], Is.EqualTo(expectedScores[n]).Within(WeightError * (expectedPixels[n] + 1)), $"sum of label {n}");
        }
        Assert.That(pixels.Count(count => count > 0), Is.GreaterThan(1), "the example is too plain");
    }

    [Test]
    public void Windows_that_overlap_in_too_many_ways_are_refused()
    {
        WindowCanvas canvas = new();
        Random random = new(3);
        int[] noise = [.. Enumerable.Range(0, 2_000_000).Select(_ => random.Next(64))];
        canvas.Begin(2000, 1000, 2);
        Assert.That(
            () =>
            {
                for (int i = 0; i < 5; i++)
                {
                    canvas.Add(new Window(0, 0, 2000, 1000), noise, new double[128]);
                    random.Shuffle(noise);
                }
            },
            Throws.TypeOf<SessionLimitException>().With.Message.Contains("stride"));
    }

    [Test]
    public void Encoding_once_and_labelling_is_the_same_as_segmenting_whatever_the_batch()
    {
        using GroupVitModel model = TestModels.Tiny();
        Picture picture = TestModels.Noise(150, 70);
        LabelBank bank = TestModels.Bank(model, 7, background: true);
        SegmentationOptions rules = new() { Mode = SegmentationMode.Slide, ShortSide = 64, Crop = 48, Stride = 20, BackgroundThreshold = 0.3 };
        SegmentationResult? first = null;
        foreach (int batch in (int[])[1, 3, 16])
        {
            using Session session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (48, 48), MaxBatch = batch });
            SegmentationResult whole = session.Segment(picture, bank, rules);
            ImageEncoding encoding = session.Encode(picture, rules);
            Assert.That((encoding.Mode, encoding.InputWidth, encoding.InputHeight, encoding.GridWidth), Is.EqualTo((SegmentationMode.Slide, 137, 64, 3)));
            Assert.That(encoding.WindowCount, Is.EqualTo(6 * 2));
            SegmentationResult later = session.Label(encoding, bank, rules);
            ushort[] mask = new ushort[150 * 70];
            byte[] pixels = new byte[3 * 150 * 70];
            new Random(1).NextBytes(pixels);
            session.Segment(pixels, 150, 70, 450, PixelFormat.Rgb, bank, mask, rules);
            Assert.That(later.Mask.ToArray(), Is.EqualTo(whole.Mask.ToArray()));
            Assert.That(mask, Is.EqualTo(whole.Mask.ToArray()));
            Assert.That(later.Labels, Is.EqualTo(whole.Labels));
            Assert.That(whole.Labels.Sum(label => label.Pixels), Is.EqualTo(150 * 70));
            Assert.That(whole.Labels.Count(label => label.Pixels > 0), Is.GreaterThan(1), "the example is too plain");
            first ??= whole;
            Assert.That(whole.Mask.ToArray(), Is.EqualTo(first.Mask.ToArray()), $"batch {batch}");
            Assert.That(() => session.Label(encoding, bank, new SegmentationOptions()), Throws.ArgumentException.With.Message.Contains("Slide"));
        }
    }

    [Test]
    public void One_window_is_the_whole_picture()
    {
        using GroupVitModel model = TestModels.Tiny();
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (64, 64) });
        Picture picture = TestModels.Noise(90, 90);
        LabelBank bank = TestModels.Bank(model, 7);
        SegmentationResult whole = session.Segment(picture, bank, new SegmentationOptions { ShortSide = 64 });
        SegmentationResult slid = session.Segment(picture, bank, new SegmentationOptions { ShortSide = 64, Mode = SegmentationMode.Slide });
        int different = whole.Mask.ToArray().Zip(slid.Mask.ToArray()).Count(pair => pair.First != pair.Second);
        Assert.That(different, Is.LessThanOrEqualTo(2), "two kernels may round a tie differently");
    }

    [Test]
    public void Rules_that_do_not_fit_are_refused()
    {
        using GroupVitModel model = TestModels.Tiny();
        using Session session = model.OpenSession(new SessionOptions { Device = "cpu", MaxSize = (64, 64) });
        LabelBank bank = TestModels.Bank(model, 2);
        Picture picture = TestModels.Noise(90, 90);
        SegmentationOptions slide = new() { Mode = SegmentationMode.Slide, ShortSide = 64 };
        Assert.That(() => session.Segment(picture, bank, slide with { Stride = 65 }), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => session.Segment(picture, bank, slide with { Crop = 12 }), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => session.Segment(picture, bank, slide with { Preset = SegmentationPreset.Transformers }), Throws.ArgumentException);
        Assert.That(() => session.Segment(picture, bank, slide with { ShortSide = 200, Crop = 128 }), Throws.TypeOf<SessionLimitException>().With.Message.Contains("MaxSize"));
        Assert.That(session.Segment(picture, bank, slide).Labels.Sum(label => label.Pixels), Is.EqualTo(8100), "still usable");
    }

    // Regions of a few pixels: each pixel of its nearest of some points.
    private static int[] Blobs(Random random, int width, int height, int groups)
    {
        (int X, int Y)[] points = [.. Enumerable.Range(0, 12).Select(_ => (random.Next(width), random.Next(height)))];
        int[] map = new int[width * height];
        for (int i = 0; i < map.Length; i++)
        {
            int nearest = Enumerable.Range(0, points.Length).MinBy(p => (points[p].X - i % width) * (points[p].X - i % width) + (points[p].Y - i / width) * (points[p].Y - i / width));
            map[i] = nearest % groups;
        }
        return map;
    }
}
