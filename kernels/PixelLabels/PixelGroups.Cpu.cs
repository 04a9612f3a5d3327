using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record PixelGroups
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuPixelGroups<V>(this, binding);
}

/// <summary>
/// A tile is one row of pixels: the two map rows around it are mixed once per group, then every pixel compares the groups. Pixels
/// between the same two columns of the maps (a patch has 16) differ by their weights alone and are done by vectors.
/// </summary>
internal sealed unsafe class CpuPixelGroups<V> : CpuStep
    where V : struct, ISimd<V>
{
    private readonly PixelGroups operation;
    private readonly float* maps;
    private readonly int* index;
    private readonly BilinearAxis columns;
    private readonly int groups;

    public CpuPixelGroups(PixelGroups operation, CpuBinding binding)
        : base(binding, operation.Maps.Batch * operation.Height)
    {
        this.operation = operation;
        maps = binding.Float(operation.Maps);
        index = binding.Int(operation.Index);
        columns = new BilinearAxis(operation.GridWidth, operation.Width);
        groups = operation.Maps.Rows;
        binding.ReserveScratch(((long)groups * operation.GridWidth + V.Width) * sizeof(float));
    }

    public override void Tile(int tile, int thread)
    {
        (int batch, int row) = Math.DivRem(tile, operation.Height);
        int gridWidth = operation.GridWidth;
        float* mixed = (float*)Worker.Scratch(thread);
        Bilinear.At(row, operation.GridHeight, operation.Height, out int top, out int bottom, out float ty);
        for (int g = 0; g < groups; g++)
        {
            float* map = maps + (nint)batch * operation.Maps.BatchStride + (nint)g * operation.Maps.RowStride;
            for (int c = 0; c < gridWidth; c++)
            {
                mixed[g * gridWidth + c] = (1 - ty) * map[top * gridWidth + c] + ty * map[bottom * gridWidth + c];
            }
        }
        int* target = index + ((nint)batch * operation.Height + row) * operation.Width;
        fixed (float* weights = columns.Weight)
        {
            for (int first = 0, end; first < operation.Width; first = end)
            {
                int low = columns.Low[first];
                for (end = first + 1; end < operation.Width && columns.Low[end] == low; end++)
                {
                }
                Run(mixed + low, columns.High[first] - low, weights, target, first, end, mixed + groups * gridWidth);
            }
        }
    }

    // Columns first to end lie between the same two columns of the maps; the last vector overlaps the one before it.
    private void Run(float* low, int step, float* weights, int* target, int first, int end, float* lanes)
    {
        int i = first;
        if (end - first >= V.Width)
        {
            for (; i < end; i += V.Width)
            {
                i = Math.Min(i, end - V.Width);
                V.Store(Best<V>(low, step, V.Load(weights + i)), lanes);
                for (int l = 0; l < V.Width; l++)
                {
                    target[i + l] = (int)lanes[l];
                }
            }
        }
        for (; i < end; i++)
        {
            target[i] = (int)V1.Sum(Best<V1>(low, step, V1.Broadcast(weights[i])));
        }
    }

    // Groups are few: their numbers are exact as floats.
    private T Best<T>(float* low, int step, T right)
        where T : struct, ISimd<T>
    {
        T left = T.Broadcast(1f) - right;
        T best = T.Zero;
        T most = T.Broadcast(float.NegativeInfinity);
        for (int g = 0; g < groups; g++, low += operation.GridWidth)
        {
            T value = left * T.Broadcast(low[0]) + right * T.Broadcast(low[step]);
            T lead = most - value;
            best = T.SelectNegative(lead, T.Broadcast(g), best);
            most = T.SelectNegative(lead, value, most);
        }
        return best;
    }
}
