namespace GroupViT.Kernels.Simd;

/// <summary>Packs part of a matrix as a panel [depth][width], zero beyond the columns that exist.</summary>
internal static unsafe class PanelPacking
{
    /// <summary>Columns 0..count of a matrix [depth, ...] with rows <paramref name="stride"/> apart.</summary>
    public static void FromRows(float* source, nint stride, int depth, int count, int width, float* panel)
    {
        for (int k = 0; k < depth; k++)
        {
            float* row = source + k * stride;
            int c = 0;
            for (; c < count; c++)
            {
                panel[c] = row[c];
            }
            for (; c < width; c++)
            {
                panel[c] = 0;
            }
            panel += width;
        }
    }

    /// <summary>Rows 0..count of a matrix [..., depth] with rows <paramref name="stride"/> apart, as columns.</summary>
    public static void FromColumns(float* source, nint stride, int depth, int count, int width, float* panel)
    {
        for (int c = 0; c < count; c++)
        {
            float* row = source + c * stride;
            for (int k = 0; k < depth; k++)
            {
                panel[(nint)k * width + c] = row[k];
            }
        }
        for (int c = count; c < width; c++)
        {
            for (int k = 0; k < depth; k++)
            {
                panel[(nint)k * width + c] = 0;
            }
        }
    }
}
