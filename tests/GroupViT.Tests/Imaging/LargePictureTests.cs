using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>Pictures too large to be held more than once.</summary>
[Category("Cpu")]
internal sealed class LargePictureTests
{
    /// <summary>20 million pixels that do not compress: a file of 60 MB.</summary>
    [Test]
    public void A_large_PNG_takes_at_most_four_bytes_a_pixel_while_it_is_decoded([Values(1, 6)] int orientation)
    {
        using GroupViT.Tests.Tools.TemporaryFolder folder = new();
        (int width, int height) = (5000, 4000);
        string path = folder.Join("large.png");
        using (FileStream file = File.Create(path))
        {
            PngWriter.WriteRgb(file, width, height, Noise);
        }
        if (orientation != 1)
        {
            File.WriteAllBytes(path, WithOrientation(File.ReadAllBytes(path), orientation));
        }
        Assert.That(new FileInfo(path).Length, Is.GreaterThan(50_000_000));
        long before = GC.GetTotalAllocatedBytes(precise: true);
        RgbImage image = ImageDecoder.DecodeFile(path);
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        TestContext.Out.WriteLine($"{allocated} bytes, {(double)allocated / (width * height):F3} a pixel");
        Assert.That(allocated, Is.LessThan(4L * width * height));
        byte[] row = new byte[3 * width];
        foreach (int y in (int[])[0, 1, 1999, height - 1])
        {
            Noise(y, row);
            for (int x = 0; x < width; x += 997)
            {
                // Orientation 6: the stored picture's first row is the upright one's last column.
                Span<byte> pixel = orientation == 1 ? image.Row(y).Slice(3 * x, 3) : image.Row(x).Slice(3 * (height - 1 - y), 3);
                Assert.That(pixel.SequenceEqual(row.AsSpan(3 * x, 3)), $"row {y}, column {x}");
            }
        }
    }

    [Test]
    public void A_large_PNG_that_is_damaged_is_refused_like_a_small_one()
    {
        using GroupViT.Tests.Tools.TemporaryFolder folder = new();
        string path = folder.Join("large.png");
        using (FileStream file = File.Create(path))
        {
            PngWriter.WriteRgb(file, 2000, 1000, Noise);
        }
        byte[] whole = File.ReadAllBytes(path);
        Assert.That(whole, Has.Length.GreaterThan(5_000_000));
        File.WriteAllBytes(path, whole[..^100]);
        Assert.That(() => ImageDecoder.DecodeFile(path), Throws.TypeOf<ImageFileException>().With.Message.Contains("truncated"));
        whole[3_000_000] ^= 1;
        File.WriteAllBytes(path, whole);
        Assert.That(() => ImageDecoder.DecodeFile(path), Throws.TypeOf<ImageFileException>().With.Message.Contains("checksum"));
        Assert.That(() => ImageDecoder.DecodeFile(path, new ImageDecodeOptions { MaxPixels = 1_999_999 }), Throws.TypeOf<ImageFileException>().With.Message.Contains("above the limit"));
        Assert.That(() => ImageDecoder.DecodeFile(path, new ImageDecodeOptions { MaxBytes = 1_000_000 }), Throws.TypeOf<ImageFileException>().With.Message.Contains("longer than the limit"));
    }

    // The same bytes for the same row, and no two rows alike.
    private static void Noise(int y, Span<byte> row)
    {
        uint state = (uint)y * 2654435761u + 12345;
        for (int i = 0; i < row.Length; i++)
        {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            row[i] = (byte)(state >> 11);
        }
    }

    // An eXIf chunk behind the header.
    private static byte[] WithOrientation(byte[] png, int orientation)
    {
        byte[] exif = PngBuilder.Chunk("eXIf", [(byte)'I', (byte)'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, (byte)orientation, 0, 0, 0, 0, 0, 0, 0]);
        return [.. png[..33], .. exif, .. png[33..]];
    }
}
