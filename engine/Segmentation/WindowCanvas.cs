using System.Numerics;
using System.Runtime.InteropServices;
using GroupViT.Kernels;
using GroupViT.Native.Imaging;

namespace GroupViT.Native;

/// <summary>
/// From overlapping windows to labels (spec F.1 steps 6 and 7): the windows' scores are summed in their order, divided by the number of
/// windows at the pixel, resampled bilinearly to the picture, and the largest wins.
/// </summary>
/// <remarks>
/// A pixel's scores depend only on which windows see it and to which of their groups it belongs, and neighbours mostly agree in that. So
/// the canvas holds one number a pixel, the pixel's combination, instead of a score for every label; scores are summed once a combination.
/// A combination is the one before the last window and a group of that window: a tree that grows window by window.
/// <para>In float64: where two windows are each sure of another label, both labels get half of a number that is 1 in float32, and the
/// order of the labels would decide instead of the scores (108 pixels of one scene of the demonstration).</para>
/// </remarks>
internal sealed class WindowCanvas
{
    // Combinations: 12 bytes each here, and a row of the table at the end. Sixteen windows at every pixel make some ten thousand.
    private const int MaxCombinations = 1 << 20;
    private const int MaxScores = 1 << 23;

    private readonly List<Combination> tree = [];
    private readonly List<double[]> windows = [];
    private int[] canvas = [];
    private int[] children = [];
    private int width, height, labels;

    private readonly record struct Combination(int Parent, int Window, int Group);

    public void Begin(int canvasWidth, int canvasHeight, int labelCount)
    {
        (width, height, labels) = (canvasWidth, canvasHeight, labelCount);
        if (canvas.Length < width * height)
        {
            canvas = new int[width * height];
        }
        canvas.AsSpan(0, width * height).Clear();
        windows.Clear();
        tree.Clear();
        tree.Add(new Combination(-1, -1, -1));
    }

    /// <param name="area">Where the window stands.</param>
    /// <param name="groups">The group of each of its pixels.</param>
    /// <param name="table">The scores of its groups, [groups, labels].</param>
    /// <exception cref="SessionLimitException">The windows overlap in too many ways.</exception>
    public void Add(Window area, ReadOnlySpan<int> groups, ReadOnlySpan<double> table)
    {
        int groupCount = table.Length / labels;
        int known = tree.Count;
        int size = checked(known * groupCount);
        if (children.Length < size)
        {
            children = new int[Math.Max(size, 2 * children.Length)];
        }
        children.AsSpan(0, size).Clear();
        for (int y = 0; y < area.Height; y++)
        {
            Span<int> row = canvas.AsSpan((area.Top + y) * width + area.Left, area.Width);
            ReadOnlySpan<int> rowGroups = groups.Slice(y * area.Width, area.Width);
            for (int x = 0; x < row.Length; x++)
            {
                ref int child = ref children[row[x] * groupCount + rowGroups[x]];
                if (child == 0)
                {
                    child = tree.Count;
                    tree.Add(new Combination(row[x], windows.Count, rowGroups[x]));
                }
                row[x] = child;
            }
            if (tree.Count > MaxCombinations)
            {
                throw TooMany();
            }
        }
        windows.Add(table.ToArray());
    }

    /// <summary>Labels the picture's pixels; mask, counts and sums are set whole.</summary>
    public void Label(int pictureWidth, int pictureHeight, Span<ushort> mask, Span<long> counts, Span<double> sums, CancellationToken cancellation)
    {
        double[] table = Scores();
        int combinations = table.Length / labels;
        ushort[] best = new ushort[combinations];
        for (int i = 0; i < combinations; i++)
        {
            best[i] = (ushort)LargestOf(table.AsSpan(i * labels, labels));
        }
        (int[] lefts, int[] rights, float[] weights) = Columns(pictureWidth);
        double[] mixed = new double[labels];
        counts.Clear();
        sums.Clear();
        for (int y = 0; y < pictureHeight; y++)
        {
            cancellation.ThrowIfCancellationRequested();
            Bilinear.At(y, height, pictureHeight, out int top, out int bottom, out float ty);
            ReadOnlySpan<int> upper = canvas.AsSpan(top * width, width);
            ReadOnlySpan<int> lower = ty == 0 ? upper : canvas.AsSpan(bottom * width, width);
            Span<ushort> row = mask.Slice(y * pictureWidth, pictureWidth);
            for (int x = 0; x < row.Length; x++)
            {
                (int a, int c) = (upper[lefts[x]], lower[lefts[x]]);
                (int b, int d) = weights[x] == 0 ? (a, c) : (upper[rights[x]], lower[rights[x]]);
                int label;
                double score;
                if (a == b && a == c && a == d)
                {
                    label = best[a];
                    score = table[a * labels + label];
                }
                else
                {
                    Mix(table, (a, b, c, d), weights[x], ty, mixed);
                    label = LargestOf(mixed);
                    score = mixed[label];
                }
                row[x] = (ushort)label;
                counts[label]++;
                sums[label] += score;
            }
        }
    }

