using GroupViT.Native.Imaging;

namespace GroupViT.Tests.Imaging;

internal sealed class OverlayTests
{
    private static readonly OverlayOptions Bare = new() { Boundaries = false, Legend = false };

    [Test]
    public void Colours_are_blended_half_and_half_truncated()
    {
        RgbImage image = new(3, 1, [101, 0, 255, 101, 0, 255, 101, 0, 255]);
        LabelColors colors = LabelColors.From([(10, 255, 0), (200, 1, 2)]);
        RgbImage overlay = Overlay.Draw(image, (ushort[])[0, 1, MaskWriter.Ignored], ["a", "b"], colors, Bare);
        Assert.That(overlay.Pixels, Is.EqualTo(new byte[] { 55, 127, 127, 150, 0, 128, 101, 0, 255 }));
        Assert.That(image.Pixels[0], Is.EqualTo(101), "the picture itself is not changed");
        RgbImage plain = Overlay.Draw(image, (ushort[])[0, 1, 0], ["background", "b"], colors, Bare with { PlainLabel = 0 });
        Assert.That(plain.Pixels, Is.EqualTo(new byte[] { 101, 0, 255, 150, 0, 128, 101, 0, 255 }));
    }

    [Test]
    public void Lines_are_drawn_where_labels_meet_and_nowhere_else()
    {
        RgbImage image = new(4, 2, new byte[24]);
        ushort[] labels = [0, 0, 1, 1, 0, 0, 0, 0];
        byte[] without = Overlay.Draw(image, labels, ["a", "b"], LabelColors.Default, Bare).Pixels;
        byte[] with = Overlay.Draw(image, labels, ["a", "b"], LabelColors.Default, Bare with { Boundaries = true }).Pixels;
        Assert.That(Enumerable.Range(0, 8).Where(i => with[3 * i] != without[3 * i]), Is.EqualTo<int[]>([1, 2, 3]));
    }

    [Test]
    public void A_legend_is_drawn_into_a_corner_of_large_pictures_and_left_out_of_tiny_ones()
    {
        foreach ((int width, int height, bool drawn) in new[] { (200, 150, true), (1600, 1200, true), (24, 24, false), (1, 1, false), (4000, 8, false) })
        {
            RgbImage image = new(width, height, [.. Enumerable.Repeat((byte)255, width * height * 3)]);
            ushort[] labels = new ushort[width * height];
            byte[] without = Overlay.Draw(image, labels, ["a label"], LabelColors.Default, Bare).Pixels;
            byte[] with = Overlay.Draw(image, labels, ["a label"], LabelColors.Default, Bare with { Legend = true }).Pixels;
            Assert.That(with.AsSpan().SequenceEqual(without), Is.EqualTo(!drawn), $"{width}x{height}");
        }
    }

    [Test]
    public void A_row_alone_is_the_row_of_the_whole()
    {
        RgbImage image = new(211, 160);
        new Random(2).NextBytes(image.Pixels);
        ushort[] labels = [.. Enumerable.Range(0, 211 * 160).Select(i => i % 211 < 40 ? MaskWriter.Ignored : (ushort)(i / 211 / 30 % 3))];
        Overlay overlay = new(image, labels, ["a", "b", "c"], LabelColors.Default);
        RgbImage whole = Overlay.Draw(image, labels, ["a", "b", "c"], LabelColors.Default);
        byte[] row = new byte[3 * 211];
        for (int y = 159; y >= 0; y--)
        {
            overlay.FillRow(y, row);
            Assert.That(row.AsSpan().SequenceEqual(whole.Row(y)), $"row {y}");
        }
    }

    [Test]
    public void Many_and_long_and_foreign_names_do_not_break_the_legend()
    {
        RgbImage image = new(120, 90, new byte[120 * 90 * 3]);
        ushort[] labels = [.. Enumerable.Range(0, 120 * 90).Select(i => (ushort)(i % 300))];
        string[] names = [.. Enumerable.Range(0, 300).Select(i => i == 0 ? "" : i == 1 ? "猫と犬" : $"a very long name of a label, number {i}")];
        Assert.That(Overlay.Draw(image, labels, names, LabelColors.Default).Pixels, Has.Length.EqualTo(image.Pixels.Length));
    }

    [Test]
    public void Label_maps_that_do_not_fit_are_refused()
    {
        RgbImage image = new(2, 1, new byte[6]);
        Assert.That(() => Overlay.Draw(image, (ushort[])[0], ["a"], LabelColors.Default), Throws.ArgumentException);
        Assert.That(() => Overlay.Draw(image, (ushort[])[0, 1], ["a"], LabelColors.Default), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => Overlay.Draw(image, (ushort[])[0, 65534], ["a"], LabelColors.Default), Throws.InstanceOf<ArgumentException>());
    }

    [Test]
    public void No_two_characters_look_alike_and_all_stay_in_their_cell()
    {
        List<string> seen = [];
        for (char c = ' '; c <= '~'; c++)
        {
            RgbImage cell = new(BitmapFont.Advance + 2, BitmapFont.Height + 2);
            BitmapFont.Draw(cell, c.ToString(), 1, 1, 1, (255, 255, 255));
            string picture = string.Concat(Enumerable.Range(0, cell.Width * cell.Height).Select(i => cell.Pixels[3 * i] > 0 ? '#' : '.'));
            Assert.That(seen, Does.Not.Contain(picture), $"'{c}'");
            seen.Add(picture);
            for (int y = 0; y < cell.Height; y++)
            {
                bool border = y == 0 || y == cell.Height - 1;
                Assert.That((cell.Row(y)[0], cell.Row(y)[^1], cell.Row(y)[^4], border ? cell.Row(y).ContainsAnyExcept((byte)0) : false), Is.EqualTo(((byte)0, (byte)0, (byte)0, false)), $"'{c}', row {y}");
            }
        }
        Assert.That(seen, Has.Count.EqualTo(95));
        Assert.That(seen.Count(picture => !picture.Contains('#', StringComparison.Ordinal)), Is.EqualTo(1), "only the space is empty");
    }
}
