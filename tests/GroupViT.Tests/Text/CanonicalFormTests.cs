using System.Security.Cryptography;
using System.Text;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tests.Text;

internal sealed class CanonicalFormTests
{
    private static IEnumerable<string> AllCharacters() =>
        Enumerable.Range(0, 0x110000).Where(code => code is < 0xD800 or > 0xDFFF).Select(char.ConvertFromUtf32);

    [Test]
    public void Every_character_is_composed_as_Python_composes_it() =>
        // unicodedata.normalize('NFC', c) of every code point but the surrogates, Python 3.11, joined by line feeds.
        Assert.That(Digest(AllCharacters().Select(CanonicalForm.Compose)), Is.EqualTo("900f12a0fd5b368b56e972d9dcc9cc0584951930f9d9724d079e44f36f332796"));

    [Test]
    public void Sequences_of_letters_and_marks_are_composed_as_Python_composes_them()
    {
        int[] pool =
        [
            0x61, 0x41, 0x6F, 0x55, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x3B1, 0x915, 0x93C, 0x9C7, 0x9BE, 0x1D157, 0x1D165, 0x1D16E, 0x20,
            .. Enumerable.Range(0x300, 0x70),
            0x591, 0x5BF, 0x5C1, 0x64B, 0x651, 0x3099, 0x309A, 0x304B, 0x30CF, 0x1EA1, 0x1ED9, 0x212B, 0xF900, 0xFB2C,
        ];
        long state = 12345;
        var composed = new List<string>();
        for (int i = 0; i < 20_000; i++)
        {
            var text = new StringBuilder();
            for (int k = 0; k < 8; k++)
            {
                state = ((state * 1103515245) + 12345) & 0x7FFFFFFF;
                text.Append(char.ConvertFromUtf32(pool[(int)((state >> 8) % pool.Length)]));
            }
            composed.Add(CanonicalForm.Compose(text.ToString()));
        }
        // The same generator and unicodedata.normalize in Python 3.11.
        Assert.That(Digest(composed), Is.EqualTo("40c67b2e7dc584fc7d5b5935a07acbc8faac9c61bee5d89fe77c76901b281d57"));
    }

    [Test]
    public void Every_character_is_lower_cased_as_Python_lower_cases_it()
    {
        // str.lower() of every code point but the surrogates, Python 3.11 (Unicode 14). The letters that later versions
        // gave a small form are taken out: one Cyrillic, four Latin and those of Garay.
        IEnumerable<string> lower = AllCharacters().Select(c =>
            char.ConvertToUtf32(c, 0) is 0x1C89 or 0xA7CB or 0xA7CC or 0xA7DA or 0xA7DC or (>= 0x10D50 and <= 0x10D65) ? c : TextNormalizer.Lower(c, finalSigma: false));
        Assert.That(Digest(lower), Is.EqualTo("edca77a44be2b4e6ffdbe85bfd097ed3725757a3f23c5ab03b627eba66c8f0af"));
    }

    [TestCase("ΑΣ", "ας")]
    [TestCase("ΑΣ.", "ας.")]
    [TestCase("ΑΣ.Α", "ασ.α")]
    [TestCase("Σ", "σ")]
    [TestCase(".Σ", ".σ")]
    [TestCase("ΑΣ\u0301", "ας\u0301")]
    [TestCase("ΑΣΑ", "ασα")]
    [TestCase("ΑΣ ΑΣ", "ας ας")]
    [TestCase("ⅠΣ", "ⅰς")]
    [TestCase("ªΣ", "ªς")]
    [TestCase("İΣ", "i\u0307ς")]
    [TestCase("𐐀Σ", "𐐨ς")]
    [TestCase("Σ𐐀", "σ𐐨")]
    public void Sigma_is_final_where_Python_makes_it_final(string text, string lower)
    {
        Assert.That(TextNormalizer.Normalize(text, TextNormalization.OpenAI), Is.EqualTo(lower));
        Assert.That(TextNormalizer.Normalize(text, TextNormalization.HuggingFace), Is.EqualTo(lower.Replace('ς', 'σ')));
    }

    [Test]
    public void Half_a_surrogate_pair_becomes_the_replacement_character() =>
        Assert.That(CanonicalForm.Compose("a\uD800b\uDC00"), Is.EqualTo("a\uFFFDb\uFFFD"));

    private static string Digest(IEnumerable<string> lines) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', lines))));
}
