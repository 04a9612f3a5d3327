using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record PixelLabels
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuPixelLabels<V>(this, binding);
}

/// <summary>
/// A tile is a run of the band's pixels. A pixel whose four neighbours are of one group takes that group's label, found once per tile;
/// most pixels are such. The others wait until a vector of them is full, a pixel a lane, and mix the table's rows together: so neither
/// the number of labels nor that of groups leaves lanes empty.
/// </summary>
internal sealed unsafe class CpuPixelLabels<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int PixelsPerTile = 8192;

    // Rows up to this width are shorter than a tile, and their columns' neighbours are worked out once per tile.
    private const int SharedColumns = 4096;

    private readonly PixelLabels operation;
    private readonly float* table;
    private readonly int* geometry;
    private readonly int* groups;
    private readonly float* maps;
    private readonly ushort* labels;
    private readonly float* scores;
    private readonly int groupCount, labelCount;
    private readonly nint tableStride;

    public CpuPixelLabels(PixelLabels operation, CpuBinding binding)
        : base(binding, (operation.Capacity + PixelsPerTile - 1) / PixelsPerTile)
    {
        this.operation = operation;
        table = binding.Float(operation.Table);
        tableStride = operation.Table.RowStride;
        geometry = binding.Int(operation.Geometry);
        groups = operation.Groups is null ? null : binding.Int(operation.Groups);
        maps = binding.FloatOrNull(operation.Maps);
        labels = binding.Labels(operation.Labels);
        scores = binding.Float(operation.Scores);
        (groupCount, labelCount) = (operation.Table.Rows, operation.Table.Columns);
        binding.ReserveScratch(Lanes.Floats(groupCount, labelCount) * sizeof(float));
    }

    public override void Tile(int tile, int thread)
    {
        (int outHeight, int outWidth, int firstRow, int rows) = (geometry[0], geometry[1], geometry[2], geometry[3]);
        int first = tile * PixelsPerTile;
        int end = (int)Math.Min(Math.Min(operation.Capacity, (long)rows * outWidth), first + PixelsPerTile);
        if (first >= end)
        {
            return;
        }
        Lanes lanes = new((float*)Worker.Scratch(thread), groupCount, labelCount);
        bool shared = outWidth <= SharedColumns;
        if (shared)
        {
            lanes.SetColumns(0, outWidth, operation.Width, outWidth);
        }
        if (groups is not null)
        {
            DecideGroups(lanes);
        }
        for (int i = first; i < end;)
        {
            (int row, int column) = Math.DivRem(i, outWidth);
            int columns = Math.Min(outWidth - column, end - i);
            if (!shared)
            {
                columns = Math.Min(columns, SharedColumns);
                lanes.SetColumns(column, columns, operation.Width, outWidth);
            }
            int entry = shared ? column : 0;
            Bilinear.At(firstRow + row, operation.Height, outHeight, out int top, out int bottom, out float ty);
            if (groups is not null)
            {
                FromGroups(ref lanes, i, entry, columns, groups + top * operation.Width, groups + bottom * operation.Width, ty);
            }
            else
            {
                FromMaps(ref lanes, i, entry, columns, maps + top * operation.Width, maps + bottom * operation.Width, ty);
            }
            i += columns;
        }
        Decide(ref lanes);
    }

    private void FromGroups(ref Lanes lanes, int pixel, int entry, int columns, int* upper, int* lower, float ty)
    {
        for (int i = 0; i < columns; i++)
        {
            int left = lanes.Left[entry + i];
            int right = Math.Min(left + 1, operation.Width - 1);
            float tx = lanes.Weight[entry + i];
            int ga = upper[left];
            int gb = tx == 0 ? ga : upper[right];
            int gc = ty == 0 ? ga : lower[left];
            int gd = ty == 0 ? gb : tx == 0 ? gc : lower[right];
            if (ga == gb && ga == gc && ga == gd)
            {
                (labels[pixel + i], scores[pixel + i]) = ((ushort)lanes.GroupLabels[ga], lanes.GroupScores[ga]);
                continue;
            }
            float* shares = lanes.Add(pixel + i);
            for (int g = 0; g < groupCount; g++)
            {
                shares[g * V.Width] = 0;
            }
            shares[ga * V.Width] += (1 - ty) * (1 - tx);
            shares[gb * V.Width] += (1 - ty) * tx;
            shares[gc * V.Width] += ty * (1 - tx);
            shares[gd * V.Width] += ty * tx;
            if (lanes.Count == V.Width)
            {
                Decide(ref lanes);
            }
        }
    }

    private void FromMaps(ref Lanes lanes, int pixel, int entry, int columns, float* upper, float* lower, float ty)
    {
        int* lefts = stackalloc int[V.Width];
        int* rights = stackalloc int[V.Width];
        float* weights = stackalloc float[V.Width];
        float* neighbours = stackalloc float[4 * V.Width];
        nint stride = operation.Maps!.Value.RowStride;
        V down = V.Broadcast(ty);
        V up = V.Broadcast(1 - ty);
        for (int i = 0; i < columns; i += V.Width)
        {
            int count = Math.Min(V.Width, columns - i);
            for (int l = 0; l < V.Width; l++)
            {
                // Lanes beyond the row repeat its last pixel and are written nowhere.
                int column = entry + i + Math.Min(l, count - 1);
                lefts[l] = lanes.Left[column];
                rights[l] = Math.Min(lefts[l] + 1, operation.Width - 1);
                weights[l] = lanes.Weight[column];
            }
            V right = V.Load(weights);
            V left = V.Broadcast(1f) - right;
            for (int g = 0; g < groupCount; g++)
            {
                float* above = upper + g * stride;
                float* below = lower + g * stride;
                for (int l = 0; l < V.Width; l++)
                {
                    neighbours[l] = above[lefts[l]];
                    neighbours[V.Width + l] = above[rights[l]];
                    neighbours[2 * V.Width + l] = below[lefts[l]];
                    neighbours[3 * V.Width + l] = below[rights[l]];
                }
                V first = left * V.Load(neighbours) + right * V.Load(neighbours + V.Width);
                V second = left * V.Load(neighbours + 2 * V.Width) + right * V.Load(neighbours + 3 * V.Width);
                V.Store(up * first + down * second, lanes.Shares + g * V.Width);
            }
            lanes.Take(pixel + i, count);
            Decide(ref lanes);
        }
    }

    /// <summary>The labels of pixels that lie within one group.</summary>
    private void DecideGroups(in Lanes lanes)
    {
        for (int g = 0; g < groupCount; g++)
        {
            float* row = table + g * tableStride;
            int best = 0;
            for (int n = 1; n < labelCount; n++)
            {
                best = row[n] > row[best] ? n : best;
            }
            float sum = 0;
            for (int n = 0; operation.SoftmaxScore && n < labelCount; n++)
            {
                sum += V1.Sum(SimdMath.Exp(V1.Broadcast(row[n] - row[best])));
            }
            lanes.GroupLabels[g] = best;
            lanes.GroupScores[g] = operation.SoftmaxScore ? 1 / sum : row[best];
        }
    }

    /// <summary>Labels the pixels that wait in the lanes, and empties them.</summary>
    private void Decide(ref Lanes lanes)
    {
        if (lanes.Count == 0)
        {
            return;
        }
        V best = V.Zero;
        V label = V.Zero;
        for (int n = 0; n < labelCount; n++)
        {
            V score = V.Zero;
            for (int g = 0; g < groupCount; g++)
            {
                score = V.MultiplyAdd(V.Load(lanes.Shares + g * V.Width), V.Broadcast(table[g * tableStride + n]), score);
            }
            V.Store(score, lanes.Scores + n * V.Width);
            V difference = n == 0 ? V.Broadcast(-1f) : best - score;
            best = V.SelectNegative(difference, score, best);
            label = V.SelectNegative(difference, V.Broadcast(n), label);
        }
        V result = best;
        if (operation.SoftmaxScore)
        {
            V sum = V.Zero;
            for (int n = 0; n < labelCount; n++)
            {
                sum += SimdMath.Exp(V.Load(lanes.Scores + n * V.Width) - best);
            }
            result = V.Broadcast(1f) / sum;
        }
        // The first two rows of the scores are no longer needed.
        V.Store(label, lanes.Scores);
        V.Store(result, lanes.Scores + V.Width);
        for (int l = 0; l < lanes.Count; l++)
        {
            int pixel = lanes.Pixels[l];
            labels[pixel] = (ushort)lanes.Scores[l];
            scores[pixel] = lanes.Scores[V.Width + l];
        }
        lanes.Count = 0;
    }

    /// <summary>A thread's scratch: the pixels that wait for their labels, a lane each, and what is worked out once for a tile.</summary>
    private struct Lanes
    {
        /// <summary>[groups, width].</summary>
        public readonly float* Shares;

        /// <summary>[labels, width], two rows at least.</summary>
        public readonly float* Scores;

        public readonly int* Pixels;

        public readonly int* GroupLabels;

        public readonly float* GroupScores;

        /// <summary>Of the columns that were set: the left neighbour, and the weight of the right one.</summary>
        public readonly int* Left;

        public readonly float* Weight;

        public int Count;

        public Lanes(float* scratch, int groups, int labels)
        {
            Shares = scratch;
            Scores = Shares + groups * V.Width;
            Pixels = (int*)(Scores + Math.Max(2, labels) * V.Width);
            GroupLabels = Pixels + V.Width;
            GroupScores = (float*)(GroupLabels + groups);
            Left = (int*)(GroupScores + groups);
            Weight = (float*)(Left + SharedColumns);
        }

        public static long Floats(int groups, int labels) => (groups + Math.Max(2L, labels) + 1) * V.Width + 2L * groups + 2 * SharedColumns;

        /// <returns>The place of the pixel's share in group 0; the next group's is a vector further.</returns>
        public float* Add(int pixel)
        {
            Pixels[Count] = pixel;
            return Shares + Count++;
        }

        public void Take(int firstPixel, int count)
        {
            for (Count = 0; Count < count; Count++)
            {
                Pixels[Count] = firstPixel + Count;
            }
        }

        public readonly void SetColumns(int first, int count, int input, int output)
        {
            for (int i = 0; i < count; i++)
            {
                Bilinear.At(first + i, input, output, out Left[i], out _, out Weight[i]);
            }
        }
    }
}
