using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>The gate's outer side: files, folders, streams, and what is neither PNG nor JPEG.</summary>
internal sealed class ImageDecoderTests
{
    [Test]
    public void An_empty_file() => Refused("is empty (0 bytes)", []);

    [Test]
    public void One_byte() => Refused("no picture that is known here (it begins with 89)", [0x89]);

    [Test]
    public void Text() => Refused("no picture that is known here", "hello, world"u8);

    [Test]
    public void Other_formats_are_named()
    {
        Refused("a BMP file", "BM\0\0\0\0"u8);
        Refused("a GIF file", "GIF89a"u8);
        Refused("a WebP file", "RIFF\0\0\0\0WEBPVP8 "u8);
        Refused("a TIFF file", "II*\0\u0008\0\0\0"u8);
        Refused("a TIFF file", "MM\0*\0\0\0\u0008"u8);
        Refused("a HEIC file", "\0\0\0\u0018ftypheic"u8);
        Refused("an AVIF file", "\0\0\0\u0018ftypavif"u8);
        Refused("an MP4 or similar file", "\0\0\0\u0018ftypisom"u8);
        Refused("a JPEG XL file", [0xFF, 0x0A, 1]);
        Refused("a JPEG 2000 file", [0xFF, 0x4F, 0xFF, 0x51]);
        Refused("a Photoshop file", "8BPS\0\u0001"u8);
        Refused("a PDF file", "%PDF-1.7"u8);
        Refused("an SVG or XML file", "<svg xmlns"u8);
        Refused("a PNM file", "P6 1 1 255 "u8);
        Refused("an icon file", [0, 0, 1, 0, 1, 0]);
    }

    [Test]
    public void A_missing_file() => Assert.That(
        () => ImageDecoder.DecodeFile(Fixtures.Path("no such picture.png")),
        Throws.TypeOf<ImageFileException>().With.Message.Contains("no such file").And.Property(nameof(ImageFileException.File)).EndsWith("no such picture.png"));

    [Test]
    public void A_file_in_a_missing_folder() => Assert.That(
        () => ImageDecoder.DecodeFile(Fixtures.Path("no such folder", "a.png")), Throws.TypeOf<ImageFileException>().With.Message.Contains("no such file"));

    [Test]
    public void A_folder() => Assert.That(() => ImageDecoder.DecodeFile(Fixtures.Root), Throws.TypeOf<ImageFileException>().With.Message.Contains("is a folder"));

    [Test]
    public void A_path_that_no_file_can_have() => Assert.That(() => ImageDecoder.DecodeFile("a\0b.png"), Throws.TypeOf<ImageFileException>().With.Message.Contains("cannot be read"));

    [Test]
    public void A_stream_that_fails_in_the_middle() => Assert.That(
        () => ImageDecoder.Decode(new OddStream(PngFile.Signature.ToArray(), end: OddStream.End.Error), "camera"),
        Throws.TypeOf<ImageFileException>().With.Message.EqualTo("camera: cannot be read: the cable was pulled").And.InnerException.TypeOf<IOException>());

    [Test]
    public void A_stream_without_an_end_is_refused_at_the_limit() => Assert.That(
        () => ImageDecoder.Decode(new OddStream(PngFile.Signature.ToArray(), end: OddStream.End.Never), "camera", new ImageDecodeOptions { MaxBytes = 1 << 20 }),
        Throws.TypeOf<ImageFileException>().With.Message.Contains("longer than the limit of 1048576 bytes"));

    [Test]
    public void A_stream_without_an_end_that_is_no_picture_is_refused_at_once()
    {
        OddStream stream = new("GIF89a"u8.ToArray(), end: OddStream.End.Never);
        Assert.That(() => ImageDecoder.Decode(stream, "camera"), Throws.TypeOf<ImageFileException>().With.Message.Contains("a GIF file"));
        Assert.That(stream.Served, Is.LessThan(100));
    }

