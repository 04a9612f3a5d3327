using System.Text;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Segmenting.Outputs;

/// <summary>Writes what was asked for of a segmented picture; every file whole or not at all, and row by row, so that large ones need little memory.</summary>
internal sealed class PictureOutputs(OutputFolder folder, LabelBank bank, LabelColors colors, OutputKind kinds)
{
    /// <param name="name">What the files' names begin with.</param>
    /// <param name="file">The picture's own file, for COCO's.</param>
    /// <param name="picture">The picture.</param>
    /// <param name="result">Its labels.</param>
    /// <param name="runs">The labels' runs, where those are written.</param>
    /// <param name="cancellation">Ends a file that is being written.</param>
    /// <returns>The files' paths.</returns>
    public List<string> Write(string name, string file, Picture picture, SegmentationResult result, SortedDictionary<int, LabelRuns>? runs, CancellationToken cancellation)
    {
        List<string> files = [];
        (int width, int height) = (result.Width, result.Height);
        int? plain = bank.HasBackground ? 0 : null;
        Add(OutputKind.Overlay, "overlay.png", stream =>
        {
            Overlay overlay = new(picture.Image, result.Mask, bank.Labels, colors, new OverlayOptions { PlainLabel = plain });
            PngWriter.WriteRgb(stream, width, height, overlay.FillRow);
        });
        Add(OutputKind.Mask, "mask.png", stream => MaskWriter.Write(stream, width, height, result.Mask, bank.Labels.Count, colors));
        Add(OutputKind.Ids, "ids.png", stream => PngWriter.WriteGray16(stream, width, height, result.Mask));
        Add(OutputKind.Npy, "npy", stream => NpyWriter.Write(stream, width, height, result.Mask));
        Add(OutputKind.Rle, "rle.json", stream => CocoJson.WriteRle(stream, Path.GetFileName(file), result, bank, runs!));
        Add(OutputKind.Polygons, "polygons.json", stream => CocoJson.WritePolygons(stream, Path.GetFileName(file), result, bank, cancellation));
        if ((kinds & (OutputKind.Masks | OutputKind.Cutouts)) != 0)
        {
            foreach ((int label, Window box) in LabelBoxes.Of(result).Where(entry => entry.Key != plain).OrderBy(entry => entry.Key))
            {
                string part = FileName(label);
                Add(OutputKind.Masks, $"{part}.mask.png", stream => PngWriter.WriteGray8(stream, width, height, (y, row) => Binary(result, label, y, row)));
                Add(OutputKind.Cutouts, $"{part}.cutout.png", stream => PngWriter.WriteRgba(stream, box.Width, box.Height, (y, row) => CutOut(picture.Image, result, label, box, y, row)));
            }
        }
        return files;

        void Add(OutputKind kind, string ending, Action<Stream> write)
        {
            if ((kinds & kind) != 0)
            {
                files.Add(folder.Write($"{name}.{ending}", write, cancellation));
            }
        }
    }

    private static void Binary(SegmentationResult result, int label, int y, Span<byte> row)
    {
        ReadOnlySpan<ushort> mask = result.Mask.Span.Slice(y * result.Width, result.Width);
        for (int x = 0; x < row.Length; x++)
        {
            row[x] = mask[x] == label ? (byte)255 : (byte)0;
        }
    }

    // Outside the label the colours are black as well: what is not shown is not in the file.
    private static void CutOut(RgbImage image, SegmentationResult result, int label, Window box, int y, Span<byte> row)
    {
        ReadOnlySpan<ushort> mask = result.Mask.Span.Slice((box.Top + y) * result.Width + box.Left, box.Width);
        ReadOnlySpan<byte> pixels = image.Row(box.Top + y)[(3 * box.Left)..];
        row.Clear();
        for (int x = 0; x < box.Width; x++)
        {
            if (mask[x] == label)
            {
                pixels.Slice(3 * x, 3).CopyTo(row[(4 * x)..]);
                row[4 * x + 3] = 255;
            }
        }
    }

    // Names of labels are anybody's: letters, digits and dashes stay, and the number tells equal ones apart.
    private string FileName(int label)
    {
        StringBuilder name = new();
        foreach (char letter in bank.Labels[label])
        {
            name.Append(char.IsAsciiLetterOrDigit(letter) ? letter : '-');
        }
        string digits = label.ToString($"D{(bank.Labels.Count - 1).ToString(System.Globalization.CultureInfo.InvariantCulture).Length}", System.Globalization.CultureInfo.InvariantCulture);
        return $"{digits}-{(name.Length > 40 ? name.ToString(0, 40) : name)}";
    }
}