    // Rows of scores of those combinations that are on the canvas, whose numbers become their rows'.
    private double[] Scores()
    {
        int[] rows = new int[tree.Count];
        Span<int> pixels = canvas.AsSpan(0, width * height);
        List<int> used = [];
        foreach (ref int pixel in pixels)
        {
            ref int row = ref rows[pixel];
            if (row == 0)
            {
                used.Add(pixel);
                row = used.Count;
            }
            pixel = row - 1;
        }
        if ((long)used.Count * labels > MaxScores)
        {
            throw TooMany();
        }
        double[] table = new double[used.Count * labels];
        Stack<Combination> path = [];
        for (int i = 0; i < used.Count; i++)
        {
            for (int at = used[i]; tree[at].Parent >= 0; at = tree[at].Parent)
            {
                path.Push(tree[at]);
            }
            Span<double> sum = table.AsSpan(i * labels, labels);
            int count = path.Count;
            while (path.TryPop(out Combination part))
            {
                ReadOnlySpan<double> scores = windows[part.Window].AsSpan(part.Group * labels, labels);
                for (int n = 0; n < sum.Length; n++)
                {
                    sum[n] += scores[n];
                }
            }
            foreach (ref double value in sum)
            {
                value /= count;
            }
        }
        return table;
    }

    private (int[] Left, int[] Right, float[] Weight) Columns(int pictureWidth)
    {
        (int[] lefts, int[] rights, float[] weights) = (new int[pictureWidth], new int[pictureWidth], new float[pictureWidth]);
        for (int x = 0; x < pictureWidth; x++)
        {
            Bilinear.At(x, width, pictureWidth, out lefts[x], out rights[x], out weights[x]);
        }
        return (lefts, rights, weights);
    }

    private void Mix(double[] table, (int A, int B, int C, int D) corners, double tx, double ty, Span<double> target)
    {
        ReadOnlySpan<double> a = table.AsSpan(corners.A * labels, labels);
        ReadOnlySpan<double> b = table.AsSpan(corners.B * labels, labels);
        ReadOnlySpan<double> c = table.AsSpan(corners.C * labels, labels);
        ReadOnlySpan<double> d = table.AsSpan(corners.D * labels, labels);
        int n = 0;
        for (; n <= labels - Vector<double>.Count; n += Vector<double>.Count)
        {
            Vector<double> upper = (1 - tx) * At(a, n) + tx * At(b, n);
            Vector<double> lower = (1 - tx) * At(c, n) + tx * At(d, n);
            ((1 - ty) * upper + ty * lower).CopyTo(target[n..]);
        }
        for (; n < labels; n++)
        {
            target[n] = (1 - ty) * ((1 - tx) * a[n] + tx * b[n]) + ty * ((1 - tx) * c[n] + tx * d[n]);
        }

        static Vector<double> At(ReadOnlySpan<double> values, int index) => Vector.LoadUnsafe(ref MemoryMarshal.GetReference(values), (nuint)index);
    }

    // The first of equals. Scores are finite: they come of soft-maxes.
    private static int LargestOf(ReadOnlySpan<double> values)
    {
        int best = 0;
        for (int n = 1; n < values.Length; n++)
        {
            best = values[n] > values[best] ? n : best;
        }
        return best;
    }

    private SessionLimitException TooMany()
        => new($"the windows on {width} x {height} pixels overlap in more ways than are counted; take a stride of at least a quarter of the window");
}
