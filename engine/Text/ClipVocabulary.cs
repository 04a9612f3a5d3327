using System.Buffers.Binary;
using System.IO.Compression;

namespace GroupViT.Native.Text;

/// <summary>
/// A checked vocabulary in CLIP's format: symbols with the ids 0 to n-1, the merges in the order of their ranks, all
/// 512 byte symbols (without and with the end-of-word suffix) and both special tokens. Any text can be encoded with it.
/// </summary>
internal sealed class ClipVocabulary
{
    public const string Start = "<|startoftext|>";
    public const string End = "<|endoftext|>";
    public const string EndOfWord = "</w>";

    // The public vocabulary file holds 262,144 merges; CLIP takes as many as make 49,152 symbols with the 512 of the bytes, less two.
    internal const int GzipMerges = 49152 - 256 - 2;

    private ClipVocabulary(Dictionary<string, int> ids, IReadOnlyList<string> merges)
    {
        Ids = ids;
        Merges = merges;
    }

    /// <summary>Symbol to id; the ids are a permutation of 0 to Count-1.</summary>
    public IReadOnlyDictionary<string, int> Ids { get; }

    /// <summary>"left right", by rank.</summary>
    public IReadOnlyList<string> Merges { get; }

    /// <summary>From Hugging Face's <c>vocab.json</c> and <c>merges.txt</c>.</summary>
    public static ClipVocabulary Read(Stream vocabulary, string vocabularyName, Stream merges, string mergesName)
    {
        Dictionary<string, int> ids = VocabularyJson.Read(vocabulary, vocabularyName);
        foreach (char symbol in ByteSymbols.InIdOrder)
        {
            Require(symbol.ToString());
            Require(symbol + EndOfWord);
        }
        Require(Start);
        Require(End);

        var lines = new BoundedLines(merges, mergesName);
        var pairs = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (lines.Next() is string line)
        {
            if (lines.Number == 1 && line.StartsWith("#version", StringComparison.Ordinal))
            {
                continue;
            }
            if (line.Length == 0)
            {
                ExpectEnd(lines);
                break;
            }
            (string left, string right) = Pair(line, lines);
            foreach (string symbol in (ReadOnlySpan<string>)[left, right, left + right])
            {
                if (!ids.ContainsKey(symbol))
                {
                    throw lines.Error($"the merge '{Shown(line)}' needs the symbol '{Shown(symbol)}', which {vocabularyName} does not have");
                }
            }
            if (!seen.Add(line))
            {
                throw lines.Error($"the merge '{Shown(line)}' stands there twice");
            }
            pairs.Add(line);
        }
        return new ClipVocabulary(ids, pairs);

        void Require(string symbol)
        {
            if (!ids.ContainsKey(symbol))
            {
                throw new ModelFileException(vocabularyName, $"the symbol is missing; a CLIP vocabulary has 256 byte symbols, the same with '{EndOfWord}', '{Start}' and '{End}'", symbol);
            }
        }
    }

    /// <summary>From OpenAI's <c>bpe_simple_vocab_16e6.txt.gz</c>: a heading line, then the merges; the symbols follow from them.</summary>
    public static ClipVocabulary ReadGzip(Stream gzip, string name)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (char symbol in ByteSymbols.InIdOrder)
        {
            ids.Add(symbol.ToString(), ids.Count);
        }
        foreach (char symbol in ByteSymbols.InIdOrder)
        {
            ids.Add(symbol + EndOfWord, ids.Count);
        }
        ArraySegment<byte> packed = BoundedBytes.Read(gzip, name);
        using var unpacked = new GZipStream(new MemoryStream(packed.Array!, 0, packed.Count), CompressionMode.Decompress);
        var lines = new BoundedLines(unpacked, name);
        var pairs = new List<string>();
        if (lines.Next() is null)
        {
            throw new ModelFileException(name, "the file is empty; a heading line and merges were expected");
        }
        while (pairs.Count < GzipMerges && lines.Next() is string line)
        {
            if (line.Length == 0)
            {
                ExpectEnd(lines);
                break;
            }
            (string left, string right) = Pair(line, lines);
            foreach (string symbol in (ReadOnlySpan<string>)[left, right])
            {
                if (!ids.ContainsKey(symbol))
                {
                    throw lines.Error($"the merge '{Shown(line)}' needs the symbol '{Shown(symbol)}', which no merge before it makes");
                }
            }
            if (!ids.TryAdd(left + right, ids.Count))
            {
                throw lines.Error($"the merge '{Shown(line)}' makes a symbol that exists already");
            }
            pairs.Add(line);
        }
        // The stream checks the sum of what it unpacks, but takes a file that ends early for one that ends.
        if ((uint)lines.Drain() != BinaryPrimitives.ReadUInt32LittleEndian(packed.AsSpan(packed.Count - 4)))
        {
            throw new ModelFileException(name, "the compressed data is cut off: its length is not the one that its end states", offset: packed.Count);
        }
        foreach (string special in (ReadOnlySpan<string>)[Start, End])
        {
            if (!ids.TryAdd(special, ids.Count))
            {
                throw new ModelFileException(name, "a merge makes the literal of a special token", special);
            }
        }
        return new ClipVocabulary(ids, pairs);
    }

    // Only line feeds may follow: a hole in the list would shift every rank behind it.
    private static void ExpectEnd(BoundedLines lines)
    {
        int hole = lines.Number;
        while (lines.Next() is string behind)
        {
            if (behind.Length > 0)
            {
                throw lines.Error($"an empty line (line {hole}) stands in the middle of the merges");
            }
        }
    }

    private static (string Left, string Right) Pair(string line, BoundedLines lines)
    {
        int space = line.IndexOf(' ', StringComparison.Ordinal);
        if (space <= 0 || space == line.Length - 1 || line.IndexOf(' ', space + 1) >= 0)
        {
            throw lines.Error($"'{Shown(line)}' is no merge; two symbols with one space between them were expected");
        }
        return (line[..space], line[(space + 1)..]);
    }

    /// <summary>A piece of a hostile file as an error message may show it: short, and without control characters.</summary>
    internal static string Shown(string text)
    {
        string head = text.Length > 60 ? text[..57] + "..." : text;
        return string.Concat(head.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? $"\\u{(int)c:X4}" : c.ToString()));
    }
}
