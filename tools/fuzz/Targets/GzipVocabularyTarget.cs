using System.IO.Compression;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Fuzz.Targets;

/// <summary>bpe_simple_vocab_16e6.txt.gz: <see cref="ClipVocabulary.ReadGzip"/>. Most mutants are damaged inside and compressed again.</summary>
internal sealed class GzipVocabularyTarget : FuzzTarget
{
    public override string Name => "gzip-vocabulary";

    public override IReadOnlyList<string> Stages { get; } = ["refused: the gzip's header or the heading", "refused: the merges or the gzip's end", "accepted"];

    public override int FirstStagePastHeader => 1;

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
    {
        if (random.Next(4) == 0)
        {
            return ByteMutator.Mutate(random, parent, other, []);
        }
        byte[] text = LineMutator.Mutate(random, Unpack(parent), Unpack(other));
        if (random.Next(200) == 0)
        {
            // A small file that unpacks to much.
            text = [.. text, .. Enumerable.Repeat((byte)random.Next(256), 1 << 20)];
        }
        byte[] packed = Pack(text);
        return random.Next(5) == 0 ? [.. packed, .. ByteMutator.Mutate(random, packed, parent, [])] : packed;
    }

    public override void Parse(byte[] input)
    {
        ClipVocabulary vocabulary = ClipVocabulary.ReadGzip(new MemoryStream(input), "mutant");
        VocabularyTarget.Check(vocabulary);
        Require(vocabulary.Ids.Count == 512 + vocabulary.Merges.Count + 2, "symbols that no merge makes");
    }

    public override bool IsRefusal(Exception exception) => exception is ModelFileException;

    /// <summary>
    /// Fixed buffers, and per byte of the file and of the text that is in it what <see cref="MergesTarget"/> counts. The text is at most 1,032 times the
    /// file (deflate), 64 MiB, and 48,894 merges.
    /// </summary>
    public override long AllocationBound(byte[] input) => (1L << 20) + 120L * (input.Length + Unpack(input).Length);

    public override int Stage(byte[] input, Exception? refusal) => refusal is null ? 2 : Unpack(input).AsSpan().Contains((byte)'\n') ? 1 : 0;

    public static byte[] Pack(byte[] text)
    {
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest))
        {
            gzip.Write(text);
        }
        return packed.ToArray();
    }

    /// <summary>What can be unpacked before the first damage.</summary>
    private static byte[] Unpack(byte[] packed)
    {
        using MemoryStream text = new();
        using GZipStream gzip = new(new MemoryStream(packed), CompressionMode.Decompress);
        byte[] buffer = new byte[4096];
        try
        {
            for (int read; (read = gzip.Read(buffer)) > 0 && text.Length < 1 << 22;)
            {
                text.Write(buffer, 0, read);
            }
        }
        catch (Exception error) when (error is InvalidDataException or IOException)
        {
            // What came before the damage is what a parser can have seen.
        }
        return text.ToArray();
    }
}
