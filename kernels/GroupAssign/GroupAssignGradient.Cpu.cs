using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record GroupAssignGradient
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuSequence(new CpuGroupGradientSums(this, binding), new CpuGroupGradient<V>(this, binding));
}

/// <summary>A batch element's sums: one pass over the tokens, each adding to its own group.</summary>
internal sealed unsafe class CpuGroupGradientSums(GroupAssignGradient operation, CpuBinding binding) : CpuStep(binding, operation.Soft.Batch)
{
    private readonly int* index = binding.Int(operation.Index);
    private readonly float* upstream = binding.Float(operation.Upstream);
    private readonly float* sums = binding.Float(operation.Sums);

    public override void Tile(int tile, int thread)
    {
        (int groups, int tokens) = (operation.Groups, operation.Tokens);
        float* pairs = sums + (nint)tile * 2 * groups;
        float* from = upstream + (nint)tile * operation.Upstream.BatchStride;
        int* chosen = index + (nint)tile * tokens;
        for (int g = 0; g < groups; g++)
        {
            (pairs[2 * g], pairs[2 * g + 1]) = (operation.Epsilon, 0);
        }
        for (int l = 0; l < tokens; l++)
        {
            int g = Math.Clamp(chosen[l], 0, groups - 1);
            pairs[2 * g]++;
            pairs[2 * g + 1] += from[(nint)g * operation.Upstream.RowStride + l];
        }
        for (int g = 0; g < groups; g++)
        {
            pairs[2 * g + 1] /= pairs[2 * g];
        }
    }
}

/// <summary>A token a lane: the groups are walked down twice, first for the sum over them, then for the gradient. All loads are dense.</summary>
internal sealed unsafe class CpuGroupGradient<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int TokensPerTile = 256;

    private readonly GroupAssignGradient operation;
    private readonly float* soft;
    private readonly float* upstream;
    private readonly float* sums;
    private readonly float* gradient;
    private readonly int blocks;

    public CpuGroupGradient(GroupAssignGradient operation, CpuBinding binding)
        : base(binding, operation.Soft.Batch * ((operation.Tokens + TokensPerTile - 1) / TokensPerTile))
    {
        this.operation = operation;
        soft = binding.Float(operation.Soft);
        upstream = binding.Float(operation.Upstream);
        sums = binding.Float(operation.Sums);
        gradient = binding.Float(operation.Gradient);
        blocks = (operation.Tokens + TokensPerTile - 1) / TokensPerTile;
    }

    public override void Tile(int tile, int thread)
    {
        (int batch, int block) = Math.DivRem(tile, blocks);
        int l = block * TokensPerTile;
        int end = Math.Min(operation.Tokens, l + TokensPerTile);
        for (; l <= end - V.Width; l += V.Width)
        {
            Tokens<V>(batch, l);
        }
        for (; l < end; l++)
        {
            Tokens<V1>(batch, l);
        }
    }

    private void Tokens<W>(int batch, int l)
        where W : struct, ISimd<W>
    {
        float* s = soft + (nint)batch * operation.Soft.BatchStride + l;
        float* g = upstream + (nint)batch * operation.Upstream.BatchStride + l;
        float* y = gradient + (nint)batch * operation.Gradient.BatchStride + l;
        float* pairs = sums + (nint)batch * 2 * operation.Groups;
        W dot = W.Zero;
        for (int i = 0; i < operation.Groups; i++)
        {
            dot = W.MultiplyAdd(W.Load(s + (nint)i * operation.Soft.RowStride), Derivative<W>(g, pairs, i), dot);
        }
        W inverse = W.Broadcast(1 / operation.Temperature);
        for (int i = 0; i < operation.Groups; i++)
        {
            W share = W.Load(s + (nint)i * operation.Soft.RowStride) * inverse;
            W.Store(share * (Derivative<W>(g, pairs, i) - dot), y + (nint)i * operation.Gradient.RowStride);
        }
    }

    private W Derivative<W>(float* g, float* pairs, int group)
        where W : struct, ISimd<W>
        => (W.Load(g + (nint)group * operation.Upstream.RowStride) - W.Broadcast(pairs[2 * group + 1])) / W.Broadcast(pairs[2 * group]);
}
