using GroupViT.Native;
using GroupViT.Native.Imaging;
using static GroupViT.Tests.Imaging.JpegBuilder;

namespace GroupViT.Tests.Imaging;

internal sealed class JpegDecoderTests
{
    private static readonly (int H, int V)[][] Samplings =
    [
        [(1, 1)], [(2, 2)], [(1, 1), (1, 1), (1, 1)], [(2, 1), (1, 1), (1, 1)], [(1, 2), (1, 1), (1, 1)],
        [(2, 2), (1, 1), (1, 1)], [(4, 1), (1, 1), (1, 1)], [(4, 2), (1, 1), (1, 1)], [(2, 2), (2, 1), (1, 2)],
    ];

    [TestCaseSource(nameof(Samplings))]
    public void Every_sampling_decodes_interleaved_or_not_with_and_without_restarts((int H, int V)[] components)
    {
        // Components on the full grid meet the samples but for rounding; coarser ones are smoothed.
        int tolerance = Array.TrueForAll(components, c => c == components[0]) ? 2 : 8;
        foreach ((int width, int height) in new[] { (1, 1), (8, 8), (17, 9), (33, 40) })
        {
            foreach (int restart in new[] { 0, 1, 3 })
            {
                foreach (bool interleaved in new[] { true, false })
                {
                    // Slow gradients, so that coarser grids and their smoothing stay near the full one.
                    int maxH = components.Max(c => c.H), maxV = components.Max(c => c.V);
                    int Sample(int c, int x, int y) => Level(c, x * maxH / components[c].H, y * maxV / components[c].V);
                    static int Level(int c, int x, int y) => c == 0 ? 60 + (2 * x) + y : c == 1 ? 100 + x : 150 - y;
                    RgbImage image = ImageDecoder.Decode(Encode(width, height, components, Sample, restart, interleaved));
                    Assert.That((image.Width, image.Height), Is.EqualTo((width, height)));
                    for (int y = 0; y < height; y++)
                    {
                        for (int x = 0; x < width; x++)
                        {
                            double luma = Level(0, x, y), cb = components.Length == 1 ? 0 : Level(1, x, y) - 128, cr = components.Length == 1 ? 0 : Level(2, x, y) - 128;
                            double[] expected = [luma + (1.402 * cr), luma - (0.344136 * cb) - (0.714136 * cr), luma + (1.772 * cb)];
                            for (int c = 0; c < 3; c++)
                            {
                                double difference = Math.Abs(image.Row(y)[(3 * x) + c] - Math.Clamp(expected[c], 0, 255));
                                if (difference > tolerance)
                                {
                                    Assert.Fail($"{width}x{height}, restart {restart}, interleaved {interleaved}: off by {difference} at ({x}, {y}), channel {c}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    [TestCase("gray.jpg")]
    [TestCase("progressive.jpg")]
    public void Truncated_anywhere_is_an_error(string name)
    {
        byte[] file = Fixture(name);
        for (int length = 3; length < file.Length - 2; length++)
        {
            Assert.That(() => ImageDecoder.Decode(file[..length], name), Throws.TypeOf<ImageFileException>(), $"cut at byte {length} of {file.Length}");
        }
    }

    [Test]
    public void Truncated_anywhere_with_the_end_marker_put_back_is_an_error()
    {
        byte[] file = Fixture("gray.jpg");
        for (int length = 3; length < file.Length - 2; length++)
        {
            byte[] cut = [.. file[..length], .. End];
            Assert.That(() => ImageDecoder.Decode(cut, "cut"), Throws.TypeOf<ImageFileException>(), $"cut at byte {length} of {file.Length}");
        }
    }

    [Test]
    public void A_progressive_scan_truncated_anywhere_inside_is_an_error()
    {
        byte[] file = Fixture("progressive.jpg");
        List<int> scanEnds = [];
        int accepted = 0;
        for (int at = 2; at + 1 < file.Length; at++)
        {
            // Where a scan's data end, a marker follows; a file cut there and closed is a legal, coarser picture.
            if (file[at] == 0xFF && file[at + 1] is 0xC4 or 0xDA or 0xD9)
            {
                scanEnds.Add(at);
            }
        }
        for (int length = 3; length < file.Length - 2; length++)
        {
            byte[] cut = [.. file[..length], .. End];
            try
            {
                ImageDecoder.Decode(cut, "cut");
                accepted++;
                // The FF of the next marker may stay: any number of them may come before a marker's code.
                Assert.That(scanEnds, Does.Contain(length).Or.Contain(length - 1), $"cut at byte {length} of {file.Length}");
            }
            catch (ImageFileException)
            {
            }
        }
        Assert.That(accepted, Is.InRange(1, 2 * scanEnds.Count));
    }

    [Test]
    public void A_lost_end_marker_alone_is_forgiven_where_all_pixels_are_there()
    {
        byte[] file = Fixture("gray.jpg");
        Assert.That(ImageDecoder.Decode(file[..^2]).Pixels, Is.EqualTo(ImageDecoder.Decode(file).Pixels));
    }

    [Test]
    public void Bytes_after_the_end_are_ignored()
    {
        byte[] file = Fixture("progressive.jpg");
        Assert.That(ImageDecoder.Decode([.. file, .. file]).Pixels, Is.EqualTo(ImageDecoder.Decode(file).Pixels));
    }

    [Test]
    public void Padding_between_the_last_block_and_the_next_marker_is_passed_over()
    {
        byte[] file = Encode(9, 9, [(1, 1)], (_, x, y) => x + y);
        byte[] padded = [.. file[..^2], 0, 0, 0, 0, 0xFF, .. End];
        Assert.That(ImageDecoder.Decode(padded).Pixels, Is.EqualTo(ImageDecoder.Decode(file).Pixels));
    }

    [Test]
    public void Orientation_is_read_in_both_byte_orders()
    {
        byte[] file = Encode(16, 8, [(1, 1)], (_, x, _) => x * 10);
        byte[] big = [.. "Exif\0\0MM\0*\0\0\0\u0008\0\u0001\u0001\u0012\0\u0003\0\0\0\u0001\0\u0006\0\0\0\0\0\0"u8];
        byte[] little = [.. "Exif\0\0II*\0\u0008\0\0\0\u0001\0\u0012\u0001\u0003\0\u0001\0\0\0\u0006\0\0\0\0\0\0\0"u8];
        foreach (byte[] exif in new[] { big, little })
        {
            RgbImage image = ImageDecoder.Decode(Join(Start, Segment(0xE1, exif), file[2..]));
            Assert.That((image.Width, image.Height), Is.EqualTo((8, 16)));
            Assert.That(image.Row(15)[0], Is.GreaterThan(image.Row(0)[0]), "the left edge comes to the top");
        }
    }

    [Test]
    [NonParallelizable] // The decoder's count is one for the whole process.
    public void Many_decodes_leave_no_native_memory_behind()
    {
        byte[] file = Fixture("progressive.jpg");
        byte[] cut = [.. file[..(file.Length * 2 / 3)], .. End];
        // The first quantiser raised from 3 to 234 takes DC values past 16 bits, which only the decoder itself notices.
        byte[] overflowing = Fixture("gray.jpg");
        Assert.That(overflowing[25], Is.EqualTo(3));
        overflowing[25] = 234;
        int before = StbImageSharp.StbImage.NativeAllocations;
        for (int i = 0; i < 20; i++)
        {
            ImageDecoder.Decode(file);
            Assert.That(() => ImageDecoder.Decode(cut), Throws.TypeOf<ImageFileException>().With.InnerException.Null);
            Assert.That(() => ImageDecoder.Decode(overflowing), Throws.TypeOf<ImageFileException>().With.InnerException.Not.Null);
        }
        Assert.That(StbImageSharp.StbImage.NativeAllocations, Is.EqualTo(before));
    }

    private static byte[] Fixture(string name) => System.IO.File.ReadAllBytes(Fixtures.Path("preprocess", "formats", name));
}
