using GroupViT.Kernels.Devices;
using ILGPU;

namespace GroupViT.Kernels;

internal sealed partial record GroupAssignGradient
{
    public override Step PrepareGpu(GpuBinding binding)
    {
        GpuGroupAssignGradientArguments arguments = new(this, binding);
        return GpuBinding.Sequence(
            binding.Step<GpuGroupAssignGradientArguments>(GpuGroupAssignGradient.Sum, Soft.Batch * Groups, arguments),
            binding.Step<GpuGroupAssignGradientArguments>(GpuGroupAssignGradient.Differentiate, Soft.Batch * Tokens, arguments));
    }
}

internal readonly struct GpuGroupAssignGradientArguments(GroupAssignGradient operation, GpuBinding binding)
{
    public readonly GpuFloats Soft = binding.Floats(operation.Soft);
    public readonly GpuInts Index = binding.Ints(operation.Index);
    public readonly GpuFloats Upstream = binding.Floats(operation.Upstream);
    public readonly GpuFloats Sums = binding.Floats(operation.Sums);
    public readonly GpuFloats Gradient = binding.Floats(operation.Gradient);
    public readonly int Groups = operation.Groups;
    public readonly int Tokens = operation.Tokens;
    public readonly float Epsilon = operation.Epsilon;
    public readonly float InverseTemperature = 1f / operation.Temperature;
}

/// <summary>One thread per group sums over its tokens, in ascending order and without atomics; then one thread per token walks down the groups twice.</summary>
internal static class GpuGroupAssignGradient
{
    public static void Sum(Index1D index, GpuGroupAssignGradientArguments args)
    {
        int group = index % args.Groups;
        int batch = index / args.Groups;
        float count = args.Epsilon;
        float sum = 0f;
        for (int token = 0; token < args.Tokens; token++)
        {
            if (IntrinsicMath.Clamp(args.Index.Get(batch, 0, token), 0, args.Groups - 1) == group)
            {
                count += 1f;
                sum += args.Upstream.Get(batch, group, token);
            }
        }
        args.Sums.Set(batch, group, 0, count);
        args.Sums.Set(batch, group, 1, sum / count);
    }

    public static void Differentiate(Index1D index, GpuGroupAssignGradientArguments args)
    {
        int token = index % args.Tokens;
        int batch = index / args.Tokens;
        float dot = 0f;
        for (int g = 0; g < args.Groups; g++)
        {
            dot = GpuIntrinsics.MultiplyAdd(args.Soft.Get(batch, g, token), Derivative(args, batch, g, token), dot);
        }
        for (int g = 0; g < args.Groups; g++)
        {
            float share = args.Soft.Get(batch, g, token) * args.InverseTemperature;
            args.Gradient.Set(batch, g, token, share * (Derivative(args, batch, g, token) - dot));
        }
    }

    private static float Derivative(in GpuGroupAssignGradientArguments args, int batch, int group, int token)
        => (args.Upstream.Get(batch, group, token) - args.Sums.Get(batch, group, 1)) / args.Sums.Get(batch, group, 0);
}
