using GroupViT.Native;
using GroupViT.Native.Imaging;
using static GroupViT.Tests.Imaging.JpegBuilder;

namespace GroupViT.Tests.Imaging;

/// <summary>Malformed JPEG files, each refused with a sentence that says what is wrong.</summary>
internal sealed class JpegHostileTests
{
    private static readonly (int H, int V)[] Gray = [(1, 1)];
    private static readonly (int H, int V)[] Color = [(2, 2), (1, 1), (1, 1)];

    private static byte[] GrayData(int width, int height, int restart = 0) => ScanData(width, height, Gray, [0], (_, x, y) => (x * 5) + y, restart);

    [Test]
    public void Only_a_start() => Refused("truncated", [0xFF, 0xD8, 0xFF]);

    [Test]
    public void No_frame() => Refused("before its frame header", Join(Start, Quantization, Huffman, End));

    [Test]
    public void No_scan() => Refused("not all of its components", Join(Start, Quantization, Huffman, Frame(8, 8, Gray), End));

    [Test]
    public void Scan_before_the_frame() => Refused("scan before the frame", Join(Start, Quantization, Huffman, Scan(0), GrayData(8, 8), End));

    [Test]
    public void Segment_longer_than_the_file_that_kept_the_decoder_busy_for_ever() => Refused("claims 36880 bytes", Join(Start, [0xFF, 0xE0, 0x90, 0x10], new byte[1200]));

    [TestCase(0)]
    [TestCase(1)]
    public void Segment_shorter_than_its_own_length(byte length) => Refused($"claims {length} bytes", Join(Start, [0xFF, 0xE0, 0, length, 1, 2, 3]));

    [Test]
    public void Junk_between_segments() => Refused("where a marker must begin", Join(Start, Quantization, [1, 2, 3], Huffman, End));

    [TestCase(0x01)]
    [TestCase(0xD0)]
    [TestCase(0xD8)]
    [TestCase(0x00)]
    public void Marker_that_does_not_belong_here(byte marker) => Refused("does not belong here", Join(Start, Quantization, [0xFF, marker], Huffman, End));

    [TestCase(0xC3, "lossless")]
    [TestCase(0xC5, "hierarchical")]
    [TestCase(0xC7, "lossless")]
    [TestCase(0xC9, "arithmetically coded")]
    [TestCase(0xCA, "arithmetically coded")]
    [TestCase(0xCB, "arithmetically coded")]
    [TestCase(0xCF, "hierarchical")]
    public void Kinds_of_frame_that_are_not_read(byte marker, string kind) => Refused(kind, Join(Start, Quantization, Frame(8, 8, Gray, marker), End));

    [Test]
    public void Arithmetic_conditioning() => Refused("arithmetically coded", Join(Start, Segment(0xCC, 0, 0), End));

    [Test]
    public void Height_told_after_the_picture() => Refused("DNL", Join(Start, Segment(0xDC, 0, 8), End));

    [Test]
    public void Height_zero() => Refused("sides must be 1 to", Join(Start, Quantization, Huffman, Frame(8, 0, Gray), Scan(0), GrayData(8, 8), End));

    [Test]
    public void Twelve_bits_a_sample() => Refused("12 bits a sample", Join(Start, Quantization, Frame(8, 8, Gray, 0xC1, 12), End));

    [Test]
    public void Two_components() => Refused("2 components", Join(Start, Frame(8, 8, [(1, 1), (1, 1)]), End));

    [Test]
    public void Four_components() => Refused("CMYK", Join(Start, Frame(8, 8, [(1, 1), (1, 1), (1, 1), (1, 1)]), End));

    [Test]
    public void Two_frames() => Refused("second frame", Join(Start, Frame(8, 8, Gray), Frame(8, 8, Gray), new byte[100]));

    [Test]
    public void Frame_header_too_short() => Refused("frame header whose length", Join(Start, Segment(0xC0, 8, 0, 8, 0, 8, 3, 1, 0x11, 0), End));

    [TestCase(0, 1)]
    [TestCase(5, 1)]
    public void Sampling_factors_out_of_range(int h, int v) => Refused("they must be 1 to 4", Join(Start, Frame(8, 8, [(h, v)]), End));

    [Test]
    public void Sampling_factors_without_a_whole_ratio() => Refused("whole ratios", Join(Start, Frame(8, 8, [(3, 1), (2, 1), (1, 1)]), new byte[100]));

    [Test]
    public void Sizes_that_the_data_cannot_fill_are_refused_before_anything_is_allocated()
    {
        foreach (byte marker in new byte[] { 0xC0, 0xC2 })
        {
            byte[] file = Join(Start, Quantization, Huffman, Frame(8000, 8000, Color, marker), Scan(0, 1, 2), GrayData(64, 64), End);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Refused("that follow can hold", file);
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
        }
    }

    [Test]
    public void Size_larger_than_the_data() => Refused("end too early", Join(Start, Quantization, Huffman, Frame(24, 8, Gray), Scan(0), GrayData(16, 8), End));

    [Test]
    public void Missing_quantisation_table() => Refused("quantisation table 0 is not defined", Join(Start, Huffman, Frame(8, 8, Gray), Scan(0), GrayData(8, 8), End));

    [Test]
    public void Missing_Huffman_table() => Refused("Huffman table which is not defined", Join(Start, Quantization, Frame(8, 8, Gray), Scan(0), GrayData(8, 8), End));

