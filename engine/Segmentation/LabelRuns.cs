using System.Text;
using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>
/// The pixels of one label as COCO's compressed run lengths: counts of pixels without and with the label in turn, column by column from the
/// left; from the fourth on as the difference to the count two before; each in groups of five bits, the lowest first, 32 set where another
/// follows and the sign kept in the last, plus 48 as an ASCII character.
/// </summary>
/// <param name="Label">The label.</param>
/// <param name="Pixels">How many.</param>
/// <param name="Box">Their bounding box.</param>
/// <param name="Counts">The characters.</param>
internal sealed record LabelRuns(int Label, long Pixels, Window Box, ReadOnlyMemory<byte> Counts)
{
    private const int BlockColumns = 32;

    /// <summary>The runs of all labels that occur, by label: in one walk over the map, with the memory of the characters.</summary>
    /// <param name="map"><c>height * width</c> labels, row by row; <see cref="SegmentationResult.Unlabelled"/> belongs to none.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    public static SortedDictionary<int, LabelRuns> Of(ReadOnlySpan<ushort> map, int width, int height)
    {
        if (map.Length != (long)width * height)
        {
            throw new ArgumentException($"{width} x {height} pixels need as many labels, not {map.Length}", nameof(map));
        }
        SortedDictionary<int, Builder> builders = [];
        Builder? current = null;
        int label = SegmentationResult.Unlabelled;
        int start = 0, at = 0;
        // A few columns at a time are laid out one after the other: each by itself would fetch every cache line of the map.
        ushort[] block = new ushort[BlockColumns * height];
        for (int left = 0; left < width; left += BlockColumns)
        {
            int columns = Math.Min(BlockColumns, width - left);
            for (int y = 0; y < height; y++)
            {
                ReadOnlySpan<ushort> row = map.Slice((y * width) + left, columns);
                for (int x = 0; x < row.Length; x++)
                {
                    block[(x * height) + y] = row[x];
                }
            }
            ReadOnlySpan<ushort> pixels = block.AsSpan(0, columns * height);
            while (pixels.Length > 0)
            {
                int same = pixels.IndexOfAnyExcept((ushort)label);
                if (same < 0)
                {
                    at += pixels.Length;
                    break;
                }
                at += same;
                current?.Add(start, at, height);
                (label, start) = (pixels[same], at);
                pixels = pixels[same..];
                current = null;
                if (label != SegmentationResult.Unlabelled && !builders.TryGetValue(label, out current))
                {
                    builders.Add(label, current = new Builder());
                }
            }
        }
        current?.Add(start, at, height);
        int total = map.Length;
        SortedDictionary<int, LabelRuns> runs = [];
        foreach ((int found, Builder builder) in builders)
        {
            runs.Add(found, builder.Finish(found, total));
        }
        return runs;
    }

    /// <summary>The characters as a string.</summary>
    public override string ToString() => Encoding.ASCII.GetString(Counts.Span);

    private sealed class Builder
    {
        private byte[] characters = new byte[32];
        private int length;
        private int counts;
        private long last, beforeLast;
        private int end;
        private long pixels;
        private int left = int.MaxValue, top = int.MaxValue, right = -1, bottom = -1;

        public void Add(int start, int stop, int height)
        {
            Append(start - end);
            Append(stop - start);
            end = stop;
            pixels += stop - start;
            int first = start / height, final = (stop - 1) / height;
            left = Math.Min(left, first);
            right = Math.Max(right, final);
            // A run that goes on in the next column reaches the lower edge and begins again at the upper one.
            top = first == final ? Math.Min(top, start % height) : 0;
            bottom = first == final ? Math.Max(bottom, (stop - 1) % height) : height - 1;
        }

        public LabelRuns Finish(int label, int total)
        {
            if (end < total)
            {
                Append(total - end);
            }
            return new LabelRuns(label, pixels, new Window(left, top, right - left + 1, bottom - top + 1), characters.AsMemory(0, length));
        }

        private void Append(long count)
        {
            long value = counts > 2 ? count - beforeLast : count;
            (beforeLast, last) = (last, count);
            counts++;
            bool more;
            do
            {
                int bits = (int)(value & 31);
                value >>= 5;
                // The last group's fifth bit is the sign.
                more = value != ((bits & 16) == 0 ? 0 : -1);
                if (length == characters.Length)
                {
                    Array.Resize(ref characters, characters.Length * 2);
                }
                characters[length++] = (byte)((more ? bits | 32 : bits) + 48);
            }
            while (more);
        }
    }
}
