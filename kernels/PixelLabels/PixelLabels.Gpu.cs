using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record PixelLabels
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuPixelLabelsArguments arguments = new(this, binding);
        return Groups is not null
            ? binding.Step<GpuPixelLabelsArguments>(GpuPixelLabels.FromGroups, Capacity, arguments)
            : binding.Step<GpuPixelLabelsArguments>(GpuPixelLabels.FromMaps, Capacity, arguments);
    }
}

internal readonly struct GpuPixelLabelsArguments(PixelLabels operation, GpuBinding binding)
{
    public readonly GpuFloats Table = binding.Floats(operation.Table);
    public readonly GpuInts Geometry = binding.Ints(operation.Geometry);
    public readonly GpuInts Groups = binding.IntsOrNone(operation.Groups is { } groups ? groups.View() : null);
    public readonly GpuFloats Maps = binding.FloatsOrNone(operation.Maps);
    public readonly GpuLabels Labels = binding.Labels(operation.Labels);
    public readonly GpuFloats Scores = binding.Floats(operation.Scores);
    public readonly int Height = operation.Height;
    public readonly int Width = operation.Width;
    public readonly int GroupCount = operation.Table.Rows;
    public readonly int LabelCount = operation.Table.Columns;
    public readonly int SoftmaxScore = operation.SoftmaxScore ? 1 : 0;
}

/// <summary>Where a pixel lies among the network's pixels: its four neighbours and their weights.</summary>
internal readonly struct GpuNeighbours(int a, int b, int c, int d, float tx, float ty)
{
    public readonly int A = a;
    public readonly int B = b;
    public readonly int C = c;
    public readonly int D = d;
    public readonly float Tx = tx;
    public readonly float Ty = ty;
}

/// <summary>Up to four groups with a share in a pixel; a slot that is not needed has a share of 0.</summary>
internal struct GpuShares
{
    public int Row0, Row1, Row2, Row3;
    public float Share0, Share1, Share2, Share3;

    /// <summary>The pixel's score of a label, the slots in ascending order; those without a share are not looked at.</summary>
    public readonly float Score(in GpuFloats table, int label)
    {
        float score = Share0 * table.Data[Row0 + label];
        if (Share1 != 0f)
        {
            score = GpuIntrinsics.MultiplyAdd(Share1, table.Data[Row1 + label], score);
        }
        if (Share2 != 0f)
        {
            score = GpuIntrinsics.MultiplyAdd(Share2, table.Data[Row2 + label], score);
        }
        if (Share3 != 0f)
        {
            score = GpuIntrinsics.MultiplyAdd(Share3, table.Data[Row3 + label], score);
        }
        return score;
    }
}

/// <summary>One thread per pixel of the band; what lies beyond the band's end returns at once.</summary>
/// <remarks>
/// <para>From groups, a pixel has at most four of them, and mostly one: a score is one to four multiply-adds, found anew where it is
/// needed, so that no thread needs memory of its own for the labels, however many there are. Neighbouring pixels mostly have the same
/// groups: their loads from the table are one address.</para>
/// <para>From maps, all groups have a share. Eight labels are scored at a time, in registers: a share costs four loads and six
/// operations, then serves eight loads and multiply-adds; keeping all 256 shares would need a kilobyte for each thread.</para>
/// <para>The softmax score takes a second walk: the largest must be known before the sum.</para>
/// </remarks>
internal static class GpuPixelLabels
{
    private const int LabelsAtOnce = 8;

    public static void FromGroups(Index1D index, GpuPixelLabelsArguments args)
    {
        if (!Locate(index, args, out GpuNeighbours at))
        {
            return;
        }
        GpuShares shares = FindShares(args, at);
        int best = 0;
        float most = shares.Score(args.Table, 0);
        for (int n = 1; n < args.LabelCount; n++)
        {
            float score = shares.Score(args.Table, n);
            if (score > most)
            {
                best = n;
                most = score;
            }
        }
        float result = most;
        if (args.SoftmaxScore != 0)
        {
            float sum = 0f;
            for (int n = 0; n < args.LabelCount; n++)
            {
                sum += GpuMath.Exp(shares.Score(args.Table, n) - most);
            }
            result = 1f / sum;
        }
        args.Labels.Data[index] = (ushort)best;
        args.Scores.Set(0, 0, index, result);
    }

