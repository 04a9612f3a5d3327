using GroupViT.Native.Text;

namespace GroupViT.Fuzz.Targets;

/// <summary>vocab.json: <see cref="ClipVocabulary.Read"/> with merges that stay right.</summary>
internal sealed class VocabularyTarget : JsonTarget
{
    public override string Name => "vocabulary";

    protected override IReadOnlyList<string> Words { get; } = ["\"a\"", "\"a</w>\"", "\"<|startoftext|>\"", "\"<|endoftext|>\"", "\"!\"", "0", "1", "511", "512", "513", "514", "515", "516", "517"];

    public override void Parse(byte[] input)
    {
        ClipVocabulary vocabulary = ClipVocabulary.Read(new MemoryStream(input), "mutant", new MemoryStream([.. "#version: 0.2\n"u8]), "merges.txt");
        Check(vocabulary);
        Require(CountNames(input, 1) == vocabulary.Ids.Count, "a symbol was dropped or taken twice");
    }

    /// <summary>What the tokenizer relies on: the ids are 0 to n-1, each once.</summary>
    public static void Check(ClipVocabulary vocabulary)
    {
        bool[] seen = new bool[vocabulary.Ids.Count];
        foreach (int id in vocabulary.Ids.Values)
        {
            Require(id >= 0 && id < seen.Length && !seen[id], "ids that are not 0 to n-1, each once");
            seen[id] = true;
        }
        Require(vocabulary.Ids.ContainsKey(ClipVocabulary.Start) && vocabulary.Ids.ContainsKey(ClipVocabulary.End), "no start or end token");
    }

    /// <summary>
    /// An entry has at least six bytes of text and costs a string (twice, as messages would show it), a place in a table that doubles as it grows,
    /// and one in the list of owners; the reading buffer (64 KiB, doubled as it fills) and the two byte tables come on top.
    /// </summary>
    public override long AllocationBound(byte[] input) => (512L << 10) + 100L * input.Length;
}
