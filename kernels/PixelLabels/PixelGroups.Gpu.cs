using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record PixelGroups
{
    public override Step PrepareGpu(GpuBinding binding)
        => binding.Step<GpuPixelGroupsArguments>(GpuPixelGroups.Kernel, Index.Count, new GpuPixelGroupsArguments(this, binding));
}

internal readonly struct GpuPixelGroupsArguments(PixelGroups operation, GpuBinding binding)
{
    public readonly GpuFloats Maps = binding.Floats(operation.Maps);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly int Groups = operation.Maps.Rows;
    public readonly int GridHeight = operation.GridHeight;
    public readonly int GridWidth = operation.GridWidth;
    public readonly int Height = operation.Height;
    public readonly int Width = operation.Width;
}

/// <summary>One thread per pixel: it finds its four neighbours once, then walks over the groups.</summary>
/// <remarks>
/// Four loads and three mixes per group. The maps of 8 groups on 14 x 14 are 6 KB, in the first-level cache, and 16 neighbouring pixels
/// share their neighbours. The rows are mixed before the columns, as on the CPU.
/// </remarks>
internal static class GpuPixelGroups
{
    public static void Kernel(Index1D index, GpuPixelGroupsArguments args)
    {
        int column = index % args.Width;
        int rest = index / args.Width;
        int row = rest % args.Height;
        int batch = rest / args.Height;
        Bilinear.At(row, args.GridHeight, args.Height, out int top, out int bottom, out float ty);
        Bilinear.At(column, args.GridWidth, args.Width, out int left, out int right, out float tx);
        int upperLeft = args.Maps.Index(batch, 0, top * args.GridWidth + left);
        int upperRight = args.Maps.Index(batch, 0, top * args.GridWidth + right);
        int lowerLeft = args.Maps.Index(batch, 0, bottom * args.GridWidth + left);
        int lowerRight = args.Maps.Index(batch, 0, bottom * args.GridWidth + right);
        int best = 0;
        float most = float.NegativeInfinity;
        for (int g = 0; g < args.Groups; g++)
        {
            int map = g * args.Maps.RowStride;
            float first = (1f - ty) * args.Maps.Data[upperLeft + map] + ty * args.Maps.Data[lowerLeft + map];
            float second = (1f - ty) * args.Maps.Data[upperRight + map] + ty * args.Maps.Data[lowerRight + map];
            float value = (1f - tx) * first + tx * second;
            // Said twice: ILGPU's OpenCL turns the compiler's "unless less or unordered" into "unless less", which NaN passes.
            if (!GpuMath.IsNaN(value) && value > most)
            {
                best = g;
                most = value;
            }
        }
        args.Index.Set(batch, 0, row * args.Width + column, best);
    }
}
