using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tests.Text;

internal sealed class TextRepairTests
{
    // Recorded from html.unescape, Python 3.11.
    [TestCase("&amp;lt;", "&lt;")]
    [TestCase("&notit;", "¬it;")]
    [TestCase("&copy2020", "©2020")]
    [TestCase("&#x80;", "€")]
    [TestCase("&#0;", "\uFFFD")]
    [TestCase("&#xD800;", "\uFFFD")]
    [TestCase("&#1;", "")]
    [TestCase("&#x1F642;", "🙂")]
    [TestCase("&#99999999999999999999;", "\uFFFD")]
    [TestCase("&hellip", "&hellip")]
    [TestCase("&NotEqualTilde;", "\u2242\u0338")]
    [TestCase("a&b", "a&b")]
    [TestCase("&;", "&;")]
    [TestCase("&#;", "&#;")]
    [TestCase("&#x;", "&#x;")]
    [TestCase("&", "&")]
    [TestCase("&lt", "<")]
    [TestCase("&ltfoo", "<foo")]
    [TestCase("&CounterClockwiseContourIntegral;", "\u2233")]
    [TestCase("&eacute", "é")]
    [TestCase("&unknown;", "&unknown;")]
    [TestCase("&&amp;", "&&")]
    [TestCase("&ampamp;", "&amp;")]
    [TestCase("&#38;lt;", "&lt;")]
    [TestCase("&#xA", "\n")]
    [TestCase("&#13;", "\r")]
    [TestCase("&#xFFFE;", "")]
    [TestCase("&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;")]
    [TestCase("&acE;", "\u223E\u0333")]
    [TestCase("& amp;", "& amp;")]
    public void Character_references_are_resolved_as_Python_resolves_them(string text, string expected) =>
        Assert.That(HtmlEntities.Unescape(text), Is.EqualTo(expected));

    [TestCase("caf\u00C3\u00A9", "café")]
    [TestCase("donâ€™t", "don't")]
    [TestCase("â€œhiâ€\u009D", "\"hi\"")]
    [TestCase("ðŸ˜€", "😀")]
    [TestCase("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "Привет")]
    [TestCase("ÃƒÂ©", "é")]
    [TestCase("Â£5", "£5")]
    [TestCase("\u00E4\u00B8\u0096\u00E7\u0095\u008C", "世界")]
    public void Mojibake_is_taken_back(string broken, string expected) => Assert.That(TextRepair.Repair(broken), Is.EqualTo(expected));

    [TestCase("IL Y MARQUÉ…")]
    [TestCase("AMANHÃ…")]
    [TestCase("«café»…")]
    [TestCase("São Paulo")]
    [TestCase("naïve façade Ünïcödé")]
    [TestCase("20 °C ± 1 µm ©")]
    [TestCase("CAFÉ® 日本")]
    [TestCase("Привет")]
    [TestCase("½ ²")]
    [TestCase("a photo of a cat")]
    [TestCase("")]
    public void Honest_text_stays_as_it_is(string text) => Assert.That(TextRepair.Repair(text), Is.EqualTo(text));

    [TestCase("\u001B[1;31mred\u001B[0m", "red")]
    [TestCase("\u001B[", "[")]
    [TestCase("a\u0000b\uFEFFc\u206Ad\uFFFCe\u007F", "abcde")]
    [TestCase("\u0093quoted\u0094 \u0085", "\"quoted\" …")]
    [TestCase("‘a’ ‛b‚ “c” „d‟", "'a' 'b' \"c\" \"d\"")]
    [TestCase("ﬂoﬀ ﬃ ﬄ ﬅ ﬆ ŉ Ĳ ĳ", "floff ffi ffl ſt st 'n IJ ij")]
    [TestCase("Ａ！～\u3000ｶﾞ ￦", "A!~ ガ ₩")]
    [TestCase("a\rb\u2028c", "a\nb\nc")]
    [TestCase("e\u0301", "é")]
    [TestCase("&EACUTE;&rsquo;&amp;", "É'&")]
    [TestCase("<b>&amp;</b>", "<b>&amp;</b>")]
    [TestCase("&amp;\n<b>&amp;", "&\n<b>&amp;")]
    public void Small_repairs_are_made(string text, string expected) => Assert.That(TextRepair.Repair(text), Is.EqualTo(expected));

    [Test]
    public void Entities_are_resolved_and_white_space_collapsed_before_lower_case() =>
        Assert.That(
            TextNormalizer.Normalize("  Tom &amp;amp; <i>&EACUTE;&Eacute;</i>\u3000\n X ", TextNormalization.OpenAI),
            Is.EqualTo("tom & <i>&eacute;é</i> x"));
}
