using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record PixelLabels
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuPixelLabels<V>(this, binding);
}

/// <summary>
/// A tile is a run of the band's pixels. A pixel whose four neighbours are of one group takes that group's label, found once per tile;
/// most pixels are such. The others mix the table's rows.
/// </summary>
internal sealed unsafe class CpuPixelLabels<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int PixelsPerTile = 8192;

    private readonly PixelLabels operation;
    private readonly float* table;
    private readonly int* geometry;
    private readonly int* groups;
    private readonly float* maps;
    private readonly int* labels;
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
        labels = binding.Int(operation.Labels);
        scores = binding.Float(operation.Scores);
        (groupCount, labelCount) = (operation.Table.Rows, operation.Table.Columns);
        binding.ReserveScratch((labelCount + 2L * groupCount) * sizeof(float));
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
        float* mixed = (float*)Worker.Scratch(thread);
        int* groupLabels = (int*)(mixed + labelCount);
        float* groupScores = mixed + labelCount + groupCount;
        for (int g = 0; groups is not null && g < groupCount; g++)
        {
            groupLabels[g] = Decide(table + g * tableStride, out groupScores[g]);
        }
        Span<float> shares = stackalloc float[groupCount];
        for (int i = first; i < end; i++)
        {
            (int row, int column) = Math.DivRem(i, outWidth);
            Bilinear.At(firstRow + row, operation.Height, outHeight, out int top, out int bottom, out float ty);
            Bilinear.At(column, operation.Width, outWidth, out int left, out int right, out float tx);
            int a = top * operation.Width + left;
            int b = top * operation.Width + right;
            int c = bottom * operation.Width + left;
            int d = bottom * operation.Width + right;
            if (groups is not null)
            {
                (int ga, int gb, int gc, int gd) = (groups[a], groups[b], groups[c], groups[d]);
                gb = tx == 0 ? ga : gb;
                (gc, gd) = ty == 0 ? (ga, gb) : (gc, tx == 0 ? gc : gd);
                if (ga == gb && ga == gc && ga == gd)
                {
                    (labels[i], scores[i]) = (groupLabels[ga], groupScores[ga]);
                    continue;
                }
                shares.Clear();
                shares[ga] += (1 - ty) * (1 - tx);
                shares[gb] += (1 - ty) * tx;
                shares[gc] += ty * (1 - tx);
                shares[gd] += ty * tx;
            }
            else
            {
                nint stride = operation.Maps!.Value.RowStride;
                for (int g = 0; g < groupCount; g++)
                {
                    float* map = maps + g * stride;
                    shares[g] = (1 - ty) * ((1 - tx) * map[a] + tx * map[b]) + ty * ((1 - tx) * map[c] + tx * map[d]);
                }
            }
            Mix(shares, mixed);
            labels[i] = Decide(mixed, out scores[i]);
        }
    }

    private void Mix(ReadOnlySpan<float> shares, float* mixed)
    {
        new Span<float>(mixed, labelCount).Clear();
        for (int g = 0; g < shares.Length; g++)
        {
            if (shares[g] == 0)
            {
                continue;
            }
            float* row = table + g * tableStride;
            int n = 0;
            for (V share = V.Broadcast(shares[g]); n <= labelCount - V.Width; n += V.Width)
            {
                V.Store(V.MultiplyAdd(V.Load(row + n), share, V.Load(mixed + n)), mixed + n);
            }
            // Rounded as the vectors are: equal columns of the table must stay equal, or the first of them would not win.
            for (; n < labelCount; n++)
            {
                V1.Store(V1.MultiplyAdd(V1.Load(row + n), V1.Broadcast(shares[g]), V1.Load(mixed + n)), mixed + n);
            }
        }
    }

    private int Decide(float* values, out float score)
    {
        int best = 0;
        for (int n = 1; n < labelCount; n++)
        {
            best = values[n] > values[best] ? n : best;
        }
        score = values[best];
        if (operation.SoftmaxScore)
        {
            V1 sum = V1.Zero;
            for (int n = 0; n < labelCount; n++)
            {
                sum += SimdMath.Exp(V1.Broadcast(values[n] - values[best]));
            }
            score = 1 / V1.Sum(sum);
        }
        return best;
    }
}