    [Test]
    public void A_stream_that_hands_out_single_bytes_gives_the_same_picture()
    {
        byte[] file = File.ReadAllBytes(Fixtures.Path("preprocess", "formats", "palette.png"));
        RgbImage expected = ImageDecoder.Decode(file);
        RgbImage actual = ImageDecoder.Decode(new OddStream(file, OddStream.End.Ordinary), "camera");
        Assert.That(actual.Pixels, Is.EqualTo(expected.Pixels));
        Assert.That(actual.Name, Is.EqualTo("camera"));
    }

    [Test]
    public void Orientations_beyond_the_standard_count_as_upright()
    {
        Assert.That(Orientation.Read(Exif(3, 1, 6)), Is.EqualTo(6));
        Assert.That(Orientation.Read(Exif(3, 1, 0)), Is.EqualTo(1), "value 0");
        Assert.That(Orientation.Read(Exif(3, 1, 9)), Is.EqualTo(1), "value 9");
        Assert.That(Orientation.Read(Exif(3, 2, 6)), Is.EqualTo(1), "two values");
        Assert.That(Orientation.Read(Exif(4, 1, 6)), Is.EqualTo(1), "a LONG");
        byte[] whole = Exif(3, 1, 6);
        for (int length = 0; length < whole.Length - 4; length++)
        {
            Assert.That(Orientation.Read(whole.AsSpan(0, length)), Is.EqualTo(1), $"cut at {length}");
        }
        whole[4] = 0xFF;
        Assert.That(Orientation.Read(whole), Is.EqualTo(1), "a directory past the end");

        static byte[] Exif(byte type, byte count, byte value) =>
            [.. "MM\0*\0\0\0\u0008"u8, 0, 1, 1, 0x12, 0, type, 0, 0, 0, count, 0, value, 0, 0, 0, 0, 0, 0];
    }

    [Test]
    public void Each_orientation_moves_the_corners_where_EXIF_says()
    {
        // A B C
        // D E F, and what it looks like upright (EXIF 2.3, table of orientations).
        string[] upright = ["ABC/DEF", "CBA/FED", "FED/CBA", "DEF/ABC", "AD/BE/CF", "DA/EB/FC", "FC/EB/DA", "CF/BE/AD"];
        RgbImage stored = new(3, 2, [.. "ABCDEF".SelectMany(c => new[] { (byte)c, (byte)c, (byte)c })]);
        for (int orientation = 1; orientation <= 8; orientation++)
        {
            RgbImage image = Orientation.Apply(stored, orientation);
            IEnumerable<string> rows = Enumerable.Range(0, image.Height).Select(y => string.Concat(Enumerable.Range(0, image.Width).Select(x => (char)image.Row(y)[3 * x])));
            Assert.That(string.Join('/', rows), Is.EqualTo(upright[orientation - 1]), $"orientation {orientation}");
        }
    }

    private static void Refused(string reason, ReadOnlySpan<byte> file)
    {
        byte[] bytes = file.ToArray();
        Assert.That(() => ImageDecoder.Decode(bytes, "made"), Throws.TypeOf<ImageFileException>().With.Message.Contains(reason));
        Assert.That(() => ImageDecoder.Decode(new MemoryStream(bytes), "made"), Throws.TypeOf<ImageFileException>().With.Message.Contains(reason));
    }

    /// <summary>Hands out one byte at a time, and at the end stops, goes on with zeros for ever, or fails.</summary>
    private sealed class OddStream(byte[] file, OddStream.End end) : Stream
    {
        public enum End
        {
            Ordinary,
            Never,
            Error,
        }

        public int Served { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            if (Served < file.Length)
            {
                buffer[offset] = file[Served++];
                return 1;
            }
            switch (end)
            {
                case End.Ordinary:
                    return 0;
                case End.Error:
                    throw new IOException("the cable was pulled");
                default:
                    Array.Clear(buffer, offset, count);
                    Served += count;
                    return count;
            }
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
