using GroupViT.Native;
using GroupViT.Native.Imaging;
using static GroupViT.Tests.Imaging.PngBuilder;

namespace GroupViT.Tests.Imaging;

internal sealed class PngDecoderTests
{
    private static readonly (int Color, int Depth)[] Kinds =
    [
        (0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16),
    ];

    [Test]
    public void Every_kind_and_depth_decodes_plain_and_interlaced([Values] bool interlaced, [Values] AlphaMode alpha)
    {
        foreach ((int color, int depth) in Kinds)
        {
            // 1 x 1 and 3 x 2 leave passes of Adam7 empty; 13 x 11 fills no byte evenly.
            foreach ((int width, int height) in new[] { (1, 1), (3, 2), (1, 9), (8, 8), (13, 11) })
            {
                int top = (1 << depth) - 1;
                int Sample(int x, int y, int c) => ((x * 7919) + (y * 104729) + (c * 1299709) + (x * y * 31)) & top;
                byte[] palette = [.. Enumerable.Range(0, 3 * Math.Min(256, top + 1)).Select(i => (byte)(i * 37))];
                byte[] file = Encode(width, height, depth, color, interlaced, Sample, color == 3 ? [Chunk("PLTE", palette)] : []);
                RgbImage image = ImageDecoder.Decode(file, "made", new ImageDecodeOptions { Alpha = alpha });
                Assert.That((image.Width, image.Height), Is.EqualTo((width, height)));
                for (int y = 0; y < height; y++)
                {
                    for (int x = 0; x < width; x++)
                    {
                        Assert.That(image.Row(y).Slice(3 * x, 3).ToArray(), Is.EqualTo(Expected(x, y)), $"colour {color}, depth {depth}, {width}x{height}, at ({x}, {y})");
                    }
                }

                byte[] Expected(int x, int y)
                {
                    int Level(int c) => depth == 16 ? Sample(x, y, c) >> 8 : Sample(x, y, c) * 255 / top;
                    return color switch
                    {
                        3 => palette[(3 * Sample(x, y, 0))..((3 * Sample(x, y, 0)) + 3)],
                        0 => [(byte)Level(0), (byte)Level(0), (byte)Level(0)],
                        2 => [(byte)Level(0), (byte)Level(1), (byte)Level(2)],
                        4 => [Over(Level(0), Level(1)), Over(Level(0), Level(1)), Over(Level(0), Level(1))],
                        _ => [Over(Level(0), Level(3)), Over(Level(1), Level(3)), Over(Level(2), Level(3))],
                    };
                }

                byte Over(int c, int a) => (byte)(alpha == AlphaMode.Drop ? c : (int)Math.Round(((c * a) + (255.0 * (255 - a))) / 255));
            }
        }
    }

    [Test]
    public void A_palettes_alpha_is_composed_or_dropped()
    {
        byte[] file = Encode(3, 1, 8, 3, false, (x, _, _) => x, Chunk("PLTE", 10, 20, 30, 40, 50, 60, 70, 80, 90), Chunk("tRNS", 0, 128));
        Assert.That(ImageDecoder.Decode(file).Pixels, Is.EqualTo(new byte[] { 255, 255, 255, 147, 152, 157, 70, 80, 90 }));
        Assert.That(ImageDecoder.Decode(file, "made", Drop).Pixels, Is.EqualTo(new byte[] { 10, 20, 30, 40, 50, 60, 70, 80, 90 }));
    }

    [Test]
    public void One_transparent_colour_becomes_white_only_where_all_its_bits_agree()
    {
        byte[] gray16 = Encode(2, 1, 16, 0, false, (x, _, _) => 0x1234 + x, Chunk("tRNS", 0x12, 0x34));
        Assert.That(ImageDecoder.Decode(gray16).Pixels, Is.EqualTo(new byte[] { 255, 255, 255, 0x12, 0x12, 0x12 }));
        byte[] gray4 = Encode(2, 1, 4, 0, false, (x, _, _) => 5 + x, Chunk("tRNS", 0, 5));
        Assert.That(ImageDecoder.Decode(gray4).Pixels, Is.EqualTo(new byte[] { 255, 255, 255, 102, 102, 102 }));
        byte[] rgb = Encode(2, 1, 8, 2, true, (x, _, c) => c + x, Chunk("tRNS", 0, 0, 0, 1, 0, 2));
        Assert.That(ImageDecoder.Decode(rgb).Pixels, Is.EqualTo(new byte[] { 255, 255, 255, 1, 2, 3 }));
        Assert.That(ImageDecoder.Decode(rgb, "made", Drop).Pixels, Is.EqualTo(new byte[] { 0, 1, 2, 1, 2, 3 }));
        byte[] unreachable = Encode(2, 1, 8, 2, false, (x, _, c) => c + x, Chunk("tRNS", 1, 0, 0, 1, 0, 2));
        Assert.That(ImageDecoder.Decode(unreachable).Pixels, Is.EqualTo(new byte[] { 0, 1, 2, 1, 2, 3 }));
    }

