using System.Text;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool.Segmenting.Outputs;

/// <summary>
/// COCO's run lengths: pixels column by column, runs of 0 and 1 in turn, from 0; as text, each run (from the fourth on, its difference to the
/// one before the last) in groups of five bits, the lowest first, a sixth bit for "more", 48 added.
/// </summary>
internal static class CocoRle
{
    /// <summary>The runs of every label that occurs, in one pass over the label map.</summary>
    /// <param name="mask">Row by row.</param>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="labels">How many labels there are.</param>
    public static Dictionary<int, List<long>> Runs(ReadOnlySpan<ushort> mask, int width, int height, int labels)
    {
        Dictionary<int, List<long>> runs = [];
        // Where each label's last run ended, in column order.
        long[] ends = new long[labels];
        long at = 0;
        for (int x = 0; x < width; x++)
        {
            for (int y = 0; y < height;)
            {
                ushort label = mask[y * width + x];
                int first = y;
                while (++y < height && mask[y * width + x] == label)
                {
                }
                int length = y - first;
                if (label != MaskWriter.Ignored)
                {
                    if (!runs.TryGetValue(label, out List<long>? own))
                    {
                        runs[label] = own = [];
                    }
                    long gap = at - ends[label];
                    if (gap == 0 && own.Count > 0)
                    {
                        own[^1] += length;
                    }
                    else
                    {
                        own.Add(gap);
                        own.Add(length);
                    }
                    ends[label] = at + length;
                }
                at += length;
            }
        }
        foreach ((int label, List<long> own) in runs)
        {
            if (ends[label] < at)
            {
                own.Add(at - ends[label]);
            }
        }
        return runs;
    }

    public static string Text(List<long> runs)
    {
        StringBuilder text = new();
        for (int i = 0; i < runs.Count; i++)
        {
            long value = i > 2 ? runs[i] - runs[i - 2] : runs[i];
            for (bool more = true; more;)
            {
                int bits = (int)(value & 31);
                value >>= 5;
                more = (bits & 16) != 0 ? value != -1 : value != 0;
                text.Append((char)((more ? bits | 32 : bits) + 48));
            }
        }
        return text.ToString();
    }
}
