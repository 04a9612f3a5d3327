using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Races;

/// <summary>An operation whose kernels are run under oclgrind.</summary>
/// <param name="Name">What is special about it.</param>
/// <param name="Make">Constants come from the harness.</param>
internal sealed record RaceCase(string Name, Func<OperationHarness, Operation> Make)
{
    /// <summary>Of the device that kernels are chosen for: few take the kernels for much work, many those for little.</summary>
    public int Multiprocessors { get; init; } = 1;

    public bool InPlace { get; init; }

    /// <summary>A CUDA device without matrix instructions and asynchronous copies, so that its kernels are chosen, driven as an OpenCL device.</summary>
    public DeviceFacts Facts => DeviceFacts.Cuda(60, Multiprocessors) with { Kind = DeviceKind.OpenCL };

    public override string ToString() => Name;
}

/// <summary>
/// A case or more for every kernel with shared memory. A multiply-add takes oclgrind some 20 µs: a shape is the smallest that takes a kernel
/// through all its loops and edges. Whether a kernel races does not depend on the numbers, so random ones do.
/// </summary>
internal static class RaceCases
{
    public static IEnumerable<RaceCase> All { get; } =
    [
        // Two rounds of 64 columns and a rest.
        new("LayerNorm", harness => new LayerNorm(Tensor.Float("x", 2, 2, 150), harness.Vector("gamma", 150), harness.Vector("beta", 150), Tensor.Float("y", 2, 2, 150), 1e-5f)),
        new("LayerNorm in place, with a residual", harness => new LayerNorm(Tensor.Float("x", 1, 2, 65), harness.Vector("gamma", 65), harness.Vector("beta", 65), Tensor.Float("y", 1, 2, 65), 1e-5f)
        {
            Residual = Tensor.Float("residual", 1, 2, 65),
        })
        { InPlace = true },
        new("Softmax", _ => new Softmax(Tensor.Float("x", 2, 2, 150), Tensor.Float("y", 2, 2, 150))),
        new("Softmax in place, fewer columns than threads", _ => new Softmax(Tensor.Float("x", 1, 2, 37), Tensor.Float("y", 1, 2, 37))) { InPlace = true },
        new("NormalizeRows", _ => new NormalizeRows(Tensor.Float("x", 2, 2, 150), Tensor.Float("y", 2, 2, 150), 1e-12f)),
        // Five steps of K: each of the three stages is filled again while others are read.
        new("SharedMatMul, every stage filled again", harness => Product(harness, 9, 12, 160)),
        new("SharedMatMul, two by two tiles of 64 x 64", harness => Product(harness, 65, 68, 32) with { Bias = harness.Vector("bias", 68), Activation = Activation.Gelu, Residual = Tensor.Float("residual", 1, 65, 68) }),
    ];

    private static MatMul Product(OperationHarness harness, int m, int n, int k)
        => new(Tensor.Float("a", 1, m, k), harness.Constant("b", n, k), Tensor.Float("y", 1, m, n)) { TransposeB = true };
}
