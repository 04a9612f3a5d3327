using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Engine;

/// <summary>Run lengths against the strings that the C code under pycocotools (maskApi.c: rleEncode, rleToString, rleToBbox) makes of the same masks.</summary>
[Category("Cpu")]
internal sealed class LabelRunsTests
{
    // 65535 has no label.
    private static readonly ushort[] Small =
    [
        0, 0, 1, 1, 0, 2,
        0, 1, 1, 1, 2, 2,
        3, 3, 1, 65535, 2, 0,
        3, 0, 0, 65535, 65535, 0,
    ];

    [Test]
    public void A_small_map_gives_the_strings_and_boxes_of_pycocotools()
    {
        LabelRuns[] runs = [.. LabelRuns.Of(Small, 6, 4).Values];
        Assert.That(runs.Select(run => (run.Label, run.ToString(), run.Pixels)), Is.EqualTo(
            new[] { (0, "022O00101011", 8L), (1, "5122OO9", 6L), (2, "a02101", 4L), (3, "222O?", 3L) }));
        Assert.That(runs.Select(run => run.Box), Is.EqualTo(new[] { new Window(0, 0, 6, 4), new Window(1, 0, 3, 3), new Window(4, 0, 2, 3), new Window(0, 2, 2, 2) }));
    }

    [Test]
    public void A_frame_gives_the_string_of_pycocotools_across_blocks_of_columns()
    {
        ushort[] map = new ushort[70 * 50];
        for (int y = 3; y < 60; y++)
        {
            for (int x = 5; x < 40; x++)
            {
                map[(y * 50) + x] = (ushort)(y is >= 10 and < 20 && x is >= 10 and < 30 ? 0 : 1);
            }
        }
        LabelRuns frame = LabelRuns.Of(map, 50, 70)[1];
        Assert.That(frame.ToString(), Is.EqualTo("Q;i1=00000000^NMQ13" + string.Concat(Enumerable.Repeat("oNMQ13", 19)) + "a0000000000000000000ie0"));
        Assert.That((frame.Box, frame.Pixels), Is.EqualTo((new Window(5, 3, 35, 57), (57L * 35) - 200)));
    }

    [Test]
    public void One_label_everywhere_is_an_empty_run_and_a_full_one()
    {
        Assert.That(LabelRuns.Of(new ushort[15], 5, 3)[0].ToString(), Is.EqualTo("0?"));
        Assert.That(LabelRuns.Of(new ushort[2_000_000], 2000, 1000)[0].ToString(), Is.EqualTo("0PTQm1"));
        Assert.That(LabelRuns.Of((ushort[])[65535, 65535], 2, 1), Is.Empty);
    }

    [Test]
    public void Random_maps_come_back_from_their_strings()
    {
        Random random = new(8);
        for (int round = 0; round < 200; round++)
        {
            (int width, int height, int labels) = (random.Next(1, 90), random.Next(1, 40), random.Next(1, 6));
            ushort[] map = [.. Enumerable.Range(0, width * height).Select(_ => (ushort)random.Next(labels)).Select(label => label == 4 ? SegmentationResult.Unlabelled : label)];
            ushort[] back = [.. Enumerable.Repeat(SegmentationResult.Unlabelled, map.Length)];
            foreach (LabelRuns run in LabelRuns.Of(map, width, height).Values)
            {
                int at = 0;
                foreach ((int count, int index) in Counts(run.ToString()).Select((count, index) => (count, index)))
                {
                    for (int i = at; i < at + count && index % 2 == 1; i++)
                    {
                        back[(i % height * width) + (i / height)] = (ushort)run.Label;
                    }
                    at += count;
                }
                Assert.That(at, Is.EqualTo(map.Length), "the counts add up to the picture");
                Assert.That(run.Pixels, Is.EqualTo(map.Count(label => label == run.Label)));
            }
            Assert.That(back, Is.EqualTo(map));
        }
    }

    // Decoded from the description of the format, not from our encoder.
    private static List<int> Counts(string text)
    {
        List<int> counts = [];
        for (int i = 0; i < text.Length;)
        {
            long value = 0;
            int shift = 0;
            int group;
            do
            {
                group = text[i++] - 48;
                value |= (long)(group & 31) << shift;
                shift += 5;
            }
            while ((group & 32) != 0);
            if ((group & 16) != 0)
            {
                value |= -1L << shift;
            }
            counts.Add((int)value + (counts.Count > 2 ? counts[^2] : 0));
        }
        return counts;
    }
}
