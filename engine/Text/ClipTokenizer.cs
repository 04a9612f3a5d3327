using Microsoft.ML.Tokenizers;

namespace GroupViT.Native.Text;

/// <summary>
/// CLIP's byte-level BPE (spec B.3) for any vocabulary in its format. Cleaning and splitting are ours; the merging is
/// Microsoft.ML.Tokenizers', byte level with the suffix <c>&lt;/w&gt;</c>. Thread-safe; the package's cache is bounded.
/// </summary>
internal sealed class ClipTokenizer
{
    /// <summary>
    /// The longest text, in UTF-16 units. The package's merging is quadratic in the length of one word: 16,000 kanji in
    /// one piece took it 0.8 s, 64,000 took 5 s. A context holds 77 tokens.
    /// </summary>
    public const int MaxTextLength = 16_384;

    private readonly BpeTokenizer _bpe;

    private ClipTokenizer(ClipVocabulary vocabulary)
    {
        _bpe = BpeTokenizer.Create(new BpeOptions(vocabulary.Ids)
        {
            Merges = vocabulary.Merges,
            ByteLevel = true,
            EndOfWordSuffix = ClipVocabulary.EndOfWord,
        });
        StartId = vocabulary.Ids[ClipVocabulary.Start];
        EndId = vocabulary.Ids[ClipVocabulary.End];
        VocabularySize = vocabulary.Ids.Count;
    }

    /// <summary>The id of <c>&lt;|startoftext|&gt;</c>.</summary>
    public int StartId { get; }

    /// <summary>The id of <c>&lt;|endoftext|&gt;</c>.</summary>
    public int EndId { get; }

    /// <summary>How many ids there are; each is less.</summary>
    public int VocabularySize { get; }

    /// <summary>From Hugging Face's two files. The names are for errors; the streams stay the caller's.</summary>
    /// <exception cref="ModelFileException">A file is no such vocabulary; says where.</exception>
    public static ClipTokenizer FromFiles(Stream vocabulary, string vocabularyName, Stream merges, string mergesName) =>
        new(ClipVocabulary.Read(vocabulary, vocabularyName, merges, mergesName));

    /// <summary>From OpenAI's <c>bpe_simple_vocab_16e6.txt.gz</c>. The name is for errors; the stream stays the caller's.</summary>
    /// <exception cref="ModelFileException">The file is no such vocabulary; says where.</exception>
    public static ClipTokenizer FromGzip(Stream gzip, string name) => new(ClipVocabulary.ReadGzip(gzip, name));

    /// <summary>With the public CLIP vocabulary of 49,408 entries, which is built in.</summary>
    public static ClipTokenizer CreatePublic()
    {
        const string Name = "bpe_simple_vocab_16e6.txt.gz";
        using Stream gzip = TextResources.Open(Name);
        return FromGzip(gzip, Name);
    }

    /// <summary>The ids of a text, without start and end.</summary>
    /// <exception cref="LabelException">The text is longer than <see cref="MaxTextLength"/>.</exception>
    public int[] Encode(string text, TextNormalization normalization)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > MaxTextLength)
        {
            throw new LabelException($"a text has {text.Length} characters ('{ClipVocabulary.Shown(text)}'); at most {MaxTextLength} can be tokenised");
        }
        var ids = new List<int>();
        if (normalization == TextNormalization.HuggingFace)
        {
            // There the literals are cut out of the text as it was given, before it is cleaned.
            int done = 0;
            for (int at = text.IndexOf("<|", StringComparison.Ordinal); at >= 0; at = text.IndexOf("<|", Math.Max(at + 1, done), StringComparison.Ordinal))
            {
                int length = ClipPieces.LiteralLength(text.AsSpan(at));
                if (length > 0)
                {
                    AddPieces(TextNormalizer.Normalize(text[done..at], normalization), literals: false, ids);
                    ids.Add(LiteralId(text.AsSpan(at, length)));
                    done = at + length;
                }
            }
            AddPieces(TextNormalizer.Normalize(text[done..], normalization), literals: false, ids);
        }
        else
        {
            AddPieces(TextNormalizer.Normalize(text, normalization), literals: true, ids);
        }
        return [.. ids];
    }

    /// <summary>The length of start, ids and end before anything is cut off: compare it with the context to refuse a text.</summary>
    public int CountTokens(string text, TextNormalization normalization) => Encode(text, normalization).Length + 2;

    /// <summary>
    /// Writes start, ids and end to the beginning of <paramref name="row"/>, fitted to a context: what is longer is cut to
    /// its first <paramref name="contextLength"/> ids, of which the last becomes the end (spec B.3 step 5). The rest of the row is left alone.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="normalization">How it is cleaned.</param>
    /// <param name="contextLength">The context in tokens, 2 or more.</param>
    /// <param name="row">At least <paramref name="contextLength"/> long.</param>
    /// <param name="truncated">Whether ids were cut off.</param>
    /// <returns>How many ids were written; the last of them is <see cref="EndId"/>.</returns>
    public int EncodeTo(string text, TextNormalization normalization, int contextLength, Span<int> row, out bool truncated) =>
        Fit(Encode(text, normalization), contextLength, row, out truncated);

    /// <summary><see cref="EncodeTo"/> for ids that <see cref="Encode"/> gave.</summary>
    public int Fit(ReadOnlySpan<int> ids, int contextLength, Span<int> row, out bool truncated)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(contextLength, 2);
        if (row.Length < contextLength)
        {
            throw new ArgumentException($"the row holds {row.Length} ids, the context {contextLength}", nameof(row));
        }
        truncated = ids.Length + 2 > contextLength;
        int kept = Math.Min(ids.Length, contextLength - 2);
        row[0] = StartId;
        ids[..kept].CopyTo(row[1..]);
        row[kept + 1] = EndId;
        return kept + 2;
    }

    private void AddPieces(string text, bool literals, List<int> ids)
    {
        var pieces = new ClipPieces(text, literals);
        while (pieces.MoveNext())
        {
            if (pieces.IsLiteral)
            {
                ids.Add(LiteralId(pieces.Current));
            }
            else
            {
                ids.AddRange(_bpe.EncodeToIds(pieces.Current, considerPreTokenization: false, considerNormalization: false));
            }
        }
    }

    private int LiteralId(ReadOnlySpan<char> literal) => literal.SequenceEqual(ClipVocabulary.Start) ? StartId : EndId;
}
