using GroupViT.Bench.Measuring;

namespace GroupViT.Tests.Bench;

/// <summary>Tables are written so that they can be read, and read back as they were.</summary>
internal sealed class MarkdownTableTests
{
    [Test]
    public void Columns_are_padded_and_numbers_stand_at_the_right()
    {
        MarkdownTable table = new MarkdownTable("what", ">ms").Add("encoder", "7.25").Add("all", "11.00");
        Assert.That(table.ToString(), Is.EqualTo("""
            | what    |    ms |
            | ------- | ----: |
            | encoder |  7.25 |
            | all     | 11.00 |

            """));
    }

    [Test]
    public void What_was_written_is_read_back()
    {
        MarkdownTable first = new MarkdownTable("a|b", ">n").Add("x | y", "1").Add("", "2");
        MarkdownTable second = new MarkdownTable(">only").Add("3");
        IReadOnlyList<MarkdownTable> read = MarkdownTable.Parse($"# Title\n\ntext\n\n{first}\nmore\n\n{second}");
        Assert.That(read, Has.Count.EqualTo(2));
        Assert.That(read[0].Headers, Is.EqualTo((string[])["a|b", "n"]));
        Assert.That(read[0].Rows, Is.EqualTo((string[][])[["x | y", "1"], ["", "2"]]));
        Assert.That(read[0].ToString(), Is.EqualTo(first.ToString()));
        Assert.That(read[1].ToString(), Is.EqualTo(second.ToString()));
        Assert.That(read[0].Cell(read[0].Rows[1], "n"), Is.EqualTo("2"));
        Assert.That(() => read[0].Cell(read[0].Rows[1], "m"), Throws.TypeOf<FormatException>().With.Message.Contains("'m'").And.Message.Contains("a|b, n"));
    }

    [Test]
    public void Between_code_fences_there_are_no_tables()
        => Assert.That(MarkdownTable.Parse("```\n| a log |\n| of bars |\n```\n\n| a |\n| - |\n| 1 |\n").Single().Rows.Single(), Is.EqualTo((string[])["1"]));

    [TestCase("| a | b |\n| - | - |\n| 1 |\n", "1 cells")]
    [TestCase("| a | b |\n| 1 | 2 |\n", "second line")]
    [TestCase("| a | b |\n| - |\n", "second line")]
    public void A_damaged_table_is_refused(string text, string says)
        => Assert.That(() => MarkdownTable.Parse(text), Throws.TypeOf<FormatException>().With.Message.Contains(says));

    [Test]
    public void A_row_must_fit()
    {
        Assert.That(() => new MarkdownTable("a").Add("1", "2"), Throws.ArgumentException);
        Assert.That(() => new MarkdownTable(), Throws.ArgumentException);
    }
}
