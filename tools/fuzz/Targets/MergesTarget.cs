using System.Text;
using GroupViT.Fuzz.Mutation;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Fuzz.Targets;

/// <summary>merges.txt: <see cref="ClipVocabulary.Read"/> with a vocabulary that stays right. The file has no magic; its heading and first merge stand for it.</summary>
internal sealed class MergesTarget : FuzzTarget
{
    private readonly byte[] _vocabulary = Vocabulary();

    public override string Name => "merges";

    public override IReadOnlyList<string> Stages { get; } = ["refused: heading or first merge", "refused: a later line", "accepted"];

    public override int FirstStagePastHeader => 1;

    public override byte[] Mutate(Random random, byte[] parent, byte[] other)
        => random.Next(4) == 0 ? ByteMutator.Mutate(random, parent, other, []) : LineMutator.Mutate(random, parent, other);

    public override void Parse(byte[] input)
    {
        ClipVocabulary vocabulary = ClipVocabulary.Read(new MemoryStream(_vocabulary), "vocab.json", new MemoryStream(input), "mutant");
        VocabularyTarget.Check(vocabulary);
        Require(vocabulary.Merges.Distinct(StringComparer.Ordinal).Count() == vocabulary.Merges.Count, "a merge that is there twice");
    }

    public override bool IsRefusal(Exception exception) => exception is ModelFileException;

    /// <summary>
    /// The vocabulary's fixed cost, and per merge (four bytes at least) the line, its two halves and their sum as strings, and a place in a list and in a
    /// set that double as they grow.
    /// </summary>
    public override long AllocationBound(byte[] input) => (768L << 10) + 120L * input.Length;

    public override int Stage(byte[] input, Exception? refusal)
    {
        if (refusal is not ModelFileException error)
        {
            return 2;
        }
        return error.Item is { } line && line.StartsWith("line ", StringComparison.Ordinal) && int.TryParse(line.AsSpan(5), out int number) && number > 2 ? 1 : 0;
    }

    /// <summary>The 512 byte symbols, the two special tokens, and what the seeds' merges make.</summary>
    private static byte[] Vocabulary()
    {
        List<string> symbols = [.. ByteSymbols.InIdOrder.Select(c => c.ToString()), .. ByteSymbols.InIdOrder.Select(c => c + ClipVocabulary.EndOfWord)];
        foreach (string made in (ReadOnlySpan<string>)["in", "th", "an", "re", "ar", "er</w>", "the</w>", "ing</w>", "and</w>", "at</w>", "cat</w>", "ca", "or", "st", "str"])
        {
            symbols.Add(made);
        }
        symbols.AddRange([ClipVocabulary.Start, ClipVocabulary.End]);
        return Encoding.UTF8.GetBytes(System.Text.Json.JsonSerializer.Serialize(symbols.Select((symbol, id) => (symbol, id)).ToDictionary(s => s.symbol, s => s.id)));
    }
}
