using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record LabelSums
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuLabelSumsArguments arguments = new(this, binding);
        return GpuBinding.Sequence(
            binding.Step<GpuLabelSumsArguments>(GpuLabelSums.Clear, Sums.Count, arguments),
            binding.Step<GpuLabelSumsArguments>(GpuLabelSums.Add, (Capacity + GpuLabelSums.Run - 1) / GpuLabelSums.Run, arguments));
    }
}

internal readonly struct GpuLabelSumsArguments(LabelSums operation, GpuBinding binding)
{
    public readonly GpuLabels Labels = binding.Labels(operation.Labels);
    public readonly GpuFloats Scores = binding.Floats(operation.Scores);
    public readonly GpuInts Geometry = binding.Ints(operation.Geometry);
    public readonly GpuInts Sums = binding.Ints(operation.Sums);
    public readonly int Capacity = operation.Capacity;
}

/// <summary>A thread walks over a run of neighbouring pixels. Where the label changes, and at the end, it adds what it has to the label's sums.</summary>
/// <remarks>
/// Labels come in runs longer than a thread's, so a thread adds once or twice four numbers: 200,704 pixels of 448 x 448 are 3,136 threads, whose 25,000 additions meet in a
/// few places of the second-level cache, where integers are added without a reply. A thread a pixel would make thirty times as many. No barrier, no shared memory: neither the
/// number of labels nor the device's kind matters. It reads 6 bytes a pixel, just written; what it saves is 4 of them on their way to the host.
/// </remarks>
internal static class GpuLabelSums
{
    /// <summary>Pixels of a thread.</summary>
    public const int Run = 64;

    public static void Clear(Index1D index, GpuLabelSumsArguments args) => args.Sums.Data[index] = 0;

    public static void Add(Index1D index, GpuLabelSumsArguments args)
    {
        int pixels = IntrinsicMath.Min(args.Capacity, args.Geometry.Get(0, 0, 3) * args.Geometry.Get(0, 0, 1));
        int first = index * Run;
        int end = IntrinsicMath.Min(first + Run, pixels);
        if (first >= end)
        {
            return;
        }
        int label = args.Labels.Data[first];
        int count = 0;
        int low = 0;
        int middle = 0;
        int high = 0;
        for (int i = first; i < end; i++)
        {
            int next = args.Labels.Data[i];
            if (next != label)
            {
                Add(args, label, count, low, middle, high);
                label = next;
                count = 0;
                low = 0;
                middle = 0;
                high = 0;
            }
            uint units = LabelSums.InUnits(args.Scores.Data[i]);
            count++;
            low += LabelSums.Low(units);
            middle += LabelSums.Middle(units);
            high += LabelSums.High(units);
        }
        Add(args, label, count, low, middle, high);
    }

    private static void Add(in GpuLabelSumsArguments args, int label, int count, int low, int middle, int high)
    {
        int at = label * LabelSums.Parts;
        Atomic.Add(ref args.Sums.Data[at], count);
        Atomic.Add(ref args.Sums.Data[at + 1], low);
        Atomic.Add(ref args.Sums.Data[at + 2], middle);
        Atomic.Add(ref args.Sums.Data[at + 3], high);
    }
}
