using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>Each patch's share in each group of a stage: the soft assignments of the stages up to it, composed (spec F.1 step 1). Immutable.</summary>
public sealed class GroupMap
{
    private readonly float[] shares;
    private readonly (int Width, int Height) input;

    internal GroupMap(int groups, (int Width, int Height) grid, (int Width, int Height) input, float[] shares)
    {
        (Groups, GridWidth, GridHeight) = (groups, grid.Width, grid.Height);
        (this.input, this.shares) = (input, shares);
    }

    /// <summary>How many groups the stage has.</summary>
    public int Groups { get; }

    /// <summary>Patches in a row.</summary>
    public int GridWidth { get; }

    /// <summary>Rows of patches.</summary>
    public int GridHeight { get; }

    /// <summary>[groups, grid height, grid width]; the shares of a patch sum to 1.</summary>
    public ReadOnlyMemory<float> Shares => shares;

    /// <summary>
    /// The group of each pixel of a picture, row by row: the map is resampled bilinearly to the network's input, then to the picture, and the
    /// largest share wins, the first of equals (spec F.3).
    /// </summary>
    /// <param name="width">Pixels in a row.</param>
    /// <param name="height">Rows.</param>
    public ushort[] AssignPixels(int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        (int First, float[] Weights)[] rows = Taps(GridHeight, input.Height, height);
        (int First, float[] Weights)[] columns = Taps(GridWidth, input.Width, width);
        ushort[] groups = new ushort[checked(width * height)];
        float[] mixed = new float[Groups * GridWidth];
        for (int y = 0; y < height; y++)
        {
            Array.Clear(mixed);
            for (int t = 0; t < rows[y].Weights.Length; t++)
            {
                float weight = rows[y].Weights[t];
                for (int g = 0; g < Groups; g++)
                {
                    ReadOnlySpan<float> source = shares.AsSpan((g * GridHeight + rows[y].First + t) * GridWidth, GridWidth);
                    Span<float> target = mixed.AsSpan(g * GridWidth, GridWidth);
                    for (int c = 0; c < source.Length; c++)
                    {
                        target[c] += weight * source[c];
                    }
                }
            }
            for (int x = 0; x < width; x++)
            {
                (int first, float[] weights) = columns[x];
                int best = 0;
                float most = float.NegativeInfinity;
                for (int g = 0; g < Groups; g++)
                {
                    float share = 0;
                    for (int t = 0; t < weights.Length; t++)
                    {
                        share += weights[t] * mixed[g * GridWidth + first + t];
                    }
                    if (share > most)
                    {
                        (best, most) = (g, share);
                    }
                }
                groups[y * width + x] = (ushort)best;
            }
        }
        return groups;
    }

    // Both resamplings of an axis as one: at most four neighbouring cells.
    private static (int First, float[] Weights)[] Taps(int grid, int input, int output)
    {
        (int, float[])[] taps = new (int, float[])[output];
        for (int i = 0; i < output; i++)
        {
            Bilinear.At(i, input, output, out int low, out int high, out float toHigh);
            Bilinear.At(low, grid, input, out int a, out int b, out float toB);
            Bilinear.At(high, grid, input, out int c, out int d, out float toD);
            float[] weights = new float[Math.Max(b, d) - a + 1];
            weights[0] += (1 - toHigh) * (1 - toB);
            weights[b - a] += (1 - toHigh) * toB;
            weights[c - a] += toHigh * (1 - toD);
            weights[d - a] += toHigh * toD;
            taps[i] = (a, weights);
        }
        return taps;
    }
}
