using System.Text.Json;
using GroupViT.Native.Text;

namespace GroupViT.Tests.Text;

/// <summary>The reference's token rows and one tokenizer with the public vocabulary for all tests.</summary>
internal static class TokenFixture
{
    private static readonly Lazy<ClipTokenizer> Shared = new(() =>
    {
        using FileStream gzip = File.OpenRead(Fixtures.Path("bpe_simple_vocab_16e6.txt.gz"));
        return ClipTokenizer.FromGzip(gzip, "bpe_simple_vocab_16e6.txt.gz");
    });

    public static ClipTokenizer Tokenizer => Shared.Value;

    public static IReadOnlyList<Row> Rows { get; } = Read();

    private static List<Row> Read()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Path("tokens.json")));
        return [.. document.RootElement.EnumerateArray().Select(row => new Row(
            row.GetProperty("text").GetString()!,
            [.. row.GetProperty("huggingface").EnumerateArray().Select(id => id.GetInt32())],
            [.. row.GetProperty("openai").EnumerateArray().Select(id => id.GetInt32())],
            row.GetProperty("needs_ftfy").GetBoolean()))];
    }

    internal sealed record Row(string Text, int[] HuggingFace, int[] OpenAI, bool NeedsRepair);
}
