using GroupViT.Native;
using GroupViT.Native.Imaging;
using static GroupViT.Tests.Imaging.PngBuilder;

namespace GroupViT.Tests.Imaging;

/// <summary>Malformed PNG files, each refused with a sentence that says what is wrong.</summary>
internal sealed class PngHostileTests
{
    private static readonly byte[] OnePixel = Deflate(0, 7);

    [Test]
    public void Only_a_signature() => Refused("truncated", PngBuilder.File());

    [Test]
    public void First_chunk_not_IHDR() => Refused("first chunk must be IHDR", PngBuilder.File(Chunk("IDAT", OnePixel), End));

    [Test]
    public void Second_IHDR() => Refused("second IHDR", PngBuilder.File(Header(1, 1, 8, 0), Header(1, 1, 8, 0), Chunk("IDAT", OnePixel), End));

    [Test]
    public void IHDR_of_12_bytes() => Refused("12 bytes instead of 13", PngBuilder.File(Chunk("IHDR", new byte[12]), End));

    [TestCase(0, 1)]
    [TestCase(1, 0)]
    [TestCase(-1, 1)]
    [TestCase(32769, 1)]
    [TestCase(int.MaxValue, int.MaxValue)]
    public void Sides_out_of_range(int width, int height) => Refused("sides must be 1 to 32768", PngBuilder.File(Header(width, height, 8, 0), Chunk("IDAT", OnePixel), End));

    [Test]
    public void More_pixels_than_allowed() => Refused("above the limit of 67,108,864", PngBuilder.File(Header(32768, 2049, 8, 0), Chunk("IDAT", OnePixel), End));

    [Test]
    public void More_pixels_than_the_caller_allows() => Assert.That(
        () => ImageDecoder.Decode(Encode(5, 5, 8, 0, false, (_, _, _) => 0), "made", new ImageDecodeOptions { MaxPixels = 24 }),
        Throws.TypeOf<ImageFileException>().With.Message.Contains("above the limit of 24"));

