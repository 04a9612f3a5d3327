using System.Runtime.CompilerServices;
using GroupViT.Kernels.Devices;
using GroupViT.Kernels.Simd;

namespace GroupViT.Kernels;

internal sealed partial record Softmax
{
    public override Step PrepareCpu<V>(CpuBinding binding) => new CpuSoftmax<V>(this, binding);
}

internal sealed unsafe class CpuSoftmax<V> : CpuStep
    where V : struct, ISimd<V>
{
    private const int RowsPerTile = 8;

    private readonly Softmax operation;
    private readonly float* x;
    private readonly float* y;
    private readonly int rows;

    public CpuSoftmax(Softmax operation, CpuBinding binding)
        : base(binding, (operation.X.Batch * operation.X.Rows + RowsPerTile - 1) / RowsPerTile)
    {
        this.operation = operation;
        x = binding.Float(operation.X);
        y = binding.Float(operation.Y);
        rows = operation.X.Batch * operation.X.Rows;
    }

    public override void Tile(int tile, int thread)
    {
        TensorView from = operation.X;
        TensorView to = operation.Y;
        int end = Math.Min(rows, (tile + 1) * RowsPerTile);
        for (int i = tile * RowsPerTile; i < end; i++)
        {
            (int b, int r) = Math.DivRem(i, from.Rows);
            float* target = y + (nint)b * to.BatchStride + (nint)r * to.RowStride;
            float sum = SoftmaxRow<V>.Exponentials(x + (nint)b * from.BatchStride + (nint)r * from.RowStride, target, from.Columns, 1);
            SoftmaxRow<V>.Scale(target, from.Columns, 1 / sum);
        }
    }
}

/// <summary>The two halves of a softmax over a row in memory; attention uses them on its scores.</summary>
internal static unsafe class SoftmaxRow<V>
    where V : struct, ISimd<V>
{
    /// <summary>target = exp(scale·(source − max)); returns the sum. Target may be source.</summary>
    /// <remarks>
    /// The loops stand in methods of their own, without calls: beside a call the JIT keeps a running sum on the stack, which made the
    /// whole softmax two to three times slower.
    /// </remarks>
    [SkipLocalsInit]
    public static float Exponentials(float* source, float* target, int n, float scale)
    {
        int whole = n / V.Width * V.Width;
        int rest = n - whole;
        float* tail = stackalloc float[V.Width];
        float max = Maximum(source, whole);
        for (int c = 0; c < rest; c++)
        {
            tail[c] = source[whole + c];
            max = MathF.Max(max, tail[c]);
        }
        float factor = scale * 1.442695041f;
        float sum = PowersOfTwo(source, target, whole, max, factor);
        if (rest > 0)
        {
            // Filled up to a vector with minus infinity: such a lane adds 2^-125 to a sum of at least 1, which changes nothing.
            for (int c = rest; c < V.Width; c++)
            {
                tail[c] = float.NegativeInfinity;
            }
            sum += PowersOfTwo(tail, tail, V.Width, max, factor);
            for (int c = 0; c < rest; c++)
            {
                target[whole + c] = tail[c];
            }
        }
        return sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float Maximum(float* source, int n)
    {
        // Two at a time: one chain of maxima would wait for itself.
        V most = V.Broadcast(float.NegativeInfinity);
        V other = most;
        int c = 0;
        for (; c <= n - 2 * V.Width; c += 2 * V.Width)
        {
            most = V.Max(most, V.Load(source + c));
            other = V.Max(other, V.Load(source + c + V.Width));
        }
        if (c < n)
        {
            most = V.Max(most, V.Load(source + c));
        }
        return V.MaxLane(V.Max(most, other));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float PowersOfTwo(float* source, float* target, int n, float max, float factor)
    {
        V top = V.Broadcast(max);
        V by = V.Broadcast(factor);
        V sum = V.Zero;
        for (int c = 0; c < n; c += V.Width)
        {
            V e = SimdMath.Exp2OfNegative((V.Load(source + c) - top) * by);
            V.Store(e, target + c);
            sum += e;
        }
        return V.Sum(sum);
    }

    public static void Scale(float* row, int n, float factor)
    {
        int c = 0;
        for (V by = V.Broadcast(factor); c <= n - V.Width; c += V.Width)
        {
            V.Store(V.Load(row + c) * by, row + c);
        }
        for (; c < n; c++)
        {
            row[c] *= factor;
        }
    }
}
