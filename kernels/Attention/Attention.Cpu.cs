using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record Attention
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuAttention<V>(this, binding);
}

/// <summary>
/// A task is one head and a block of queries: their scores against all keys, softmax, then the weighted values, in scratch memory.
/// </summary>
/// <remarks>
/// <para>48 queries x 848 keys are 163 KB of scores, which stay in a second-level cache. Keys are transposed into panels by each task;
/// that costs one pass over them per 48 queries, 1/48 of the products. Both products run on the register tile of the matrix product.</para>
/// <para>Causal rows are computed against all keys up to the block's last query and cut at their own length by the softmax; weights
/// beyond are set to zero. The sums run over keys in ascending order; trailing zeros add nothing, so the bits of a row depend only on
/// what it sees.</para>
/// </remarks>
internal sealed unsafe class CpuAttention<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int TargetRows = 48;

    private readonly Attention operation;
    private readonly float* q;
    private readonly float* k;
    private readonly float* v;
    private readonly float* y;
    private readonly int* lengths;
    private readonly int blocks, blockRows, paddedKeys, headSize, valuePanels;

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
        blockRows = Math.Min(TargetRows / Rows * Rows, (operation.Q.Rows + Rows - 1) / Rows * Rows);
        blocks = (operation.Q.Rows + blockRows - 1) / blockRows;
        paddedKeys = (operation.K.Rows + Width - 1) / Width * Width;
        valuePanels = (headSize + Width - 1) / Width;
        Tiles = operation.Q.Batch * operation.Heads * blocks;
        long queries = (long)blockRows * headSize;
        long scores = (long)blockRows * paddedKeys;
        long panel = (long)Math.Max(headSize, paddedKeys) * Width;
        binding.ReserveScratch((queries + scores + panel) * sizeof(float));
    }

    private static int Rows => ProductTile<V>.Rows;

    private static int Width => ProductTile<V>.Columns;

    public override void Tile(int tile, int thread)
    {
        (int batchHead, int block) = Math.DivRem(tile, blocks);
        (int batch, int head) = Math.DivRem(batchHead, operation.Heads);
        int first = block * blockRows;
        int rows = Math.Min(blockRows, operation.Q.Rows - first);
        int length = lengths is null ? operation.K.Rows : Math.Clamp(lengths[batch], 1, operation.K.Rows);
        int keys = operation.Causal ? Math.Min(length, first + rows) : length;

        float* queries = (float*)Worker.Scratch(thread);
        float* scores = queries + (nint)blockRows * headSize;
        float* panel = scores + (nint)blockRows * paddedKeys;
        CopyQueries(batch, head, first, rows, queries);
        Scores(batch, head, rows, keys, queries, scores, panel);
        float* inverses = stackalloc float[TargetRows];
        for (int r = 0; r < rows; r++)
        {
            int seen = operation.Causal ? Math.Min(length, first + r + 1) : length;
            float* row = scores + (nint)r * paddedKeys;
            inverses[r] = 1 / SoftmaxRow<V>.Exponentials(row, row, seen, operation.Scale);
            new Span<float>(row + seen, keys - seen).Clear();
        }
        Values(batch, head, first, rows, keys, scores, panel, inverses);
    }

    // The register tile reads whole groups of rows; those beyond the last query are zero.
    private void CopyQueries(int batch, int head, int first, int rows, float* queries)
    {
        TensorView view = operation.Q;
        float* source = q + (nint)batch * view.BatchStride + (nint)first * view.RowStride + head * headSize;
        for (int r = 0; r < rows; r++)
        {
            new ReadOnlySpan<float>(source + (nint)r * view.RowStride, headSize).CopyTo(new Span<float>(queries + (nint)r * headSize, headSize));
        }
        int padded = (rows + Rows - 1) / Rows * Rows;
        new Span<float>(queries + (nint)rows * headSize, (padded - rows) * headSize).Clear();
    }

    private void Scores(int batch, int head, int rows, int keys, float* queries, float* scores, float* panel)
    {
        TensorView view = operation.K;
        float* source = k + (nint)batch * view.BatchStride + head * headSize;
        float* sums = stackalloc float[Rows * Width];
        for (int n = 0; n < keys; n += Width)
        {
            PanelPacking.FromColumns(source + (nint)n * view.RowStride, view.RowStride, headSize, Math.Min(Width, keys - n), Width, panel);
            for (int r = 0; r < rows; r += Rows)
            {
                ProductTile<V>.Compute(queries + (nint)r * headSize, headSize, panel, Width, headSize, sums);
                for (int i = 0; i < Rows; i++)
                {
                    new ReadOnlySpan<float>(sums + i * Width, Width).CopyTo(new Span<float>(scores + (nint)(r + i) * paddedKeys + n, Width));
                }
            }
        }
    }

    private void Values(int batch, int head, int first, int rows, int keys, float* scores, float* panel, float* inverses)
    {
        TensorView from = operation.V;
        TensorView to = operation.Y;
        float* source = v + (nint)batch * from.BatchStride + head * headSize;
        float* target = y + (nint)batch * to.BatchStride + (nint)first * to.RowStride + head * headSize;
        float* sums = stackalloc float[Rows * Width];
        for (int p = 0; p < valuePanels; p++)
        {
            int column = p * Width;
            int count = Math.Min(Width, headSize - column);
            float* columns = source + column;
            nint stride = from.RowStride;
            if (count < Width)
            {
                PanelPacking.FromRows(columns, stride, keys, count, Width, panel);
                columns = panel;
                stride = Width;
            }
            for (int r = 0; r < rows; r += Rows)
            {
                ProductTile<V>.Compute(scores + (nint)r * paddedKeys, paddedKeys, columns, stride, keys, sums);
                int last = Math.Min(Rows, rows - r);
                for (int i = 0; i < last; i++)
                {
                    float* output = target + (nint)(r + i) * to.RowStride + column;
                    for (int c = 0; c < count; c++)
                    {
                        output[c] = sums[i * Width + c] * inverses[r + i];
                    }
                }
            }
        }
    }
}
