using GroupViT.Kernels.Devices;
using ILGPU;
using Head16 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>;
using Head32 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>>;
using Head64 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>>>;
using Head128 = GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Pair<GroupViT.Kernels.Devices.Quad>>>>>;

namespace GroupViT.Kernels;

internal sealed partial record Attention
{
    // Keys and values, and queries of the same tensor: what is all or nothing needs no agreement between tensors.
    public override WeightFormat RoundsTo(Tensor tensor, DeviceFacts facts)
        => tensor == K.Tensor && tensor == V.Tensor && KernelChoice.IsPairs(KernelChoice.Attention(facts, this)) ? Format : WeightFormat.Float32;

    public override bool CanWrite(Tensor tensor, WeightFormat format, DeviceFacts facts) => format == Format && KernelChoice.IsPairs(KernelChoice.Attention(facts, this));

    public override Step PrepareGpu(GpuBinding binding)
    {
        ProductKernel kernel = KernelChoice.Attention(binding.Device.Facts, this);
        if (!KernelChoice.IsPairs(kernel))
        {
            GpuBinding.RequireFloats(Q);
            GpuBinding.RequireFloats(K);
            GpuBinding.RequireFloats(V);
            GpuBinding.RequireFloats(Y);
        }
        return Prepare(kernel, binding);
    }

    private GpuStep Prepare(ProductKernel kernel, GpuBinding binding) => kernel switch
    {
        ProductKernel.TensorBFloat16 => TensorAttention.Pairs<BFloat16Tensors>(this, binding),
        ProductKernel.TensorFloat16 => TensorAttention.Pairs<Float16Tensors>(this, binding),
        ProductKernel.TensorFloat16K8 => TensorAttention.Pairs<Float16TensorsK8>(this, binding),
        ProductKernel.TensorFloat32 => TensorAttention.Singles(this, binding),
        _ when KernelChoice.SplitsKeys(binding.Device.Facts, this) => HeadSize switch
        {
            <= 16 => SplitAttention.Prepare<Head16>(this, binding),
            <= 32 => SplitAttention.Prepare<Head32>(this, binding),
            _ => SplitAttention.Prepare<Head64>(this, binding),
        },
        _ => HeadSize switch
        {
            <= 16 => GpuAttention.Prepare<Head16>(this, binding),
            <= 32 => GpuAttention.Prepare<Head32>(this, binding),
            <= 64 => GpuAttention.Prepare<Head64>(this, binding),
            _ => GpuAttention.Prepare<Head128>(this, binding),
        },
    };
}

internal readonly struct GpuAttentionArguments(Attention operation, GpuBinding binding, int queryTiles)
{
    public readonly GpuFloats Q = binding.Numbers(operation.Q);
    public readonly GpuFloats K = binding.Numbers(operation.K);
    public readonly GpuFloats V = binding.Numbers(operation.V);
    public readonly GpuFloats Y = binding.Numbers(operation.Y);
    public readonly GpuInts KeyLengths = binding.IntsOrNone(operation.KeyLengths is { } lengths ? lengths.View() : null);
    public readonly int HasKeyLengths = operation.KeyLengths is null ? 0 : 1;
    public readonly int Causal = operation.Causal ? 1 : 0;
    public readonly int Queries = operation.Queries;
    public readonly int Keys = operation.Keys;

    // From one head to the next: rows of queries, rows of keys, columns of both.
    public readonly int HeadQueries = operation.HeadStart(1, operation.Queries).Row;
    public readonly int HeadKeys = operation.HeadStart(1, operation.Keys).Row;
    public readonly int HeadColumns = operation.HeadStart(1, 0).Column;
    public readonly int Heads = operation.Heads;
    public readonly int HeadSize = operation.HeadSize;
    public readonly float Scale = operation.Scale;

    // Groups per head; of no use to the kernel without groups.
    public readonly int QueryTiles = queryTiles;
}

/// <summary>The softmax of a row that is met score by score.</summary>
internal static class AttentionRows
{
    /// <summary>
    /// Where a maximum begins. Not -infinity, so that the difference of two maxima is a number, and a score of -infinity is below it.
    /// </summary>
    public const float Lowest = float.MinValue;

    /// <summary>Keys of a batch that are there.</summary>
    public static int Length(in GpuAttentionArguments args, int batch)
        => args.HasKeyLengths != 0 ? IntrinsicMath.Clamp(args.KeyLengths.Get(0, 0, batch), 1, args.Keys) : args.Keys;