    [Test]
    public void A_size_that_the_data_cannot_fill()
    {
        byte[] file = PngBuilder.File(Header(8000, 8000, 16, 6), Chunk("IDAT", OnePixel), End);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refused("cannot unfold to more than", file);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20), "refused before the raster is allocated");
    }

    [TestCase(3, 0)]
    [TestCase(32, 0)]
    [TestCase(4, 2)]
    [TestCase(16, 3)]
    [TestCase(2, 4)]
    [TestCase(8, 1)]
    [TestCase(8, 5)]
    [TestCase(8, 7)]
    public void Depths_and_colour_types_that_do_not_exist(int depth, int color) => Refused("which PNG does not have", PngBuilder.File(Header(1, 1, depth, color), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Unknown_compression_method() => Refused("compression method 1", PngBuilder.File(Header(1, 1, 8, 0, compression: 1), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Unknown_filter_method() => Refused("filter method 64", PngBuilder.File(Header(1, 1, 8, 0, filter: 64), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Unknown_interlace_method() => Refused("interlace method 2", PngBuilder.File(Header(1, 1, 8, 0, interlace: 2), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Unknown_filter_type_of_a_row() => Refused("filter type 5", PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", Deflate(5, 7)), End));

    [Test]
    public void No_pixel_data() => Refused("no IDAT chunk", PngBuilder.File(Header(1, 1, 8, 0), End));

    [Test]
    public void Pixel_data_too_short_names_the_row() => Refused("row 1 of 3", PngBuilder.File(Header(2, 3, 8, 0), Chunk("IDAT", Deflate(0, 1, 2, 0, 1)), End));

    [Test]
    public void Interlaced_pixel_data_too_short() => Refused("(interlaced)", PngBuilder.File(Header(9, 9, 8, 0, interlace: 1), Chunk("IDAT", Deflate(new byte[40])), End));

    [Test]
    public void Zlib_stream_cut_off() => Refused("truncated", PngBuilder.File(Header(40, 40, 8, 2), Chunk("IDAT", Noise(40 * 121)[..2000]), End));

    [Test]
    public void Zlib_checksum_wrong()
    {
        byte[] packed = Deflate(0, 7);
        packed[^1] ^= 1;
        Refused("damaged", PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", packed), End));
    }

    [Test]
    public void Not_a_zlib_stream() => Refused("damaged", PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", 1, 2, 3, 4, 5, 6, 7, 8), End));

    [Test]
    public void Zlib_stream_that_asks_for_a_dictionary() => Refused("damaged", PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", 0x78, 0xBB, 1, 2, 3, 4, 5, 6, 7, 8), End));

    [Test]
    public void Checksum_of_a_chunk_wrong()
    {
        byte[] file = Encode(4, 4, 8, 0, false, (x, _, _) => x);
        file[^16] ^= 0x40; // The last IDAT's checksum.
        Refused("checksum of the IDAT chunk", file);
    }

    [Test]
    public void Checksum_of_an_ancillary_chunk_wrong()
    {
        byte[] text = Chunk("tEXt", 65, 0, 66);
        text[8] ^= 1;
        Refused("checksum of the tEXt chunk", PngBuilder.File(Header(1, 1, 8, 0), text, Chunk("IDAT", OnePixel), End));
    }

    [Test]
    public void Chunk_longer_than_the_file() => Refused("claims 2147483647 bytes", PngBuilder.File(Header(1, 1, 8, 0), [0x7F, 0xFF, 0xFF, 0xFF, .. "IDAT"u8, 1, 2, 3, 4]));

    [Test]
    public void Chunk_length_that_is_negative_as_a_signed_number() => Refused("claims 4294967295 bytes", PngBuilder.File(Header(1, 1, 8, 0), [0xFF, 0xFF, 0xFF, 0xFF, .. "IDAT"u8, 1, 2, 3, 4]));

    [Test]
    public void Chunk_name_that_is_no_letters() => Refused("not four letters", PngBuilder.File(Header(1, 1, 8, 0), [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]));

    [Test]
    public void Unknown_critical_chunk() => Refused("unknown critical chunk CgBI", PngBuilder.File(Header(1, 1, 8, 0), Chunk("CgBI", 1), Chunk("IDAT", OnePixel), End));

    [Test]
    public void No_IEND() => Refused("truncated", PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", OnePixel)));

    [Test]
    public void IDAT_chunks_apart() => Refused("must follow each other", PngBuilder.File(Header(1, 1, 8, 0), Chunk("IDAT", OnePixel[..3]), Chunk("tEXt", 65, 0), Chunk("IDAT", OnePixel[3..]), End));

    [Test]
    public void Palette_picture_without_a_palette() => Refused("without a PLTE", PngBuilder.File(Header(1, 1, 8, 3), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Palette_after_the_pixels() => Refused("PLTE must come once", PngBuilder.File(Header(1, 1, 8, 2), Chunk("IDAT", Deflate(0, 1, 2, 3)), Chunk("PLTE", 1, 2, 3), End));

    [Test]
    public void Two_palettes() => Refused("PLTE must come once", PngBuilder.File(Header(1, 1, 8, 3), Chunk("PLTE", 1, 2, 3), Chunk("PLTE", 1, 2, 3), Chunk("IDAT", Deflate(0, 0)), End));

    [TestCase(0)]
    [TestCase(4)]
    [TestCase(771)]
    public void Palette_length_that_is_no_number_of_colours(int bytes) => Refused("1 to 256 colours", PngBuilder.File(Header(1, 1, 8, 3), Chunk("PLTE", new byte[bytes]), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Palette_larger_than_the_depth_reaches() => Refused("2 bits reach only 4", PngBuilder.File(Header(1, 1, 2, 3), Chunk("PLTE", new byte[15]), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Palette_in_a_grey_picture() => Refused("palette in a grey picture", PngBuilder.File(Header(1, 1, 8, 0), Chunk("PLTE", 1, 2, 3), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Index_past_the_palette() => Refused("palette entry 7", PngBuilder.File(Header(1, 1, 8, 3), Chunk("PLTE", 1, 2, 3), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Transparency_before_the_palette() => Refused("tRNS must come after PLTE", PngBuilder.File(Header(1, 1, 8, 3), Chunk("tRNS", 1), Chunk("PLTE", 1, 2, 3), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Transparency_longer_than_the_palette() => Refused("tRNS chunk of 2 bytes", PngBuilder.File(Header(1, 1, 8, 3), Chunk("PLTE", 1, 2, 3), Chunk("tRNS", 1, 2), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Transparency_beside_an_alpha_channel() => Refused("tRNS chunk of 2 bytes", PngBuilder.File(Header(1, 1, 8, 4), Chunk("tRNS", 0, 1), Chunk("IDAT", Deflate(0, 1, 2)), End));

    [Test]
    public void Two_transparencies() => Refused("tRNS must come once", PngBuilder.File(Header(1, 1, 8, 0), Chunk("tRNS", 0, 1), Chunk("tRNS", 0, 1), Chunk("IDAT", OnePixel), End));

    [Test]
    public void Truncated_anywhere()
    {
        byte[] file = Encode(9, 7, 8, 2, true, (x, y, c) => (x * 31) + (y * 17) + c);
        for (int length = PngFile.Signature.Length; length < file.Length; length++)
        {
            Assert.That(() => ImageDecoder.Decode(file[..length], "made"), Throws.TypeOf<ImageFileException>(), $"cut at byte {length} of {file.Length}");
        }
    }

    private static void Refused(string reason, byte[] file) =>
        Assert.That(() => ImageDecoder.Decode(file, "made"), Throws.TypeOf<ImageFileException>().With.Message.Contains(reason).And.Message.StartsWith("made: "));

    private static byte[] Noise(int length)
    {
        byte[] raw = new byte[length];
        new Random(7).NextBytes(raw);
        for (int i = 0; i < length; i += 121)
        {
            raw[i] = 0; // No filter.
        }
        return Deflate(raw);
    }
}
