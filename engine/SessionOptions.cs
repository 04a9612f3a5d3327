using GroupViT.Kernels;
using Microsoft.Extensions.Logging;

namespace GroupViT.Native;

/// <summary>The format of weights and products on the device. Sums, norms, softmax and assignment logits are float32 in each.</summary>
public enum Precision
{
    /// <summary>The reference mode.</summary>
    Float32,

    /// <summary>float32 weights, products of factors rounded to TensorFloat-32 (11 significant bits). CUDA devices of compute 8.0 and later.</summary>
    TensorFloat32,

    /// <summary>
    /// bfloat16 weights: half the memory for the layers' weights. Every device has it; CUDA devices of compute 8.0 and later round the
    /// products' other factors too, elsewhere products are float32.
    /// </summary>
    BFloat16,

    /// <summary>
    /// float16 weights: as <see cref="BFloat16"/>, with eight times its accuracy and a limit of 65,504. Every device but the cpu; CUDA devices
    /// of compute 7.5 and later round the products' other factors too.
    /// </summary>
    Float16,
}

internal static class PrecisionFormats
{
    public static WeightFormat WeightFormat(this Precision precision)
        => precision switch
        {
            Precision.Float32 => Kernels.WeightFormat.Float32,
            Precision.TensorFloat32 => Kernels.WeightFormat.TensorFloat32,
            Precision.BFloat16 => Kernels.WeightFormat.BFloat16,
            Precision.Float16 => Kernels.WeightFormat.Float16,
            _ => throw new ArgumentOutOfRangeException(nameof(precision), precision, "no such precision"),
        };
}

/// <summary>What a session is opened for. Its memory is sized from these maxima and allocated at once; nothing is allocated per run.</summary>
public sealed record SessionOptions
{
    /// <summary>
    /// <c>auto</c> (cuda:0 where present, else an OpenCL GPU, else cpu), or <c>cpu</c>, <c>cuda:N</c>, <c>opencl:N</c>, <c>simulator</c>.
    /// A device that is named and not there is an error.
    /// </summary>
    public string Device { get; init; } = "auto";

    /// <summary>Default <see cref="Precision.Float32"/>.</summary>
    public Precision Precision { get; init; } = Precision.Float32;

    /// <summary>
    /// The largest network input in pixels; an input fits if its patches are no more than those of this size, whichever way it lies.
    /// Default: the model's segmentation short side by twice as much.
    /// </summary>
    public (int Height, int Width)? MaxSize { get; init; }

    /// <summary>Pictures encoded at once by one worker. Default 1, at most 1024.</summary>
    public int MaxBatch { get; init; } = 1;

    /// <summary>Labels in one bank, at most. Default 1,024.</summary>
    public int MaxLabels { get; init; } = 1024;

    /// <summary>Calls that run at once, each with an arena of its own; more callers wait. Default 1, at most 64.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>Threads of the cpu device, over all workers; 0 for all of the machine's. Results do not depend on it.</summary>
    public int Threads { get; init; }

    /// <summary>
    /// The most bytes of device memory. Where it does not hold all weights, a GPU session streams them from host memory while it computes
    /// (<see cref="Session.StreamedWeights"/>); below <see cref="MemoryEstimate.LeastLimit"/>, opening, or on the cpu the first use of a
    /// part, fails with the number that would do.
    /// </summary>
    public long MemoryLimit { get; init; } = long.MaxValue;

    /// <summary>Whether encodings hold the group maps of every stage (<see cref="ImageEncoding.StageMaps"/>), not of the last alone; the arena grows by them. Mode Whole.</summary>
    public bool StageMaps { get; init; }

    /// <summary>
    /// On CUDA: a thread that waits for the device sleeps (default) instead of spinning, which answers some microseconds sooner and takes a
    /// processor meanwhile. OpenCL drivers wait as they like; the cpu's threads are at work themselves.
    /// </summary>
    public bool BlockingWait { get; init; } = true;

    /// <summary>
    /// The folder where GPU devices keep compiled kernels for later processes, or <c>off</c>. Default: the environment variable
    /// GROUPVIT_KERNEL_CACHE, which takes the same, else <c>groupvit-native/kernels</c> in the user's cache folder. It is made for the user
    /// alone, one that others may write to is not used, and a file that is damaged is made again.
    /// </summary>
    public string? KernelCache { get; init; }

    /// <summary>Where the session says what it does, once per thing; none by default.</summary>
    public ILogger? Logger { get; init; }

    internal void Validate()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(Device);
        In(nameof(MaxBatch), MaxBatch, 1, 1024);
        In(nameof(MaxLabels), MaxLabels, 1, 65535);
        In(nameof(Workers), Workers, 1, 64);
        In(nameof(Threads), Threads, 0, 1024);
        if (MaxSize is { } size)
        {
            In("MaxSize.Height", size.Height, 1, 16384);
            In("MaxSize.Width", size.Width, 1, 16384);
        }
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MemoryLimit);
    }

    private static void In(string option, int value, int least, int most)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(option, value, $"{option} must be in {least}..{most}");
        }
    }
}

/// <summary>Weights that are brought to the device while it computes, instead of staying there.</summary>
public enum StreamedWeights
{
    /// <summary>All stay.</summary>
    None,

    /// <summary>The text side's.</summary>
    Text,

    /// <summary>Those of both sides, but for the small ones.</summary>
    All,
}

/// <summary>The device memory that a session will ask for, in bytes.</summary>
/// <param name="ImageWeights">Packed weights of the image side that stay on the device.</param>
/// <param name="TextWeights">Packed weights of the text side; asked for when the first text is encoded.</param>
/// <param name="Arenas">Activations, inputs and outputs of all workers.</param>
/// <param name="Scratch">Working memory of the kernels, of all workers.</param>
public sealed record MemoryEstimate(long ImageWeights, long TextWeights, long Arenas, long Scratch)
{
    /// <summary>Windows through which weights are streamed, of all workers; 0 where all weights stay on the device.</summary>
    public long Windows { get; init; }

    /// <summary>The smallest <see cref="SessionOptions.MemoryLimit"/> that would do with these options, on a GPU by streaming weights.</summary>
    public long LeastLimit { get; init; }

    /// <summary>Everything, with the text side.</summary>
    public long Total => ImageWeights + TextWeights + Arenas + Scratch + Windows;

    /// <summary>What is asked for where labels come from a finished <see cref="LabelBank"/>.</summary>
    public long WithoutText => ImageWeights + Arenas + Scratch + Windows;
}
