using System.Buffers.Binary;
using System.Diagnostics;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

/// <summary>Thousands of damaged files, the same in every run: each must decode or be refused, quickly and with bounded memory.</summary>
internal sealed class DecoderFuzzTests
{
    private const int MutantsPerSeed = 600;

    private static readonly string[] PngSeeds = ["bilevel.png", "gray.png", "gray16.png", "palette.png", "rgba.png"];
    private static readonly string[] JpegSeeds = ["gray.jpg", "progressive.jpg"];

    [Test]
    public void Damaged_PNG_files_decode_or_are_refused()
    {
        List<byte[]> seeds = [.. PngSeeds.Select(Fixture)];
        seeds.Add(PngBuilder.Encode(13, 11, 8, 2, true, (x, y, c) => (x * 31) + (y * 17) + c));
        seeds.Add(PngBuilder.Encode(13, 11, 4, 3, true, (x, y, _) => (x + y) & 15, PngBuilder.Chunk("PLTE", new byte[48]), PngBuilder.Chunk("tRNS", 1, 2, 3)));
        // Every second mutant gets right checksums, or hardly any damage would come past them.
        Run(seeds, (file, i) => i % 2 == 0 ? file : RepairChecksums(file));
    }

    [Test]
    public void Damaged_JPEG_files_decode_or_are_refused()
    {
        List<byte[]> seeds = [.. JpegSeeds.Select(Fixture), File.ReadAllBytes(Fixtures.Path("preprocess", "orientation", "orientation6.jpg"))];
        seeds.Add(JpegBuilder.Encode(33, 17, [(2, 2), (1, 1), (1, 1)], (c, x, y) => (x * 5) + (y * 3) + c, restart: 2));
        seeds.Add(JpegBuilder.Encode(20, 20, [(1, 1), (1, 1), (1, 1)], (c, x, y) => (x * 5) + (y * 3) + c, interleaved: false));
        Run(seeds, (file, _) => file);
    }

    private static void Run(List<byte[]> seeds, Func<byte[], int, byte[]> finish)
    {
        Random random = new(20240607);
        int decoded = 0, refused = 0;
        double slowest = 0;
        foreach (byte[] seed in seeds)
        {
            Assert.That(Outcome(seed), Is.Null, "the seed itself decodes");
            for (int i = 0; i < MutantsPerSeed; i++)
            {
                byte[] mutant = finish(Mutate(seed, random), i);
                long allocated = GC.GetAllocatedBytesForCurrentThread();
                Stopwatch watch = Stopwatch.StartNew();
                string? refusal = Outcome(mutant);
                double seconds = watch.Elapsed.TotalSeconds;
                allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
                if (seconds > 0.5)
                {
                    // The machine may have been busy: what counts is the better of two.
                    watch.Restart();
                    Outcome(mutant);
                    seconds = Math.Min(seconds, watch.Elapsed.TotalSeconds);
                }
                slowest = Math.Max(slowest, seconds);
                _ = refusal is null ? decoded++ : refused++;
                if (seconds > 1 || allocated > (1 << 20) + (50_000L * mutant.Length))
                {
                    // 1032 (deflate's best) x 8 pixels a byte x 3 samples x 2 rasters (turning upright) is just below 50,000.
                    Assert.Fail($"{seconds:F2} s, {allocated} bytes: {Convert.ToBase64String(mutant)}");
                }
            }
        }
        TestContext.Out.WriteLine($"{decoded} decoded, {refused} refused, the slowest in {slowest * 1000:F1} ms");
        Assert.That(decoded, Is.GreaterThan(0));
        Assert.That(refused, Is.GreaterThan(decoded / 4), "most damage is noticed");
    }

    /// <summary>Null if the file decodes, the message if it is refused; any other exception fails the test with the file in its text.</summary>
    private static string? Outcome(byte[] file)
    {
        try
        {
            RgbImage image = ImageDecoder.Decode(file, "mutant");
            Assert.That(image.Pixels, Has.Length.EqualTo(image.Width * image.Height * 3));
            return null;
        }
        catch (ImageFileException error)
        {
            return error.Message;
        }
        catch (Exception error) when (error is not AssertionException)
        {
            Assert.Fail($"{error}\n{Convert.ToBase64String(file)}");
            throw;
        }
    }

    private static byte[] Mutate(byte[] seed, Random random)
    {
        byte[] file = (byte[])seed.Clone();
        for (int edits = random.Next(1, 7); edits > 0; edits--)
        {
            int at = random.Next(file.Length);
            switch (random.Next(6))
            {
                case 0:
                    file[at] = (byte)random.Next(256);
                    break;
                case 1:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    file[at] = new byte[] { 0, 1, 0x7F, 0x80, 0xFF }[random.Next(5)];
                    break;
                case 3 when random.Next(4) == 0:
                    file = file[..at];
                    break;
                case 4 when random.Next(4) == 0:
                    file = [.. file[..at], .. file[random.Next(at, file.Length)..]];
                    break;
                case 5 when random.Next(4) == 0:
                    int from = random.Next(at + 1);
                    file = [.. file[..at], .. file[from..]];
                    break;
            }
            if (file.Length == 0)
            {
                break;
            }
        }
        return file;
    }

    private static byte[] RepairChecksums(byte[] file)
    {
        int at = PngFile.Signature.Length;
        while (file.Length - at >= 12)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at));
            if (length > file.Length - at - 12)
            {
                break;
            }
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(at + 8 + (int)length), PngBuilder.ReferenceCrc(file.AsSpan(at + 4, 4 + (int)length)));
            at += 12 + (int)length;
        }
        return file;
    }

    private static byte[] Fixture(string name) => File.ReadAllBytes(Fixtures.Path("preprocess", "formats", name));
}
