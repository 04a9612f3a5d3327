using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record GroupAssign
{
    public override Step PrepareCpu<V>(CpuBinding binding)
        => new CpuSequence(new CpuGroupChoice<V>(this, binding), new CpuGroupMean<V>(this, binding));
}

/// <summary>
/// Logits, soft map and arg-max of as many tokens as a tile of the product has columns: the tile's [G, 2W] logits (8 KB at 64 groups)
/// are in L1 while the groups are walked down the columns, a token a lane, so that all loads are dense and no lane is reduced.
/// </summary>
internal sealed unsafe class CpuGroupChoice<V> : CpuStep
    where V : struct, ISimd<V>
{
    private readonly GroupAssign operation;
    private readonly float* queries;
    private readonly float* keys;
    private readonly float* logits;
    private readonly float* soft;
    private readonly int* index;
    private readonly int* forced;
    private readonly int tilesPerBatch, groups, depth;

    public CpuGroupChoice(GroupAssign operation, CpuBinding binding)
        : base(binding, operation.Q.Batch * ((operation.Tokens + Columns - 1) / Columns))
    {
        this.operation = operation;
        queries = binding.Float(operation.Q);
        keys = binding.Float(operation.K);
        logits = binding.Float(operation.Logits);
        soft = binding.Float(operation.Soft);
        index = binding.Int(operation.Index);
        forced = operation.Forced is null ? null : binding.Int(operation.Forced);
        tilesPerBatch = (operation.Tokens + Columns - 1) / Columns;
        (groups, depth) = (operation.Groups, operation.Q.Columns);
        // A panel of keys, the tile's logits, and for each token the largest logit and where it is.
        binding.ReserveScratch(((long)depth + groups + 2) * Columns * sizeof(float));
    }

    private static int Columns => ProductTile<V>.Columns;

    public override void Tile(int tile, int thread)
    {
        (int batch, int block) = Math.DivRem(tile, tilesPerBatch);
        int first = block * Columns;
        int count = Math.Min(Columns, operation.Tokens - first);
        float* panel = (float*)Worker.Scratch(thread);
        float* scores = panel + (nint)depth * Columns;
        nint ldk = operation.K.RowStride;
        PanelPacking.FromColumns(keys + (nint)batch * operation.K.BatchStride + first * ldk, ldk, depth, count, Columns, panel);
        LinearStore<V> store = new(operation.Scale, null, 0);
        store.Begin(scores, Columns, null, null);
        ProductTile<V>.Compute(groups, queries + (nint)batch * operation.Q.BatchStride, operation.Q.RowStride, panel, Columns, depth, ref store);

        float* most = scores + (nint)groups * Columns;
        Write(scores, logits, operation.Logits, batch, first, count);
        for (int half = 0; half < Columns; half += V.Width)
        {
            Choose(scores + half, most + half);
        }
        for (int i = 0; i < count; i++)
        {
            nint token = (nint)batch * operation.Tokens + first + i;
            index[token] = forced is not null ? Math.Clamp(forced[token], 0, groups - 1)
                : most[i] > float.NegativeInfinity ? (int)most[Columns + i]
                : FirstNumber(logits + (nint)batch * operation.Logits.BatchStride + first + i);
        }
        for (int half = 0; half < Columns; half += V.Width)
        {
            Soften(scores + half);
        }
        Write(scores, soft, operation.Soft, batch, first, count);
    }

    private void Write(float* scores, float* target, TensorView view, int batch, int first, int count)
    {
        target += (nint)batch * view.BatchStride + first;
        for (int g = 0; g < groups; g++)
        {
            new ReadOnlySpan<float>(scores + g * Columns, count).CopyTo(new Span<float>(target + (nint)g * view.RowStride, count));
        }
    }

    // The first of the largest; the comparison is false for not-a-number, which so never wins.
    private void Choose(float* column, float* result)
    {
        V most = V.Broadcast(float.NegativeInfinity);
        V best = V.Zero;
        for (int g = 0; g < groups; g++)
        {
            V value = V.Load(column + g * Columns);
            V lead = most - value;
            best = V.SelectNegative(lead, V.Broadcast(g), best);
            most = V.SelectNegative(lead, value, most);
        }
        V.Store(most, result);
        V.Store(best, result + Columns);
    }

    private void Soften(float* column)
    {
        V max = V.Load(column);
        for (int g = 1; g < groups; g++)
        {
            max = V.Max(max, V.Load(column + g * Columns));
        }
        V sum = V.Zero;
        for (int g = 0; g < groups; g++)
        {
            V e = SimdMath.Exp(V.Load(column + g * Columns) - max);
            V.Store(e, column + g * Columns);
            sum += e;
        }
        V inverse = V.Broadcast(1) / sum;
        for (int g = 0; g < groups; g++)
        {
            V.Store(V.Load(column + g * Columns) * inverse, column + g * Columns);
        }
    }

    // Of a token without a logit above minus infinity.
    private int FirstNumber(float* column)
    {
        int g = 0;
        while (g < groups - 1 && float.IsNaN(column[g * (nint)operation.Logits.RowStride]))
        {
            g++;
        }
        return float.IsNaN(column[g * (nint)operation.Logits.RowStride]) ? 0 : g;
    }
}

