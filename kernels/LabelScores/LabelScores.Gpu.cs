using GroupViT.Kernels.Devices;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels;

internal sealed partial record LabelScores
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuLabelScoresArguments arguments = new(this, binding);
        if (Kind == LabelRules.Logits)
        {
            return GpuBinding.Sequence(
                binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Affinities, GroupCount * LabelCount, arguments),
                binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Finish, GroupCount, arguments));
        }
        return GpuBinding.Sequence(
            binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Affinities, (GroupCount + 1) * LabelCount, arguments),
            binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Keep, LabelCount, arguments),
            binding.HasNarrowGroups
                ? binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Probabilities<NarrowGroup>, GroupCount, NarrowGroup.Threads, arguments)
                : binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Probabilities<WideGroup>, GroupCount, WideGroup.Threads, arguments),
            binding.Step<GpuLabelScoresArguments>(GpuLabelScores.Finish, GroupCount, arguments));
    }
}

internal readonly struct GpuLabelScoresArguments(LabelScores operation, GpuBinding binding)
{
    public readonly GpuFloats Picture = binding.Floats(operation.Picture);
    public readonly GpuFloats Groups = binding.Floats(operation.Groups);
    public readonly GpuFloats Labels = binding.Floats(operation.Labels);
    public readonly GpuFloats Rules = binding.Floats(operation.Rules);
    public readonly GpuFloats Work = binding.Floats(operation.Work);
    public readonly GpuFloats Verdict = binding.Floats(operation.Verdict);
    public readonly GpuFloats Table = binding.Floats(operation.Table);
    public readonly int GroupCount = operation.GroupCount;
    public readonly int LabelCount = operation.LabelCount;
    public readonly int Width = operation.Width;
    public readonly int FirstLabel = operation.HasBackground ? 1 : 0;
    public readonly int IsLogits = operation.Kind == LabelRules.Logits ? 1 : 0;
    public readonly int IsMixed = operation.Kind == LabelRules.MixedBackground ? 1 : 0;
}

/// <summary>
/// The scores on the device, so that from a picture's pixels to its labels nothing comes back in between: 8 groups by 21 labels are 48,384
/// multiply-adds of 256 columns, nothing beside the network; what they cost is the launches, four.
/// </summary>
/// <remarks>
/// <para>Scores near 1 decide by digits that float32 has not, and a device need not have float64: products, sums and quotients are kept as two floats
/// (<see cref="TwoFloat"/>) until the score is rounded, once: where two groups are each sure of another label, an ulp would choose between them. Work's rows are the groups' affinities and, last but one, the picture's, high halves before low ones; the last row
/// marks the labels that are kept.</para>
/// <para>A label is kept if fewer than K come before it: N comparisons a thread, no order to establish among them. The largest affinity is
/// taken by its high half: any number near it would do, since it cancels in the softmax.</para>
/// </remarks>
internal static class GpuLabelScores
{
    public static void Affinities(Index1D index, GpuLabelScoresArguments args)
    {
        int row = index / args.LabelCount;
        int label = index - row * args.LabelCount;
        TwoFloat sum = default;
        int at = args.Labels.Index(0, label, 0);
        if (row < args.GroupCount)
        {
            int from = args.Groups.Index(0, row, 0);
            for (int k = 0; k < args.Width; k++)
            {
                sum = TwoFloat.MultiplyAdd(args.Groups.Data[from + k], args.Labels.Data[at + k], sum);
            }
        }
        else
        {
            int from = args.Picture.Index(0, 0, 0);
            for (int k = 0; k < args.Width; k++)
            {
                sum = TwoFloat.MultiplyAdd(args.Picture.Data[from + k], args.Labels.Data[at + k], sum);
            }
        }
        TwoFloat affinity = TwoFloat.Multiply(sum, args.Rules.Get(0, 0, 0), args.Rules.Get(0, 0, 1));
        args.Work.Set(0, row, label, affinity.High);
        args.Work.Set(0, row, args.LabelCount + label, affinity.Low);
        if (args.IsLogits != 0)
        {
            args.Table.Set(0, row, label, affinity.High);
        }
    }

    public static void Keep(Index1D index, GpuLabelScoresArguments args)
    {
        int own = args.Work.Index(0, args.GroupCount, 0);
        float high = args.Work.Data[own + index];
        float low = args.Work.Data[own + args.LabelCount + index];
        int before = 0;
        for (int c = 0; c < args.LabelCount; c++)
        {
            float otherHigh = args.Work.Data[own + c];
            float otherLow = args.Work.Data[own + args.LabelCount + c];
            bool larger = otherHigh > high || (otherHigh == high && (otherLow > low || (otherLow == low && c < index)));
            before += larger ? 1 : 0;
        }
        args.Work.Set(0, args.GroupCount + 1, args.LabelCount + index, 0f);
        args.Work.Set(0, args.GroupCount + 1, index, before < (int)args.Rules.Get(0, 0, 4) ? 1f : 0f);
    }

