using System.Runtime.CompilerServices;
using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record Attention
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuAttention<V>(this, binding);
}

/// <summary>
/// A task is one head and a share of its queries. It lays the head's keys (and values, unless they stand together already) out as panels
/// once, then takes a few queries at a time: their scores against all keys, softmax, the weighted values.
/// </summary>
/// <remarks>
/// <para>848 keys of 64: 217 KB of keys, as much of values, and 81 KB of scores for 24 queries: all of it stays in a second-level cache of
/// 1 MB while the queries pass by. Both products run on the register tile of the matrix product. Laying out costs a pass over K and V per
/// task; a head is split into several tasks only where there are too few heads to keep every thread busy.</para>
/// <para>Causal rows are computed against all keys up to the block's last query and cut at their own length by the softmax; weights
/// beyond are set to zero. The sums run over keys in ascending order; trailing zeros add nothing, so the bits of a row depend only on
/// what it sees.</para>
/// </remarks>
internal sealed unsafe class CpuAttention<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int TilesPerBlock = 2;

    // Tasks per thread that keep the last one from waiting long for the others.
    private const int TasksPerThread = 4;

    private readonly Attention operation;
    private readonly float* q;
    private readonly float* k;
    private readonly float* v;
    private readonly float* y;
    private readonly int* lengths;
    private readonly int blocks, shares, blockRows, paddedKeys, headSize, valuePanels;
    private readonly bool valuesInPlace;

    public CpuAttention(Attention operation, CpuBinding binding)
        : base(binding, 0)
    {
        this.operation = operation;
        q = binding.Float(operation.Q);
        k = binding.Float(operation.K);
        v = binding.Float(operation.V);
        y = binding.Float(operation.Y);
        lengths = operation.KeyLengths is null ? null : binding.Int(operation.KeyLengths);
        headSize = operation.HeadSize;
        blockRows = TilesPerBlock * Rows;
        blocks = (operation.Queries + blockRows - 1) / blockRows;
        paddedKeys = (operation.Keys + Width - 1) / Width * Width;
        valuePanels = (headSize + Width - 1) / Width;
        valuesInPlace = operation.HeadsMajor && headSize % Width == 0;
        int heads = operation.Y.Batch * operation.Heads;
        shares = Math.Clamp((TasksPerThread * binding.Threads + heads - 1) / heads, 1, blocks);
        if (binding.Threads == 1)
        {
            shares = 1;
        }
        Tiles = heads * shares;
        long keys = (long)headSize * paddedKeys;
        long values = valuesInPlace ? 0 : (long)valuePanels * Width * operation.Keys;
        long scores = (long)blockRows * paddedKeys;
        binding.ReserveScratch((keys + values + scores) * sizeof(float));
    }

    private static int Rows => ProductTile<V>.Rows;

    private static int Width => ProductTile<V>.Columns;

    [SkipLocalsInit]
    public override void Tile(int tile, int thread)
    {
        (int batchHead, int share) = Math.DivRem(tile, shares);
        (int batch, int head) = Math.DivRem(batchHead, operation.Heads);
        int first = (int)((long)share * blocks / shares) * blockRows;
        int last = Math.Min(operation.Queries, (int)((long)(share + 1) * blocks / shares) * blockRows);
        int length = lengths is null ? operation.Keys : Math.Clamp(lengths[batch], 1, operation.Keys);
        int seen = operation.Causal ? Math.Min(length, last) : length;

        float* keys = (float*)Worker.Scratch(thread);
        float* values = keys + (nint)headSize * paddedKeys;
        float* scores = valuesInPlace ? values : values + (nint)valuePanels * Width * operation.Keys;
        PackKeys(batch, head, seen, keys);
        if (!valuesInPlace)
        {
            PackValues(batch, head, seen, values);
        }
        float* inverses = stackalloc float[blockRows];
        for (int row = first; row < last; row += blockRows)
        {
            int rows = Math.Min(blockRows, last - row);
            int limit = operation.Causal ? Math.Min(length, row + rows) : length;
            Scores(batch, head, row, rows, limit, keys, scores);
            for (int r = 0; r < rows; r++)
            {
                int own = operation.Causal ? Math.Min(length, row + r + 1) : length;
                float* line = scores + (nint)r * paddedKeys;
                inverses[r] = 1 / SoftmaxRow<V>.Exponentials(line, line, own, operation.Scale);
                new Span<float>(line + own, limit - own).Clear();
            }
            Values(batch, head, row, rows, limit, scores, values, inverses);
        }
    }

    private float* Start(float* data, TensorView view, int batch, int head, int rows)
    {
        (int row, int column) = operation.HeadStart(head, rows);
        return data + (nint)batch * view.BatchStride + (nint)row * view.RowStride + column;
    }

    private void PackKeys(int batch, int head, int count, float* panels)
    {
        TensorView view = operation.K;
        float* source = Start(k, view, batch, head, operation.Keys);
        for (int n = 0; n < count; n += Width)
        {
            // A head's part of a row is short and the next row far away: the hardware would not fetch it ahead.
            Memory.PrefetchRows(source + (nint)(n + Width) * view.RowStride, view.RowStride, Math.Min(Width, count - n - Width), headSize);
            PanelPacking.FromColumns(source + (nint)n * view.RowStride, view.RowStride, headSize, Math.Min(Width, count - n), Width, panels + (nint)n * headSize);
        }
    }

    private void PackValues(int batch, int head, int count, float* panels)
    {
        TensorView view = operation.V;
        float* source = Start(v, view, batch, head, operation.Keys);
        for (int p = 0; p < valuePanels; p++)
        {
            int column = p * Width;
            PanelPacking.FromRows(source + column, view.RowStride, count, Math.Min(Width, headSize - column), Width, panels + (nint)column * operation.Keys);
        }
    }

    private void Scores(int batch, int head, int first, int rows, int keys, float* panels, float* scores)
    {
        TensorView view = operation.Q;
        float* queries = Start(q, view, batch, head, operation.Queries) + (nint)first * view.RowStride;
        for (int n = 0; n < keys; n += Width)
        {
            for (int r = 0; r < rows; r += Rows)
            {
                float* target = scores + (nint)r * paddedKeys + n;
                Memory.PrefetchRows(target, paddedKeys, Math.Min(Rows, rows - r), Width);
                StridedStore<V> store = new(target, paddedKeys);
                ProductTile<V>.Compute(Math.Min(Rows, rows - r), queries + r * (nint)view.RowStride, view.RowStride, panels + (nint)n * headSize, Width, headSize, ref store);
            }
        }
    }

    [SkipLocalsInit]
    private void Values(int batch, int head, int first, int rows, int keys, float* scores, float* panels, float* inverses)
    {
        TensorView to = operation.Y;
        float* target = y + (nint)batch * to.BatchStride + (nint)first * to.RowStride + head * headSize;
        float* sums = stackalloc float[Rows * Width];
        for (int p = 0; p < valuePanels; p++)
        {
            int column = p * Width;
            float* columns = valuesInPlace ? Start(v, operation.V, batch, head, operation.Keys) + column : panels + (nint)column * operation.Keys;
            nint stride = valuesInPlace ? operation.V.RowStride : Width;
            int count = Math.Min(Width, headSize - column);
            for (int r = 0; r < rows; r += Rows)
            {
                int some = Math.Min(Rows, rows - r);
                float* output = target + r * (nint)to.RowStride + column;
                if (count == Width)
                {
                    WeightedStore<V> store = new(output, to.RowStride, inverses + r);
                    ProductTile<V>.Compute(some, scores + (nint)r * paddedKeys, paddedKeys, columns, stride, keys, ref store);
                    continue;
                }
                StridedStore<V> buffer = new(sums, Width);
                ProductTile<V>.Compute(some, scores + (nint)r * paddedKeys, paddedKeys, columns, stride, keys, ref buffer);
                for (int i = 0; i < some; i++)
                {
                    for (int c = 0; c < count; c++)
                    {
                        output[(nint)i * to.RowStride + c] = sums[i * Width + c] * inverses[r + i];
                    }
                }
            }
        }
    }
}

/// <summary>The weighted sum of the values over the sum of the weights.</summary>
internal readonly unsafe struct WeightedStore<V>(float* target, nint stride, float* factors) : ITileStore<V>
    where V : struct, ISimd<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Row(int row, V x, V y)
    {
        V factor = V.Broadcast(factors[row]);
        V.Store(x * factor, target + row * stride);
        V.Store(y * factor, target + row * stride + V.Width);
    }
}
