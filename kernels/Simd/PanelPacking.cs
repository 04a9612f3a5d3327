using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace GroupViT.Kernels.Simd;

/// <summary>Packs part of a matrix as a panel [depth][width], zero beyond the columns that exist.</summary>
internal static unsafe class PanelPacking
{
    private static bool HasTranspose => Sse.IsSupported || AdvSimd.Arm64.IsSupported;

    /// <summary>Columns 0..count of a matrix [depth, ...] with rows <paramref name="stride"/> apart.</summary>
    public static void FromRows(float* source, nint stride, int depth, int count, int width, float* panel)
    {
        for (int k = 0; k < depth; k++)
        {
            new ReadOnlySpan<float>(source + k * stride, count).CopyTo(new Span<float>(panel, count));
            new Span<float>(panel + count, width - count).Clear();
            panel += width;
        }
    }

    /// <summary>Rows 0..count of a matrix [..., depth] with rows <paramref name="stride"/> apart, as columns.</summary>
    public static void FromColumns(float* source, nint stride, int depth, int count, int width, float* panel)
    {
        int c = 0;
        if (HasTranspose)
        {
            for (; c <= count - 4; c += 4)
            {
                FourColumns(source + c * stride, stride, depth, width, panel + c);
            }
        }
        for (; c < count; c++)
        {
            float* row = source + c * stride;
            for (int k = 0; k < depth; k++)
            {
                panel[(nint)k * width + c] = row[k];
            }
        }
        if (count < width)
        {
            for (int k = 0; k < depth; k++)
            {
                new Span<float>(panel + (nint)k * width + count, width - count).Clear();
            }
        }
    }

    // Four rows, four values of each at a time, transposed in registers: a quarter of the stores, and none of a single float.
    private static void FourColumns(float* source, nint stride, int depth, int width, float* target)
    {
        int k = 0;
        for (; k <= depth - 4; k += 4)
        {
            Vector128<float> a = Vector128.Load(source + k);
            Vector128<float> b = Vector128.Load(source + stride + k);
            Vector128<float> c = Vector128.Load(source + 2 * stride + k);
            Vector128<float> d = Vector128.Load(source + 3 * stride + k);
            Vector128<float> acLow = Low(a, c);
            Vector128<float> bdLow = Low(b, d);
            Vector128<float> acHigh = High(a, c);
            Vector128<float> bdHigh = High(b, d);
            float* to = target + (nint)k * width;
            Low(acLow, bdLow).Store(to);
            High(acLow, bdLow).Store(to + width);
            Low(acHigh, bdHigh).Store(to + 2 * width);
            High(acHigh, bdHigh).Store(to + 3 * width);
        }
        for (; k < depth; k++)
        {
            for (int i = 0; i < 4; i++)
            {
                target[(nint)k * width + i] = source[i * stride + k];
            }
        }
    }

    // a0 b0 a1 b1, and a2 b2 a3 b3.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b)
        => Sse.IsSupported ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.ZipLow(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b)
        => Sse.IsSupported ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.ZipHigh(a, b);
}
