using System.Text.Json;
using GroupViT.Tests.Text;

namespace GroupViT.Tests.Tools;

/// <summary>groupvit tokenize: the reference's rows through the program, and bad input.</summary>
internal sealed class TokenizeCommandTests
{
    private const int Start = 49406;
    private const int End = 49407;

    // The row that the small repair does not bring (docs/tokenizer.md).
    private static readonly int[] LeftOut = [130];

    [TestCase("huggingface")]
    [TestCase("openai")]
    public void Every_row_of_the_reference_comes_out_of_a_file_of_texts(string normalization)
    {
        using TemporaryFolder folder = new();
        string file = folder.Write("texts.json", JsonSerializer.SerializeToUtf8Bytes(TokenFixture.Rows.Select(row => row.Text)));
        ToolRun run = ToolRun.Of("tokenize", "--file", file, "--normalization", normalization);
        Assert.That(run.Code, Is.Zero, run.Error);
        int[][] ids = Ids(run);
        Assert.That(ids, Has.Length.EqualTo(165));
        int[] missed = [.. Enumerable.Range(0, ids.Length).Where(i =>
        {
            TokenFixture.Row row = TokenFixture.Rows[i];
            return !ids[i].SequenceEqual([Start, .. normalization == "openai" ? row.OpenAI : row.HuggingFace, End]);
        })];
        Assert.That(missed, Is.EqualTo(normalization == "openai" ? LeftOut : []));
    }

    [Test]
    public void Texts_are_arguments_the_default_is_openai_and_long_ones_are_not_cut()
    {
        ToolRun run = ToolRun.Of("tokenize", "x &amp; y", string.Join(' ', Enumerable.Repeat("dog", 100)));
        int[][] ids = Ids(run);
        Assert.That(ids[0], Is.EqualTo((int[])[Start, 343, 261, 344, End]));
        Assert.That(ids[1], Has.Length.EqualTo(102));
    }

    [Test]
    public void A_model_brings_its_own_tokenizer()
    {
        int[][] ids = Ids(ToolRun.Of("tokenize", "a sheep", "--model", "scenes"));
        Assert.That((ids[0][0], ids[0][^1]), Is.EqualTo((766, 767)));
    }

    [Test]
    public void Bad_input_is_a_usage_error_that_says_what_is_wrong()
    {
        using TemporaryFolder folder = new();
        Refused("which texts", "tokenize");
        Refused("exclude one another", "tokenize", "a", "--file", "b.json");
        Refused("cannot be read", "tokenize", "--file", folder.Join("missing.json"));
        Refused("array of texts is expected", "tokenize", "--file", folder.Write("object.json", "{}"u8.ToArray()));
        Refused("element 1 is Number", "tokenize", "--file", folder.Write("number.json", "[\"a\", 1]"u8.ToArray()));
        Refused("no JSON array", "tokenize", "--file", folder.Write("broken.json", "[\"a\""u8.ToArray()));
        Refused("no JSON array", "tokenize", "--file", folder.Write("surrogate.json", "[\"\\ud800\"]"u8.ToArray()));
        Refused("--normalization takes", "tokenize", "a", "--normalization", "nfc");
        Refused("at most 16384", "tokenize", new string('x', 20_000));
        Refused("no tokenizer", "tokenize", "a", "--model", Fixtures.Path("tiny"));
    }

    private static int[][] Ids(ToolRun run)
        => [.. run.Json.Single().EnumerateArray().Select(row => row.EnumerateArray().Select(id => id.GetInt32()).ToArray())];

    private static void Refused(string message, params string[] arguments)
    {
        ToolRun run = ToolRun.Of(arguments);
        Assert.That((run.Code, run.Output), Is.EqualTo((2, "")), run.Error);
        Assert.That(run.Error, Does.Contain(message));
    }
}
