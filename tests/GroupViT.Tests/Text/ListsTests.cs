using System.Security.Cryptography;
using System.Text;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tests.Text;

internal sealed class ListsTests
{
    // The digests are of the specification's own lists (L.1 to L.5), names joined by line feeds and colours as bytes.
    [TestCase("voc", 21, "97741c26926f4fe63900ee1b5b4e593654d781741ec2e84d1afb822569a4a8f7")]
    [TestCase("context", 60, "be95f2a33d51dae392e9098d6fdc76322504ffd3457e73cec0342dc2d778c9b0")]
    [TestCase("coco", 81, "1f17b53017e442257cad2025ab981ddeb28d048af00dcac8ae810bc25a6a9a77")]
    [TestCase("imagenet", 1000, "571ae1c583b4be7da87519494c52bf405a46af05d5815627c7a0dee997068b60")]
    public void A_data_sets_names_are_the_specifications(string set, int count, string digest)
    {
        Assert.That(ClassNames.Get(set), Has.Length.EqualTo(count));
        Assert.That(Digest(ClassNames.Get(set)), Is.EqualTo(digest));
    }

    [Test]
    public void Names_stand_where_the_specification_says()
    {
        Assert.That((ClassNames.Get("voc")[11], ClassNames.Get("voc")[20]), Is.EqualTo(("table", "monitor")));
        Assert.That((ClassNames.Get("context")[0], ClassNames.Get("context")[59]), Is.EqualTo(("background", "wood")));
        Assert.That((ClassNames.Get("coco")[11], ClassNames.Get("coco")[80]), Is.EqualTo(("fire hydrant", "toothbrush")));
        Assert.That((ClassNames.Get("imagenet")[21], ClassNames.Get("imagenet")[999]), Is.EqualTo(("kite (bird of prey)", "toilet paper")));
        string[] twice = [.. ClassNames.Get("imagenet").GroupBy(name => name).Where(group => group.Count() > 1).Select(group => group.Key)];
        Assert.That(twice, Is.EqualTo(Enumerable.Empty<string>().Append("missile").Append("sunglasses")));
        Assert.That(() => ClassNames.Get("cityscapes"), Throws.TypeOf<LabelException>().With.Message.Contains("voc, context, coco, imagenet"));
    }

    [Test]
    public void The_sets_of_templates_are_the_specifications()
    {
        Assert.That(Digest(PromptTemplates.Full), Is.EqualTo("4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"));
        Assert.That(Digest(PromptTemplates.Subset), Is.EqualTo("35c557b8c9d0bfab334b4dc43c719248a8d6f5016cd912158a6d71b9862f195c"));
        Assert.That((PromptTemplates.Full.Length, PromptTemplates.Subset.Length), Is.EqualTo((80, 7)));
        Assert.That(PromptTemplates.Simple, Is.EqualTo(PromptTemplates.Full.Skip(39).Take(1)));
        Assert.That(PromptTemplates.Format(PromptTemplates.Identity.Single(), "cat"), Is.EqualTo("cat"));
        Assert.That(PromptTemplates.Names.Select(name => PromptTemplates.Find(name)!.Value.Length), Is.EqualTo(Enumerable.Empty<int>().Append(1).Append(7).Append(80).Append(1)));
        Assert.That(PromptTemplates.Find("templates.txt"), Is.Null);
    }

    [Test]
    public void A_template_takes_the_label_literally()
    {
        Assert.That(PromptTemplates.Format("a {} in a video game.", "T-{}shirt"), Is.EqualTo("a T-{}shirt in a video game."));
        Assert.That(() => PromptTemplates.Format("a photo", "cat"), Throws.TypeOf<LabelException>());
        Assert.That(() => PromptTemplates.Format("{} and {}", "cat"), Throws.TypeOf<LabelException>());
    }

    [Test]
    public void A_file_of_templates_skips_blank_lines_and_comments() =>
        Assert.That(
            string.Join('|', PromptTemplates.Read(Text("\uFEFF# mine\r\n\r\n  a drawing of a {}. \r\n#{}\r\n{}"), "mine.txt")),
            Is.EqualTo("a drawing of a {}.|{}"));

    [TestCase("# x\na photo\n", "mine.txt, line 2")]
    [TestCase("{}\n\n{} {}\n", "mine.txt, line 3")]
    [TestCase("# nothing\n", "no template")]
    [TestCase("", "no template")]
    public void A_file_of_templates_that_is_none_is_refused_with_its_line(string text, string problem) =>
        Assert.That(() => PromptTemplates.Read(Text(text), "mine.txt"), Throws.TypeOf<LabelException>().With.Message.Contains(problem));

    [Test]
    public void Labels_come_from_a_file_or_between_commas()
    {
        Assert.That(string.Join('|', ClassNames.Read(Text("\uFEFF background \r\n\r\n#1 fan\rhot dog, plain"), "labels.txt")), Is.EqualTo("background|#1 fan|hot dog, plain"));
        Assert.That(string.Join('|', ClassNames.Parse(" cat ,hot dog,日本")), Is.EqualTo("cat|hot dog|日本"));
        Assert.That(string.Join('|', ClassNames.Parse("Cat,cat")), Is.EqualTo("Cat|cat"));
    }

    [TestCase("cat,,dog", "position 2")]
    [TestCase("cat,dog,", "position 3")]
    [TestCase("cat, dog, cat", "position 1 and position 3")]
    [TestCase(" ", "no label")]
    [TestCase("", "no label")]
    public void A_list_with_an_empty_or_a_double_label_is_refused_with_its_positions(string list, string problem) =>
        Assert.That(() => ClassNames.Parse(list), Throws.TypeOf<LabelException>().With.Message.Contains(problem));