    [Test]
    public void Huffman_table_with_too_many_codes() => Refused("more codes of a length", Join(Start, Segment(0xC4, [0, 3, .. new byte[15], 1, 2, 3]), End));

    [Test]
    public void Huffman_table_that_ends_early() => Refused("codes in", Join(Start, Segment(0xC4, [0, .. new byte[15], 200, 1, 2, 3]), End));

    [Test]
    public void Huffman_table_numbered_out_of_range() => Refused("Huffman table numbered 25", Join(Start, Segment(0xC4, [0x25, .. new byte[16]]), End));

    [Test]
    public void Quantisation_table_that_ends_early() => Refused("quantisation table that ends early", Join(Start, Segment(0xDB, new byte[64]), End));

    [Test]
    public void Quantisation_table_numbered_out_of_range() => Refused("quantisation table numbered 04", Join(Start, Segment(0xDB, [4, .. new byte[64]]), End));

    [Test]
    public void Bit_pattern_that_is_no_code() => Refused("no Huffman code", Join(Start, Quantization, Huffman, Frame(64, 64, Gray), Scan(0), [.. Enumerable.Repeat(new byte[] { 0xFF, 0 }, 100).SelectMany(b => b)], End));

    [Test]
    public void Run_past_the_end_of_a_block()
    {
        // DC size 0 (code 0000), then a run of 16 zeros (code 00000001) four times.
        byte[] data = [0x00, 0x10, 0x10, 0x10, 0x10, 0x00, 0x00];
        Refused("past the end of its block", Join(Start, Quantization, Huffman, Frame(8, 8, Gray), Scan(0), data, End));
    }

    [Test]
    public void Missing_restart_marker() => Refused("restart marker 0 is missing", Join(Start, Quantization, Huffman, Frame(16, 8, Gray), Restart(1), Scan(0), GrayData(8, 8), End));

    [Test]
    public void Restart_marker_with_the_wrong_number()
    {
        byte[] data = GrayData(16, 8, 1);
        int at = Array.IndexOf(data, (byte)0xD0);
        Assert.That(data[at - 1], Is.EqualTo(0xFF));
        data[at] = 0xD5;
        Refused("restart marker 0 is missing", Join(Start, Quantization, Huffman, Frame(16, 8, Gray), Restart(1), Scan(0), data, End));
    }

    [Test]
    public void Component_stored_twice() => Refused("stored twice", Join(Start, Quantization, Huffman, Frame(8, 8, Gray), Scan(0), GrayData(8, 8), Scan(0), GrayData(8, 8), End));

    [Test]
    public void Component_missing() => Refused("not all of its components", Join(Start, Quantization, Huffman, Frame(8, 8, [(1, 1), (1, 1), (1, 1)]), Scan(0), GrayData(8, 8), End));

    [Test]
    public void Unknown_component_in_a_scan() => Refused("component 8", Join(Start, Quantization, Huffman, Frame(8, 8, Gray), Scan(7), GrayData(8, 8), End));

    [Test]
    public void Components_of_a_scan_out_of_order() => Refused("in their order", Join(Start, Quantization, Huffman, Frame(8, 8, [(1, 1), (1, 1), (1, 1)]), Scan(1, 0, 2), GrayData(8, 8), End));

    [Test]
    public void Too_many_blocks_in_an_MCU() => Refused("at most 10", Join(Start, Quantization, Huffman, Frame(8, 8, [(4, 4), (1, 1), (1, 1)]), Scan(0, 1, 2), GrayData(64, 64), End));

    [Test]
    public void Sequential_scan_of_part_of_the_coefficients() => Refused("coefficients 0 to 63 in full", Join(Start, Quantization, Huffman, Frame(8, 8, Gray), Segment(0xDA, 1, 1, 0, 0, 5, 0), GrayData(8, 8), End));

    [TestCase(5, 2, 0x00, "does not allow")]
    [TestCase(0, 5, 0x00, "does not allow")]
    [TestCase(0, 0, 0x0E, "does not allow")]
    [TestCase(0, 0, 0x31, "does not allow")]
    [TestCase(1, 5, 0x00, "AC coefficients before")]
    [TestCase(0, 0, 0x21, "bits out of order")]
    public void Progressive_scans_that_the_standard_does_not_allow(int first, int last, int bits, string reason) =>
        Refused(reason, Join(Start, Quantization, Huffman, Frame(8, 8, Gray, 0xC2), Segment(0xDA, 1, 1, 0, (byte)first, (byte)last, (byte)bits), new byte[50], End));

    [Test]
    public void More_scans_than_any_encoder_makes()
    {
        // One scan of the DC bits, then one of each AC coefficient, then refinements: all legal, each of one byte.
        List<byte[]> parts = [Start, Quantization, Huffman, Frame(8, 8, Gray, 0xC2), ProgressiveScan(0, 0x02)];
        parts.AddRange(Enumerable.Range(1, 63).Select(k => ProgressiveScan(k, 0x02)));
        parts.AddRange(Enumerable.Range(1, 63).Select(k => ProgressiveScan(k, 0x21)));
        Refused("more than 100 scans", Join([.. parts, End]));

        static byte[] ProgressiveScan(int k, byte bits) => [.. Segment(0xDA, 1, 1, 0, (byte)k, (byte)k, bits), 0x00];
    }

    private static void Refused(string reason, byte[] file) =>
        Assert.That(() => ImageDecoder.Decode(file, "made"), Throws.TypeOf<ImageFileException>().With.Message.Contains(reason).And.Message.StartsWith("made: "));
}