    public static void Probabilities<TGroup>(GpuLabelScoresArguments args)
        where TGroup : struct, IGroup
    {
        ArrayView<float> maxima = SharedMemory.Allocate<float>(TGroup.Threads);
        ArrayView<float> keptMaxima = SharedMemory.Allocate<float>(TGroup.Threads);
        ArrayView<TwoFloat> sums = SharedMemory.Allocate<TwoFloat>(TGroup.Threads);
        ArrayView<TwoFloat> keptSums = SharedMemory.Allocate<TwoFloat>(TGroup.Threads);
        ArrayView<float> largest = SharedMemory.Allocate<float>(TGroup.Threads);
        int group = Grid.IdxX;
        int row = args.Work.Index(0, group, 0);
        int kept = args.Work.Index(0, args.GroupCount + 1, 0);

        float max = float.NegativeInfinity;
        float keptMax = float.NegativeInfinity;
        for (int c = Group.IdxX; c < args.LabelCount; c += TGroup.Threads)
        {
            float value = args.Work.Data[row + c];
            max = value > max ? value : max;
            keptMax = value > keptMax && args.Work.Data[kept + c] != 0f ? value : keptMax;
        }
        max = RowGroup.Max<TGroup>(maxima, max);
        keptMax = RowGroup.Max<TGroup>(keptMaxima, keptMax);

        TwoFloat sum = default;
        TwoFloat keptSum = default;
        for (int c = Group.IdxX; c < args.LabelCount; c += TGroup.Threads)
        {
            float high = args.Work.Data[row + c];
            float low = args.Work.Data[row + args.LabelCount + c];
            sum = TwoFloat.Add(sum, GpuMath.Exp(high - max + low));
            if (args.Work.Data[kept + c] != 0f)
            {
                keptSum = TwoFloat.Add(keptSum, GpuMath.Exp(high - keptMax + low));
            }
        }
        sum = Sum<TGroup>(sums, sum);
        keptSum = Sum<TGroup>(keptSums, keptSum);

        float best = 0f;
        for (int c = Group.IdxX; c < args.LabelCount; c += TGroup.Threads)
        {
            float high = args.Work.Data[row + c];
            float low = args.Work.Data[row + args.LabelCount + c];
            float score = args.Work.Data[kept + c] == 0f ? 0f
                : TwoFloat.Product(TwoFloat.Divide(GpuMath.Exp(high - keptMax + low), keptSum), TwoFloat.Divide(GpuMath.Exp(high - max + low), sum));
            args.Table.Set(0, group, args.FirstLabel + c, score);
            best = score > best ? score : best;
        }
        best = RowGroup.Max<TGroup>(largest, best);
        if (Group.IdxX == 0)
        {
            args.Verdict.Set(0, 0, LabelScores.BestAt + group, best);
        }
    }

    public static void Finish(Index1D index, GpuLabelScoresArguments args)
    {
        float largest = 0f;
        bool finite = args.IsLogits != 0 || IsFinite(args.Work.Get(0, args.GroupCount, 0));
        for (int g = 0; g < args.GroupCount; g++)
        {
            finite = finite && IsFinite(args.Work.Get(0, g, 0));
            if (args.IsLogits == 0)
            {
                float value = args.Verdict.Get(0, 0, LabelScores.BestAt + g);
                largest = value > largest ? value : largest;
            }
        }
        if (args.FirstLabel != 0)
        {
            float threshold = args.Rules.Get(0, 0, 2);
            threshold = largest < threshold ? largest : threshold;
            float best = args.Verdict.Get(0, 0, LabelScores.BestAt + index);
            args.Table.Set(0, index, 0, args.IsMixed != 0 ? threshold : best < threshold ? 1f : 0f);
        }
        if (args.IsLogits != 0)
        {
            args.Verdict.Set(0, 0, LabelScores.BestAt + index, 0f);
        }
        if (index == 0)
        {
            args.Verdict.Set(0, 0, 0, largest);
            args.Verdict.Set(0, 0, 1, 0f);
            args.Verdict.Set(0, 0, LabelScores.FiniteAt, finite ? 1f : 0f);
        }
    }

    private static bool IsFinite(float value) => (Interop.FloatAsInt(value) & 0x7F800000u) != 0x7F800000u;

    private static TwoFloat Sum<TGroup>(ArrayView<TwoFloat> partials, TwoFloat mine)
        where TGroup : struct, IGroup
    {
        partials[Group.IdxX] = mine;
        GpuIntrinsics.Synchronize();
        TwoFloat sum = default;
        for (int i = 0; i < TGroup.Threads; i++)
        {
            sum = TwoFloat.Add(sum, partials[i]);
        }
        return sum;
    }
}
