using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record GroupAssign
{
    // Two launches where the shapes suit, and each half by itself: what does not suit one does not cost the other.
    public override Step PrepareGpu(GpuBinding binding) => GpuBinding.Sequence(
        SharedGroupAssign.Fits(this, binding.Device.Facts) ? SharedGroupAssign.Prepare(this, binding, binding.HasNarrowGroups) : GpuGroupAssign.PrepareChoice(this, binding),
        SharedGroupMean.Fits(this, binding.Device.Facts) ? SharedGroupMean.Prepare(this, binding, binding.HasNarrowGroups) : GpuGroupAssign.PrepareMeans(this, binding));
}

internal readonly struct GpuGroupAssignArguments(GroupAssign operation, GpuBinding binding)
{
    public readonly GpuFloats Values = binding.Floats(operation.V);
    public readonly GpuFloats Logits = binding.Floats(operation.Logits);
    public readonly GpuFloats Soft = binding.Floats(operation.Soft);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly GpuInts Forced = binding.IntsOrNone(operation.Forced is { } forced ? forced.View() : null);
    public readonly GpuFloats Y = binding.Floats(operation.Y);
    public readonly int HasForced = operation.Forced is null ? 0 : 1;
    public readonly int StraightThrough = operation.StraightThrough ? 1 : 0;
    public readonly int Groups = operation.Groups;
    public readonly int Tokens = operation.Tokens;
    public readonly int Columns = operation.V.Columns;
    public readonly float Epsilon = operation.Epsilon;
}

/// <summary>
/// The grouping without shared memory, for processors with vectors and for shapes that <see cref="SharedGroupAssign"/> and
/// <see cref="SharedGroupMean"/> do not suit: the product that makes the logits, one thread per token that chooses, one per value of Y that averages.
/// </summary>
/// <remarks>
/// <para>Choosing walks down the groups; neighbouring threads are neighbouring tokens, so every load and store is coalesced.</para>
/// <para>Averaging walks over the tokens in ascending order and adds those of its group; no atomics, so the order is fixed. Neighbouring
/// threads are columns of one group, so an index is one address for all of them, the branch goes one way, and the values are coalesced.
/// The 64 groups of 384 columns are 24,576 threads, each reading 196 indices; the values themselves are read once.</para>
/// </remarks>
internal static class GpuGroupAssign
{
    public static GpuStep PrepareChoice(GroupAssign operation, GpuBinding binding) => GpuBinding.Sequence(
        (GpuStep)operation.LogitsProduct.PrepareGpu(binding),
        binding.Step<GpuGroupAssignArguments>(Choose, operation.Q.Batch * operation.Tokens, new GpuGroupAssignArguments(operation, binding)));

    public static GpuStep PrepareMeans(GroupAssign operation, GpuBinding binding)
        => binding.Step<GpuGroupAssignArguments>(Average, operation.Q.Batch * operation.Groups * operation.V.Columns, new GpuGroupAssignArguments(operation, binding));

    public static void Choose(Index1D index, GpuGroupAssignArguments args)
    {
        int token = index % args.Tokens;
        int batch = index / args.Tokens;
        int best = 0;
        float most = args.Logits.Get(batch, 0, token);
        for (int g = 1; g < args.Groups; g++)
        {
            float value = args.Logits.Get(batch, g, token);
            if (GpuMath.IsAbove(value, most))
            {
                best = g;
                most = value;
            }
        }
        float sum = 0f;
        for (int g = 0; g < args.Groups; g++)
        {
            float e = GpuMath.Exp(args.Logits.Get(batch, g, token) - most);
            args.Soft.Set(batch, g, token, e);
            sum += e;
        }
        float inverse = 1f / sum;
        for (int g = 0; g < args.Groups; g++)
        {
            args.Soft.Set(batch, g, token, args.Soft.Get(batch, g, token) * inverse);
        }
        if (args.HasForced != 0)
        {
            best = IntrinsicMath.Clamp(args.Forced.Get(batch, 0, token), 0, args.Groups - 1);
        }
        args.Index.Set(batch, 0, token, best);
    }

    public static void Average(Index1D index, GpuGroupAssignArguments args)
    {
        int column = index % args.Columns;
        int rest = index / args.Columns;
        int group = rest % args.Groups;
        int batch = rest / args.Groups;
        float sum = 0f;
        float weights = 0f;
        for (int token = 0; token < args.Tokens; token++)
        {
            if (args.Index.Get(batch, 0, token) == group)
            {
                float weight = 1f;
                if (args.StraightThrough != 0)
                {
                    float soft = args.Soft.Get(batch, group, token);
                    weight = 1f - soft + soft;
                }
                weights += weight;
                sum = GpuIntrinsics.MultiplyAdd(args.Values.Get(batch, token, column), weight, sum);
            }
        }
        args.Y.Set(batch, group, column, sum * (1f / (weights + args.Epsilon)));
    }
}
