using GroupViT.Native;

namespace GroupViT.Tests;

internal sealed class PlainTextTests
{
    [TestCase("plain ä 日 😀 '\"\\", "plain ä 日 😀 '\"\\")]
    [TestCase("a\nb\r\n\tc", "a b   c")]
    [TestCase("\u001B[2J\u0007\u007F\u009B", "\\u001B[2J\\u0007\\u007F\\u009B")]
    [TestCase("a\u202Eb\u2028c\u200Bd\0", "a\\u202Eb\\u2028c\\u200Bd\\u0000")]
    public void What_steers_a_terminal_or_a_log_is_spelled_out(string text, string expected) => Assert.That(PlainText.Of(text), Is.EqualTo(expected));

    [Test]
    public void Errors_show_the_names_of_hostile_files_so_and_keep_them_as_they_are()
    {
        ModelFileException error = new("a.safetensors", "is 'x\u001B[2K'", "name\n\u202E", 7);
        Assert.That(error.Message, Is.EqualTo("a.safetensors: name \\u202E (byte 7): is 'x\\u001B[2K'"));
        Assert.That(error.Item, Is.EqualTo("name\n\u202E"));
        Assert.That(new ImageFileException("a\n.png", "b\u0085").Message, Is.EqualTo("a .png: b\\u0085"));
    }
}