    /// <summary>Of so many keys, those that a query sees: up to itself where it sees no later ones.</summary>
    public static int Seen(in GpuAttentionArguments args, int query, int length) => args.Causal != 0 ? IntrinsicMath.Min(length, query + 1) : length;

    /// <summary>e^(score - max); 0 for -infinity, which is also how a masked score is written.</summary>
    public static float Weight(float score, float max) => score == float.NegativeInfinity ? 0f : GpuMath.Exp(score - max);
}

/// <summary>
/// For processors with vectors, and for heads wider than 64: one thread per query and head. It holds the query and the weighted sum of the values in registers and walks over the keys once, with
/// the softmax's maximum and sum kept as it goes. No scores are ever in memory, and no barrier is needed.
/// </summary>
/// <remarks>
/// <para>Neighbouring threads are neighbouring queries of one head, so a key and its value are read at one address by all of them: per
/// key d/4 + d/4 broadcast loads of 128 bits against 2·d multiply-adds, four for each load, the ratio at which neither waits for the
/// other. Query and sum take 2·d registers; heads of 128 would need more than the 255 that a thread of a GPU may have: some 200 bytes of them go to
/// local memory.</para>
/// <para>A dot product runs in four sums, which are four chains of d/4 additions instead of one of d. When a key raises the maximum, what
/// was summed is scaled down to it; that is rare after the first keys, so it is a branch.</para>
/// <para>What it lacks: one picture has 260 queries of 6 heads, 49 warps for a GPU's hundred multiprocessors. There <see cref="SplitAttention"/> runs;
/// a processor's few threads are busy so, and barriers would make it save each one's registers.</para>
/// </remarks>
internal static class GpuAttention
{
    public static GpuStep Prepare<THead>(Attention operation, GpuBinding binding)
        where THead : struct, IRegisterVector<THead>
    {
        GpuAttentionArguments arguments = new(operation, binding, queryTiles: 0);
        int threads = operation.Y.Batch * operation.Heads * operation.Queries;
        return IsAligned<THead>(operation)
            ? binding.Step<GpuAttentionArguments>(Kernel<THead, AlignedQuads>, threads, arguments)
            : binding.Step<GpuAttentionArguments>(Kernel<THead, BoundedQuads>, threads, arguments);
    }

    /// <summary>True where heads fill their registers and every row begins on 16 bytes.</summary>
    internal static bool IsAligned<THead>(Attention operation)
        where THead : struct, IRegisterVector<THead>
        => operation.HeadSize == THead.Size
        && AlignedQuads.Fits(operation.Q) && AlignedQuads.Fits(operation.K) && AlignedQuads.Fits(operation.V) && AlignedQuads.Fits(operation.Y);

    private static void Kernel<THead, TAccess>(Index1D index, GpuAttentionArguments args)
        where THead : struct, IRegisterVector<THead>
        where TAccess : struct, IQuadAccess
    {
        int query = index % args.Queries;
        int rest = index / args.Queries;
        int head = rest % args.Heads;
        int batch = rest / args.Heads;
        int column = head * args.HeadColumns;

        int seen = AttentionRows.Seen(args, query, AttentionRows.Length(args, batch));

        THead q = THead.Load<TAccess>(args.Q.Data, args.Q.Index(batch, head * args.HeadQueries + query, column), 1, args.HeadSize);
        THead sum = default;
        float max = AttentionRows.Lowest;
        float total = 0f;
        int keyAt = args.K.Index(batch, head * args.HeadKeys, column);
        int valueAt = args.V.Index(batch, head * args.HeadKeys, column);
        for (int n = 0; n < seen; n++)
        {
            THead key = THead.Load<TAccess>(args.K.Data, keyAt, 1, args.HeadSize);
            float score = args.Scale * THead.Dot(q, key, default).Sum();
            if (score > max)
            {
                float shrink = GpuMath.Exp(max - score);
                max = score;
                total *= shrink;
                sum = THead.Scale(sum, shrink);
            }
            float weight = AttentionRows.Weight(score, max);
            total += weight;
            sum = THead.MultiplyAdd(THead.Load<TAccess>(args.V.Data, valueAt, 1, args.HeadSize), weight, sum);
            keyAt += args.K.RowStride;
            valueAt += args.V.RowStride;
        }
        THead.Store<TAccess>(THead.Scale(sum, 1f / total), args.Y.Data, args.Y.Index(batch, query, head * args.HeadSize), args.HeadSize);
    }
}