/// <summary>The means: a tile is a range of columns of one batch element; tokens are added to their group's row one after another.</summary>
internal sealed unsafe class CpuGroupMean<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int ColumnsPerTile = 64;

    private readonly GroupAssign operation;
    private readonly float* values;
    private readonly float* soft;
    private readonly int* index;
    private readonly float* y;
    private readonly int tilesPerBatch;

    public CpuGroupMean(GroupAssign operation, CpuBinding binding)
        : base(binding, operation.Q.Batch * ((operation.V.Columns + ColumnsPerTile - 1) / ColumnsPerTile))
    {
        this.operation = operation;
        values = binding.Float(operation.V);
        soft = binding.Float(operation.Soft);
        y = binding.Float(operation.Y);
        index = binding.Int(operation.Index);
        tilesPerBatch = (operation.V.Columns + ColumnsPerTile - 1) / ColumnsPerTile;
        binding.ReserveScratch(operation.Groups * sizeof(float));
    }

    public override void Tile(int tile, int thread)
    {
        (int batch, int block) = Math.DivRem(tile, tilesPerBatch);
        int first = block * ColumnsPerTile;
        int columns = Math.Min(ColumnsPerTile, operation.V.Columns - first);
        (TensorView from, TensorView to, TensorView map) = (operation.V, operation.Y, operation.Soft);
        float* weights = (float*)Worker.Scratch(thread);
        new Span<float>(weights, operation.Groups).Clear();
        float* output = y + (nint)batch * to.BatchStride + first;
        for (int g = 0; g < operation.Groups; g++)
        {
            new Span<float>(output + (nint)g * to.RowStride, columns).Clear();
        }
        float* source = values + (nint)batch * from.BatchStride + first;
        for (int l = 0; l < operation.Tokens; l++, source += from.RowStride)
        {
            int g = index[(nint)batch * operation.Tokens + l];
            float weight = 1;
            if (operation.StraightThrough)
            {
                float s = soft[(nint)batch * map.BatchStride + (nint)g * map.RowStride + l];
                weight = 1 - s + s;
            }
            weights[g] += weight;
            AddScaled(source, weight, output + (nint)g * to.RowStride, columns);
        }
        for (int g = 0; g < operation.Groups; g++)
        {
            float* row = output + (nint)g * to.RowStride;
            float inverse = 1 / (weights[g] + operation.Epsilon);
            for (int c = 0; c < columns; c++)
            {
                row[c] *= inverse;
            }
        }
    }

    private static void AddScaled(float* source, float weight, float* target, int columns)
    {
        int c = 0;
        for (V w = V.Broadcast(weight); c <= columns - V.Width; c += V.Width)
        {
            V.Store(V.MultiplyAdd(V.Load(source + c), w, V.Load(target + c)), target + c);
        }
        for (; c < columns; c++)
        {
            target[c] += source[c] * weight;
        }
    }
}
