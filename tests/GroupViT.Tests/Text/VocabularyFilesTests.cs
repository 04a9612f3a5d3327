using System.IO.Compression;
using System.Text;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tests.Text;

/// <summary>Vocabulary files that lie: each is refused by a typed error that says where, before anything grows.</summary>
internal sealed class VocabularyFilesTests
{
    private static readonly string[] Merges = ["c a", "ca t</w>"];

    [Test]
    public void A_small_vocabulary_is_read_and_used()
    {
        ClipTokenizer tokenizer = Read(Json(Small()), "#version: 0.2\nc a\nca t</w>\n");
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(516));
        Assert.That(tokenizer.Encode("Cat", TextNormalization.HuggingFace), Is.EqualTo(Enumerable.Repeat(513, 1)));
    }

    [TestCase("c a\nca t</w>")]
    [TestCase("#version: 0.2\r\nc a\r\nca t</w>\r\n\r\n")]
    [TestCase("\uFEFF#version: 0.2\nc a\nca t</w>\n\n\n")]
    public void Line_ends_a_byte_order_mark_and_a_missing_heading_do_not_matter(string merges) =>
        Assert.That(Read(Json(Small()), merges).Encode("cat", TextNormalization.OpenAI), Is.EqualTo(Enumerable.Repeat(513, 1)));

    [TestCase("", "JSON")]
    [TestCase("[1, 2]", "object")]
    [TestCase("{\"a\": 0", "JSON")]
    [TestCase("{\"a\": 0} x", "JSON")]
    [TestCase("{\"a\": 0, \"a\": 1}", "twice")]
    [TestCase("{\"a\": -1}", "whole number")]
    [TestCase("{\"a\": 1.5}", "whole number")]
    [TestCase("{\"a\": \"1\"}", "whole number")]
    [TestCase("{\"a\": {\"b\": 1}}", "whole number")]
    [TestCase("{\"a\": 99999999999}", "whole number")]
    [TestCase("{\"\": 0}", "characters")]
    [TestCase("{\"\\uD800\": 0}", "JSON")]
    [TestCase("{\"a\": 5}", "out of range")]
    [TestCase("{\"a\": 0, \"b\": 0}", "too")]
    [TestCase("{\"a\": 0, \"b\": 1}", "missing")]
    public void A_vocabulary_that_is_none_is_refused(string json, string problem) =>
        Assert.That(() => Read(Encoding.UTF8.GetBytes(json), ""), Refused("vocab.json", problem));

    [Test]
    public void Bytes_that_are_no_UTF_8_are_refused_with_their_place()
    {
        byte[] json = [.. "{\"a\": 0, \""u8, 0xFF, .. "\": 1}"u8];
        ModelFileException error = Assert.Throws<ModelFileException>(() => Read(json, ""))!;
        Assert.That((error.File, error.Offset), Is.EqualTo(("vocab.json", 9L)));
    }

    [TestCase("!")]
    [TestCase("a</w>")]
    [TestCase("\u0100")]
    [TestCase("<|startoftext|>")]
    [TestCase("<|endoftext|>")]
    public void A_vocabulary_without_a_needed_symbol_is_refused_by_its_name(string symbol)
    {
        Dictionary<string, int> ids = Small();
        ids["another"] = ids[symbol];
        ids.Remove(symbol);
        ModelFileException error = Assert.Throws<ModelFileException>(() => Read(Json(ids), "c a\nca t</w>\n"))!;
        Assert.That((error.File, error.Item), Is.EqualTo(("vocab.json", symbol)));
    }

    [Test]
    public void An_overlong_symbol_is_refused()
    {
        string json = $"{{\"{new string('x', VocabularyJson.MaxSymbolLength + 1)}\": 0}}";
        Assert.That(() => Read(Encoding.UTF8.GetBytes(json), ""), Refused("vocab.json", "1024 characters"));
        json = $"{{\"{new string('x', 100_000)}\": 0}}";
        Assert.That(() => Read(Encoding.UTF8.GetBytes(json), ""), Refused("vocab.json", "1024 characters"));
    }

    [Test]
    public void A_vocabulary_with_too_many_entries_is_refused()
    {
        var json = new StringBuilder("{");
        for (int i = 0; i <= VocabularyJson.MaxEntries; i++)
        {
            json.Append(i == 0 ? "" : ",").Append('"').Append(i).Append("\":").Append(i);
        }
        Assert.That(() => Read(Encoding.UTF8.GetBytes(json.Append('}').ToString()), ""), Refused("vocab.json", "1000000 entries"));
    }

    [Test]
    public void Files_without_an_end_are_left_at_their_limit()
    {
        using var spaces = new EndlessStream(" "u8);
        Assert.That(() => ClipTokenizer.FromFiles(spaces, "vocab.json", Stream.Null, "merges.txt"), Refused("vocab.json", "64 MiB"));
        using var vocabulary = new MemoryStream(Json(Small()));
        using var longLine = new EndlessStream("x"u8);
        Assert.That(() => ClipTokenizer.FromFiles(vocabulary, "vocab.json", longLine, "merges.txt"), Refused("merges.txt", "longer than 4096"));
        vocabulary.Position = 0;
        using var empty = new EndlessStream("\n"u8);
        Assert.That(() => ClipTokenizer.FromFiles(vocabulary, "vocab.json", empty, "merges.txt"), Refused("merges.txt", "1000000 lines"));
        Assert.That(Math.Max(longLine.Given, empty.Given), Is.LessThan(2 << 20));
        Assert.That(spaces.Given, Is.LessThan(130 << 20));
    }

    [TestCase("#version: 0.2\nc a\nc a\n", "line 3", "twice")]
    [TestCase("c a\nzz t</w>\n", "line 2", "'zz'")]
    [TestCase("c a\na t</w>\n", "line 2", "'at</w>'")]
    [TestCase("c a\n\nca t</w>\n", "line 3", "middle")]
    [TestCase("ca\n", "line 1", "no merge")]
    [TestCase("c  a\n", "line 1", "no merge")]
    [TestCase(" c a\n", "line 1", "no merge")]
    [TestCase("c a \n", "line 1", "no merge")]
    [TestCase("c a t</w>\n", "line 1", "no merge")]
    public void Merges_that_are_none_are_refused_with_their_line(string merges, string line, string problem)
    {
        ModelFileException error = Assert.Throws<ModelFileException>(() => Read(Json(Small()), merges))!;
        Assert.That((error.File, error.Item), Is.EqualTo(("merges.txt", line)));
        Assert.That(error.Message, Does.Contain(problem));
    }

    [Test]
    public void Merges_that_are_no_UTF_8_are_refused() =>
        Assert.That(
            () => ClipTokenizer.FromFiles(new MemoryStream(Json(Small())), "vocab.json", new MemoryStream([0x63, 0x20, 0xFF, 0x0A]), "merges.txt"),
            Refused("merges.txt", "UTF-8"));

    [Test]
    public void A_compressed_vocabulary_of_any_size_is_read()
    {
        ClipTokenizer tokenizer = ReadGzip("heading\nc a\nca t</w>\n");
        Assert.That((tokenizer.VocabularySize, tokenizer.StartId, tokenizer.EndId), Is.EqualTo((516, 514, 515)));
        Assert.That(tokenizer.Encode("cat", TextNormalization.OpenAI), Is.EqualTo(Enumerable.Repeat(513, 1)));
    }

    [TestCase("", "empty")]
    [TestCase("heading\nc a\nc a\n", "line 3")]
    [TestCase("heading\nca t\n", "no merge before it")]
    [TestCase("heading\nc a\n\nca t</w>\n", "line 4")]
    [TestCase("heading\nc a b\n", "no merge")]
    public void A_compressed_vocabulary_that_is_none_is_refused(string text, string problem) =>
        Assert.That(() => ReadGzip(text), Refused("vocab.gz", problem));

    [Test]
    public void A_merge_that_makes_a_special_token_is_refused()
    {
        var text = new StringBuilder("heading\n");
        for (int length = 1; length < ClipVocabulary.Start.Length; length++)
        {
            text.Append(ClipVocabulary.Start, 0, length).Append(' ').Append(ClipVocabulary.Start[length]).Append('\n');
        }
        Assert.That(() => ReadGzip(text.ToString()), Refused("vocab.gz", "special token"));
    }

    [Test]
    public void A_file_that_is_no_gzip_is_refused() =>
        Assert.That(() => ClipTokenizer.FromGzip(new MemoryStream(new byte[100]), "vocab.gz"), Refused("vocab.gz", "gzip"));

    [TestCase(1000)]
    [TestCase(1_356_916)]
    [TestCase(1_356_900)]
    [TestCase(40)]
    [TestCase(1)]
    public void A_cut_gzip_is_refused_even_if_the_needed_lines_are_there(int length)
    {
        byte[] whole = File.ReadAllBytes(Fixtures.Path("bpe_simple_vocab_16e6.txt.gz"));
        Assert.That(() => ClipTokenizer.FromGzip(new MemoryStream(whole[..length]), "vocab.gz"), Throws.TypeOf<ModelFileException>());
    }

    [Test]
    public void A_small_gzip_cut_at_any_byte_is_refused()
    {
        using MemoryStream packed = Gzip("heading\nc a\nca t</w>\n");
        byte[] whole = packed.ToArray();
        Assert.That(ClipTokenizer.FromGzip(new MemoryStream(whole), "vocab.gz").VocabularySize, Is.EqualTo(516));
        for (int length = 0; length < whole.Length; length++)
        {
            Assert.That(() => ClipTokenizer.FromGzip(new MemoryStream(whole[..length]), "vocab.gz"), Throws.TypeOf<ModelFileException>(), $"{length} bytes");
        }
    }

    [Test]
    public void A_gzip_bomb_is_left_at_its_limit()
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            byte[] zeros = new byte[1 << 20];
            for (int i = 0; i < 256; i++)
            {
                gzip.Write(zeros);
            }
        }
        packed.Position = 0;
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => ClipTokenizer.FromGzip(packed, "vocab.gz"), Refused("vocab.gz", "longer than 4096"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(4 << 20));
    }

    [Test]
    public void A_flipped_bit_anywhere_in_the_compressed_data_is_noticed()
    {
        byte[] whole = File.ReadAllBytes(Fixtures.Path("bpe_simple_vocab_16e6.txt.gz"));
        var random = new Random(7);
        for (int i = 0; i < 20; i++)
        {
            byte[] damaged = [.. whole];
            damaged[random.Next(100, whole.Length - 4)] ^= (byte)(1 << random.Next(8));
            Assert.That(() => ClipVocabulary.ReadGzip(new MemoryStream(damaged), "vocab.gz"), Throws.TypeOf<ModelFileException>());
        }
    }

    private static NUnit.Framework.Constraints.IResolveConstraint Refused(string file, string problem) =>
        Throws.TypeOf<ModelFileException>().With.Property(nameof(ModelFileException.File)).EqualTo(file).And.Message.Contains(problem);

    private static Dictionary<string, int> Small()
    {
        var ids = new Dictionary<string, int>();
        foreach (string suffix in (ReadOnlySpan<string>)["", "</w>"])
        {
            foreach (char symbol in ByteSymbols.InIdOrder)
            {
                ids.Add(symbol + suffix, ids.Count);
            }
        }
        foreach (string symbol in Merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal)).Append("<|startoftext|>").Append("<|endoftext|>"))
        {
            ids.Add(symbol, ids.Count);
        }
        return ids;
    }

    private static byte[] Json(Dictionary<string, int> ids) => JsonSerializer.SerializeToUtf8Bytes(ids);

    private static ClipTokenizer Read(byte[] json, string merges) =>
        ClipTokenizer.FromFiles(new MemoryStream(json), "vocab.json", new MemoryStream(Encoding.UTF8.GetBytes(merges)), "merges.txt");

    private static ClipTokenizer ReadGzip(string text)
    {
        using MemoryStream packed = Gzip(text);
        return ClipTokenizer.FromGzip(packed, "vocab.gz");
    }

    private static MemoryStream Gzip(string text)
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(Encoding.UTF8.GetBytes(text));
        }
        packed.Position = 0;
        return packed;
    }

    /// <summary>The same byte for ever, and how often it was asked for.</summary>
    private sealed class EndlessStream : Stream
    {
        private readonly byte _value;

        public EndlessStream(ReadOnlySpan<byte> value) => _value = value[0];

        public long Given { get; private set; }
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => long.MaxValue;
        public override long Position { get => Given; set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            buffer.AsSpan(offset, count).Fill(_value);
            Given += count;
            return count;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
