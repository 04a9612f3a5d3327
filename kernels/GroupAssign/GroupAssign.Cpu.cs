using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record GroupAssign
{
    public override Step PrepareCpu<V>(CpuBinding binding)
        => new CpuSequence(
            LogitsProduct.PrepareCpu<V>(binding),
            new CpuGroupChoice<V>(this, binding),
            new CpuGroupMean<V>(this, binding));
}

/// <summary>Soft map and arg-max, a vector of tokens at a time: the groups are walked down the columns, so all loads are dense.</summary>
internal sealed unsafe class CpuGroupChoice<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int TokensPerTile = 128;

    private readonly GroupAssign operation;
    private readonly float* logits;
    private readonly float* soft;
    private readonly int* index;
    private readonly int* forced;
    private readonly int tilesPerBatch;

    public CpuGroupChoice(GroupAssign operation, CpuBinding binding)
        : base(binding, operation.Q.Batch * ((operation.Tokens + TokensPerTile - 1) / TokensPerTile))
    {
        this.operation = operation;
        logits = binding.Float(operation.Logits);
        soft = binding.Float(operation.Soft);
        index = binding.Int(operation.Index);
        forced = operation.Forced is null ? null : binding.Int(operation.Forced);
        tilesPerBatch = (operation.Tokens + TokensPerTile - 1) / TokensPerTile;
    }

    public override void Tile(int tile, int thread)
    {
        (int batch, int block) = Math.DivRem(tile, tilesPerBatch);
        (TensorView from, TensorView to) = (operation.Logits, operation.Soft);
        int l = block * TokensPerTile;
        int end = Math.Min(operation.Tokens, l + TokensPerTile);
        for (; l <= end - V.Width; l += V.Width)
        {
            Soften<V>(logits + (nint)batch * from.BatchStride + l, from.RowStride, soft + (nint)batch * to.BatchStride + l, to.RowStride);
        }
        for (; l < end; l++)
        {
            Soften<V1>(logits + (nint)batch * from.BatchStride + l, from.RowStride, soft + (nint)batch * to.BatchStride + l, to.RowStride);
        }
        for (l = block * TokensPerTile; l < end; l++)
        {
            nint at = (nint)batch * operation.Tokens + l;
            index[at] = forced is null ? Best(logits + (nint)batch * from.BatchStride + l, from.RowStride) : Math.Clamp(forced[at], 0, operation.Groups - 1);
        }
    }

    private void Soften<W>(float* source, nint sourceStride, float* target, nint targetStride)
        where W : struct, ISimd<W>
    {
        W max = W.Load(source);
        for (int g = 1; g < operation.Groups; g++)
        {
            max = W.Max(max, W.Load(source + g * sourceStride));
        }
        W sum = W.Zero;
        for (int g = 0; g < operation.Groups; g++)
        {
            W e = SimdMath.Exp(W.Load(source + g * sourceStride) - max);
            W.Store(e, target + g * targetStride);
            sum += e;
        }
        W inverse = W.Broadcast(1) / sum;
        for (int g = 0; g < operation.Groups; g++)
        {
            W.Store(W.Load(target + g * targetStride) * inverse, target + g * targetStride);
        }
    }

    private int Best(float* column, nint stride)
    {
        int best = 0;
        float most = *column;
        for (int g = 1; g < operation.Groups; g++)
        {
            float value = column[g * stride];
            // Not-a-number in the first place must not shut the others out.
            if (value > most || (float.IsNaN(most) && !float.IsNaN(value)))
            {
                (best, most) = (g, value);
            }
        }
        return best;
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