    [Test]
    public void Ancillary_chunks_are_skipped_and_an_APNG_gives_its_default_image()
    {
        byte[] plain = Encode(5, 4, 8, 2, false, (x, y, c) => (x * 40) + (y * 9) + c);
        byte[] animated = Encode(5, 4, 8, 2, false, (x, y, c) => (x * 40) + (y * 9) + c, Chunk("gAMA", 0, 0, 0xB1, 0x8F), Chunk("acTL", 0, 0, 0, 2, 0, 0, 0, 0), Chunk("tEXt", 65, 0, 66));
        byte[] withFrame = [.. animated[..^12], .. Chunk("fdAT", 0, 0, 0, 1, 9, 9, 9), .. End];
        Assert.That(ImageDecoder.Decode(withFrame).Pixels, Is.EqualTo(ImageDecoder.Decode(plain).Pixels));
    }

    [Test]
    public void The_orientation_of_an_eXIf_chunk_is_applied_before_or_after_the_pixels()
    {
        byte[] exif = Chunk("eXIf", [.. "MM\0*\0\0\0\u0008\0\u0001\u0001\u0012\0\u0003\0\0\0\u0001\0\u0006\0\0\0\0\0\0"u8]);
        byte[] before = Encode(2, 1, 8, 0, false, (x, _, _) => x * 100, exif);
        byte[] after = Encode(2, 1, 8, 0, false, (x, _, _) => x * 100);
        after = [.. after[..^12], .. exif, .. End];
        foreach (byte[] file in new[] { before, after })
        {
            RgbImage image = ImageDecoder.Decode(file);
            Assert.That((image.Width, image.Height), Is.EqualTo((1, 2)));
            Assert.That(image.Pixels, Is.EqualTo(new byte[] { 0, 0, 0, 100, 100, 100 }), "turned clockwise, the left pixel comes to the top");
        }
    }

    [Test]
    public void Plain_pictures_at_deflates_highest_ratio_are_not_taken_for_lies()
    {
        // All zero: about the best that deflate can do, for the kinds with the fewest and the most bits a pixel.
        foreach ((int depth, int color, int side) in new[] { (1, 0, 4096), (8, 2, 1024), (16, 6, 512) })
        {
            int rowBytes = 1 + (side * depth * (color == 0 ? 1 : color == 2 ? 3 : 4) / 8);
            byte[] packed = Deflate(new byte[rowBytes * side]);
            TestContext.Out.WriteLine($"depth {depth}, colour {color}: ratio {(double)rowBytes * side / packed.Length:F0}");
            RgbImage image = ImageDecoder.Decode(PngBuilder.File(Header(side, side, depth, color), Chunk("IDAT", packed), End));
            Assert.That((image.Width, image.Height), Is.EqualTo((side, side)));
        }
    }

    [Test]
    public void More_pixel_data_than_the_rows_need_are_tolerated() =>
        Assert.That(ImageDecoder.Decode(PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", Deflate(0, 7, 0, 9, 9, 9)), End)).Pixels, Is.EqualTo(new byte[] { 7, 7, 7 }));

    [Test]
    public void Bytes_after_the_end_are_ignored() =>
        Assert.That(ImageDecoder.Decode([.. PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", Deflate(0, 7)), End), 1, 2, 3]).Pixels, Is.EqualTo(new byte[] { 7, 7, 7 }));

    [Test]
    public void Label_maps_give_the_stored_values()
    {
        foreach ((int color, int depth) in Kinds.Where(k => k.Color is 0 or 3))
        {
            int top = (1 << depth) - 1;
            byte[][] palette = color == 3 ? [Chunk("PLTE", new byte[3 * (top + 1)])] : [];
            byte[] file = Encode(13, 5, depth, color, depth == 4, (x, y, _) => ((x * 7919) + y) & top, palette);
            (int width, int height, int[] labels) = PngDecoder.DecodeLabels(file, "made");
            Assert.That((width, height), Is.EqualTo((13, 5)));
            Assert.That(labels, Is.EqualTo(Enumerable.Range(0, 65).Select(i => ((i % 13 * 7919) + (i / 13)) & top)), $"colour {color}, depth {depth}");
        }
        Assert.That(() => PngDecoder.DecodeLabels(Encode(1, 1, 8, 2, false, (_, _, _) => 0), "made"), Throws.TypeOf<ImageFileException>().With.Message.Contains("indexed or grey"));
    }

    [Test]
    public void The_checksum_equals_the_bitwise_one_at_every_length()
    {
        byte[] bytes = new byte[67];
        new Random(1).NextBytes(bytes);
        for (int length = 0; length <= bytes.Length; length++)
        {
            uint expected = ReferenceCrc(bytes.AsSpan(0, length));
            Assert.That(Crc32.Append(0, bytes.AsSpan(0, length)), Is.EqualTo(expected));
            Assert.That(Crc32.Append(Crc32.Append(0, bytes.AsSpan(0, length / 3)), bytes.AsSpan(length / 3, length - (length / 3))), Is.EqualTo(expected));
        }
    }

    private static ImageDecodeOptions Drop { get; } = new() { Alpha = AlphaMode.Drop };
}
