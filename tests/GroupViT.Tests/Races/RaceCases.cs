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
        // Two rounds of 32 quads and a rest.
        new("LayerNorm by quads", harness => new LayerNorm(Tensor.Float("x", 1, 2, 268), harness.Vector("gamma", 268), harness.Vector("beta", 268), Tensor.Float("y", 1, 2, 268), 1e-5f)),
        new("Softmax", _ => new Softmax(Tensor.Float("x", 2, 2, 150), Tensor.Float("y", 2, 2, 150))),
        new("Softmax in place, fewer columns than threads", _ => new Softmax(Tensor.Float("x", 1, 2, 37), Tensor.Float("y", 1, 2, 37))) { InPlace = true },
        new("NormalizeRows", _ => new NormalizeRows(Tensor.Float("x", 2, 2, 150), Tensor.Float("y", 2, 2, 150), 1e-12f)),
        // Six steps of a part of K: each of the two stages is filled again, from registers, while the other is read.
        new("SharedMatMul, deep, every stage filled again", harness => Product(harness, 9, 12, 384)) { Multiprocessors = 132 },
        new("SharedMatMul, wide, with all that follows a sum", harness => Product(harness, 9, 12, 128) with { Bias = harness.Vector("bias", 12), Activation = Activation.Gelu, Residual = Tensor.Float("residual", 1, 9, 12) })
        { Multiprocessors = 0 },
        // Three blocks of keys: the last of four parts has none, and the last query tile is not full.
        new("SplitAttention, heads of 16", _ => Attention(16, 35, 70)),
        new("SplitAttention, heads of 32", _ => Attention(32, 33, 40)),
        new("SplitAttention, heads of 64", _ => Attention(64, 3, 40)),
        // Two tiles of tokens, the second with one; more steps of K than there are buffers.
        new("SharedGroupAssign, up to 8 groups", _ => new Grouping(1, 5, 9, 260, 132).Operation),
        new("SharedGroupAssign, up to 64 groups", _ => new Grouping(1, 20, 9, 132, 8).Operation with { StraightThrough = true }),
        new("LabelScores", harness => Scores(harness, 3, 70, 4)),
    ];

    private static MatMul Product(OperationHarness harness, int m, int n, int k)
        => new(Tensor.Float("a", 1, m, k), harness.Constant("b", n, k), Tensor.Float("y", 1, m, n)) { TransposeB = true };

    private static Attention Attention(int size, int queries, int keys)
        => new(Tensor.Float("q", 1, queries, size), Tensor.Float("k", 1, keys, size), Tensor.Float("v", 1, keys, size), Tensor.Float("y", 1, queries, size), 1, 0.25f);

    private static LabelScores Scores(OperationHarness harness, int groups, int labels, int width)
    {
        Tensor rules = Tensor.Float("rules", 1, 1, LabelScores.RuleCount);
        harness.With(rules, 10f, 0f, 0.5f, 0f, 5f);
        return new LabelScores(
            Tensor.Float("picture", 1, 1, width), Tensor.Float("groups", 1, groups, width), Tensor.Float("labels", 1, labels, width), rules,
            Tensor.Float("work", 1, groups + 2, 2 * labels), Tensor.Float("verdict", 1, 1, LabelScores.BestAt + groups), Tensor.Float("table", 1, groups, labels + 1), LabelRules.Background);
    }
}
