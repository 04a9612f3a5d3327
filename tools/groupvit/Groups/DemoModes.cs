using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Groups;

/// <summary>The seven pictures of the authors' demonstration (spec F.3), as PNG: labels and colours stay what they are.</summary>
internal static class DemoModes
{
    public static readonly string[] Names = ["input", "pred", "input_pred", "input_pred_label", "first_group", "final_group", "all_groups"];

    private static readonly (byte, byte, byte) OrangeRed = (255, 69, 0);

    /// <summary>The files of a mode: what is put behind the picture's name, and what writes it.</summary>
    public static IEnumerable<(string Suffix, Action<Stream> Write)> Files(GroupPicture picture, string mode)
    {
        RgbImage image = picture.Base;
        int last = picture.StageCount - 1;
        return mode switch
        {
            "input" => [("", stream => PngWriter.WriteRgb(stream, image))],
            "pred" => [("", stream => MaskWriter.Write(stream, image.Width, image.Height, picture.Result.Mask, picture.Bank.Labels.Count, picture.Colors))],
            "input_pred" => [("", stream => PngWriter.WriteRgb(stream, Blended(picture)))],
            "input_pred_label" => [("", stream => PngWriter.WriteRgb(stream, Named(picture)))],
            "first_group" => [Stage(0, "")],
            "final_group" => [Stage(last, "")],
            _ => [.. Enumerable.Range(0, picture.StageCount).Select(stage => Stage(stage, $"_layer{stage}"))],
        };

        (string, Action<Stream>) Stage(int stage, string suffix) => (suffix, stream => PngWriter.WriteRgb(stream, Grouped(picture, stage)));
    }

    /// <summary>Label colours half and half over the base; background stays plain.</summary>
    public static RgbImage Blended(GroupPicture picture)
        => Overlay.Draw(
            picture.Base, picture.Result.Mask, picture.Bank.Labels, picture.Colors,
            new OverlayOptions { Boundaries = false, Legend = false, PlainLabel = picture.Bank.HasBackground ? 0 : null });

    /// <summary>The same with each label's name at the middle of its pixels.</summary>
    public static RgbImage Named(GroupPicture picture)
    {
        RgbImage image = Blended(picture);
        int labels = picture.Bank.Labels.Count;
        (long[] rows, long[] columns, long[] counts) = (new long[labels], new long[labels], new long[labels]);
        ReadOnlySpan<ushort> mask = picture.Result.Mask.Span;
        for (int i = 0; i < mask.Length; i++)
        {
            if (mask[i] != MaskWriter.Ignored)
            {
                rows[mask[i]] += i / image.Width;
                columns[mask[i]] += i % image.Width;
                counts[mask[i]]++;
            }
        }
        for (int label = 0; label < labels; label++)
        {
            if (counts[label] > 0 && label != picture.Background)
            {
                Write(image, picture.Bank.Labels[label], (int)(columns[label] / counts[label]), (int)(rows[label] / counts[label]));
            }
        }
        return image;
    }

    /// <summary>Group colours half and half over the base.</summary>
    public static RgbImage Grouped(GroupPicture picture, int stage)
    {
        RgbImage image = picture.Base;
        LabelColors colors = LabelColors.From(Enumerable.Range(0, picture.GroupCount(stage)).Select(group => GroupColors.Of(stage, group)));
        string[] names = [.. Enumerable.Range(0, picture.GroupCount(stage)).Select(group => $"{group}")];
        return Overlay.Draw(image, picture.Groups(stage, image.Width, image.Height), names, colors, new OverlayOptions { Boundaries = false, Legend = false });
    }

    // Sixteen points high, in a half transparent black box; the given place is the upper left corner, moved in where it would be cut.
    private static void Write(RgbImage image, string text, int left, int top)
    {
        const int scale = 2;
        int width = BitmapFont.Width(text, scale) + 4 * scale;
        int height = (BitmapFont.Height + 2) * scale;
        left = Math.Clamp(left, 0, Math.Max(0, image.Width - width));
        top = Math.Clamp(top, 0, Math.Max(0, image.Height - height));
        for (int y = top; y < Math.Min(top + height, image.Height); y++)
        {
            Span<byte> row = image.Row(y)[(3 * left)..(3 * Math.Min(left + width, image.Width))];
            for (int i = 0; i < row.Length; i++)
            {
                row[i] /= 2;
            }
        }
        BitmapFont.Draw(image, text, left + 2 * scale, top + scale, scale, OrangeRed);
    }
}