    [Test]
    public void A_file_of_labels_that_cannot_be_used_is_refused()
    {
        Assert.That(() => ClassNames.Read(Text("cat\n\ndog\ncat\n"), "l.txt"), Throws.TypeOf<LabelException>().With.Message.Contains("l.txt: the label 'cat' occurs twice, at line 1 and line 4"));
        Assert.That(() => ClassNames.Read(Text("\n \n"), "l.txt"), Throws.TypeOf<LabelException>().With.Message.Contains("l.txt holds no label"));
        Assert.That(() => ClassNames.Read(new MemoryStream([0x61, 0x0A, 0xC3, 0x28]), "l.txt"), Throws.TypeOf<LabelException>().With.Message.Contains("l.txt, line 2"));
        Assert.That(() => ClassNames.Read(new MemoryStream(new byte[UserText.MaxBytes + 1]), "l.txt"), Throws.TypeOf<LabelException>().With.Message.Contains("16 MiB"));
        Assert.That(() => ClassNames.Read(Text(string.Join('\n', Enumerable.Range(0, 65_536))), "l.txt"), Throws.TypeOf<LabelException>().With.Message.Contains("65535"));
        Assert.That(() => ClassNames.Check(["cat", null!]), Throws.TypeOf<LabelException>().With.Message.Contains("position 2"));
        Assert.That(() => ClassNames.Check([]), Throws.TypeOf<LabelException>());
    }

    [Test]
    public void The_data_sets_palettes_are_the_specifications()
    {
        Assert.That(Hash(Palettes.Voc), Is.EqualTo("46a99c0d1f42c3d076ae0d49ac616fec5d6754de21e539cee9f4ebcbf013acae"));
        Assert.That(Hash(Palettes.Context), Is.EqualTo("9a95e896a24bbcc5a96c4b640502016bb53c651caf406951f3566f998d5f0bae"));
        Assert.That(Hash(Palettes.Coco), Is.EqualTo("03d7ac7e90b249139d046d7fd097f67b2fdeffc7196cb68977a40e8e95980175"));
        for (int id = 0; id < 21; id++)
        {
            Assert.That(Palettes.VocColour(id), Is.EqualTo((Palettes.Voc[id * 3], Palettes.Voc[(id * 3) + 1], Palettes.Voc[(id * 3) + 2])));
        }
        Assert.That(Palettes.For(ClassNames.Get("voc")), Is.EqualTo(Palettes.Voc.ToArray()));
        Assert.That(Palettes.For(ClassNames.Get("context")), Is.EqualTo(Palettes.Context.ToArray()));
        Assert.That(Palettes.For(ClassNames.Get("coco")), Is.EqualTo(Palettes.Coco.ToArray()));
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(68)]
    [TestCase(69)]
    [TestCase(1000)]
    [TestCase(65_535)]
    public void Default_colours_are_all_different_and_only_a_background_is_black(int count)
    {
        foreach (bool background in (ReadOnlySpan<bool>)[false, true])
        {
            byte[] colours = Palettes.Default(count, background);
            int[] packed = [.. colours.Chunk(3).Select(c => (c[0] << 16) | (c[1] << 8) | c[2])];
            Assert.That(packed, Has.Length.EqualTo(count));
            Assert.That(packed.Distinct().Count(), Is.EqualTo(count));
            Assert.That(Array.IndexOf(packed, 0), Is.EqualTo(background && count > 0 ? 0 : -1));
        }
    }

    [Test]
    public void A_list_of_its_own_gets_the_default_colours()
    {
        Assert.That(Palettes.For(["background", "cat"])[..3], Is.EqualTo(new byte[3]));
        Assert.That(Palettes.For(["cat", "background"]), Is.EqualTo(Palettes.Default(2, background: false)));
    }

    [Test]
    public void The_eye_tells_the_first_68_default_colours_apart()
    {
        (double L, double A, double B)[] lab = [.. Palettes.Default(69, background: true).Chunk(3).Select(Lab)];
        double least = (from i in Enumerable.Range(0, lab.Length) from k in Enumerable.Range(0, i) select Distance(lab[i], lab[k])).Min();
        Assert.That(least, Is.GreaterThan(21.9));
    }

    private static double Distance((double L, double A, double B) x, (double L, double A, double B) y) =>
        Math.Sqrt(Math.Pow(x.L - y.L, 2) + Math.Pow(x.A - y.A, 2) + Math.Pow(x.B - y.B, 2));

    // sRGB to CIE L*a*b*, white D65.
    private static (double L, double A, double B) Lab(byte[] rgb)
    {
        double[] linear = [.. rgb.Select(v => v / 255.0).Select(v => v <= 0.04045 ? v / 12.92 : Math.Pow((v + 0.055) / 1.055, 2.4))];
        double x = Root(((0.4124564 * linear[0]) + (0.3575761 * linear[1]) + (0.1804375 * linear[2])) / 0.95047);
        double y = Root((0.2126729 * linear[0]) + (0.7151522 * linear[1]) + (0.0721750 * linear[2]));
        double z = Root(((0.0193339 * linear[0]) + (0.1191920 * linear[1]) + (0.9503041 * linear[2])) / 1.08883);
        return ((116 * y) - 16, 500 * (x - y), 200 * (y - z));

        static double Root(double t) => t > 216.0 / 24389 ? Math.Cbrt(t) : ((24389.0 / 27 * t) + 16) / 116;
    }

    private static string Digest(IEnumerable<string> names) => Hash(Encoding.UTF8.GetBytes(string.Join('\n', names)));

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static MemoryStream Text(string text) => new(Encoding.UTF8.GetBytes(text));
}