    public static void FromMaps(Index1D index, GpuPixelLabelsArguments args)
    {
        if (!Locate(index, args, out GpuNeighbours at))
        {
            return;
        }
        int best = 0;
        float most = 0f;
        for (int first = 0; first < args.LabelCount; first += LabelsAtOnce)
        {
            GpuOctet scores = Score(args, at, first);
            for (int i = 0; i < LabelsAtOnce && first + i < args.LabelCount; i++)
            {
                float score = scores.Get(i);
                if (score > most || first + i == 0)
                {
                    best = first + i;
                    most = score;
                }
            }
        }
        float result = most;
        if (args.SoftmaxScore != 0)
        {
            float sum = 0f;
            for (int first = 0; first < args.LabelCount; first += LabelsAtOnce)
            {
                GpuOctet scores = Score(args, at, first);
                for (int i = 0; i < LabelsAtOnce && first + i < args.LabelCount; i++)
                {
                    sum += GpuMath.Exp(scores.Get(i) - most);
                }
            }
            result = 1f / sum;
        }
        args.Labels.Data[index] = (ushort)best;
        args.Scores.Set(0, 0, index, result);
    }

    private static bool Locate(int pixel, in GpuPixelLabelsArguments args, out GpuNeighbours at)
    {
        int outHeight = args.Geometry.Get(0, 0, 0);
        int outWidth = args.Geometry.Get(0, 0, 1);
        int rows = args.Geometry.Get(0, 0, 3);
        int row = outWidth > 0 ? pixel / outWidth : rows;
        if (row >= rows)
        {
            at = default;
            return false;
        }
        Bilinear.At(args.Geometry.Get(0, 0, 2) + row, args.Height, outHeight, out int top, out int bottom, out float ty);
        Bilinear.At(pixel - row * outWidth, args.Width, outWidth, out int left, out int right, out float tx);
        at = new GpuNeighbours(
            top * args.Width + left, top * args.Width + right, bottom * args.Width + left, bottom * args.Width + right, tx, ty);
        return true;
    }

    // Neighbours of weight 0 are taken for those beside them; where then all are one group its share is 1, without rounding.
    private static GpuShares FindShares(in GpuPixelLabelsArguments args, in GpuNeighbours at)
    {
        int a = args.Groups.Get(0, 0, at.A);
        int b = at.Tx == 0f ? a : args.Groups.Get(0, 0, at.B);
        int c = at.Ty == 0f ? a : args.Groups.Get(0, 0, at.C);
        int d = at.Ty == 0f ? b : at.Tx == 0f ? c : args.Groups.Get(0, 0, at.D);
        float wa = (1f - at.Ty) * (1f - at.Tx);
        float wb = (1f - at.Ty) * at.Tx;
        float wc = at.Ty * (1f - at.Tx);
        float wd = at.Ty * at.Tx;
        // Shares of the same group are added in the order a, b, c, d; the first of them keeps the sum.
        float shareA = wa + (b == a ? wb : 0f) + (c == a ? wc : 0f) + (d == a ? wd : 0f);
        float shareB = b == a ? 0f : wb + (c == b ? wc : 0f) + (d == b ? wd : 0f);
        float shareC = c == a || c == b ? 0f : wc + (d == c ? wd : 0f);
        float shareD = d == a || d == b || d == c ? 0f : wd;
        int start = args.Table.Offset;
        int stride = args.Table.RowStride;
        return new GpuShares
        {
            Row0 = start + a * stride,
            Row1 = start + b * stride,
            Row2 = start + c * stride,
            Row3 = start + d * stride,
            Share0 = a == b && a == c && a == d ? 1f : shareA,
            Share1 = shareB,
            Share2 = shareC,
            Share3 = shareD,
        };
    }

    private static GpuOctet Score(in GpuPixelLabelsArguments args, in GpuNeighbours at, int first)
    {
        int last = args.LabelCount - 1;
        GpuOctet scores = default;
        for (int g = 0; g < args.GroupCount; g++)
        {
            int map = args.Maps.Index(0, g, 0);
            float above = (1f - at.Tx) * args.Maps.Data[map + at.A] + at.Tx * args.Maps.Data[map + at.B];
            float below = (1f - at.Tx) * args.Maps.Data[map + at.C] + at.Tx * args.Maps.Data[map + at.D];
            float share = (1f - at.Ty) * above + at.Ty * below;
            if (share != 0f)
            {
                int row = args.Table.Index(0, g, 0);
                scores.V0 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + first], scores.V0);
                scores.V1 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 1, last)], scores.V1);
                scores.V2 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 2, last)], scores.V2);
                scores.V3 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 3, last)], scores.V3);
                scores.V4 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 4, last)], scores.V4);
                scores.V5 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 5, last)], scores.V5);
                scores.V6 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 6, last)], scores.V6);
                scores.V7 = GpuIntrinsics.MultiplyAdd(share, args.Table.Data[row + IntrinsicMath.Min(first + 7, last)], scores.V7);
            }
        }
        return scores;
    }
}

/// <summary>Eight scores in registers: an array would be put in memory.</summary>
internal struct GpuOctet
{
    public float V0, V1, V2, V3, V4, V5, V6, V7;

    public readonly float Get(int i)
        => i < 4 ? i < 2 ? i == 0 ? V0 : V1 : i == 2 ? V2 : V3 : i < 6 ? i == 4 ? V4 : V5 : i == 6 ? V6 : V7;
}
