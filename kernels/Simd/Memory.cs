using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace GroupViT.Kernels.Simd;

/// <summary>Hints to the caches.</summary>
internal static unsafe class Memory
{
    private const int Line = 64;

    /// <summary>Brings a few floats of each of some rows towards the first-level cache, where the processor has an instruction for it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PrefetchRows(float* first, nint stride, int rows, int floats)
    {
        if (Sse.IsSupported)
        {
            for (int r = 0; r < rows; r++)
            {
                for (int i = 0; i < floats; i += Line / sizeof(float))
                {
                    Sse.Prefetch0(first + r * stride + i);
                }
            }
        }
    }
}
