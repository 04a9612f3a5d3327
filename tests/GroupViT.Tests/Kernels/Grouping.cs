using GroupViT.Kernels;

namespace GroupViT.Tests.Kernels;

/// <summary>The tensors of one grouping and the operation on them, with the specification's epsilon.</summary>
internal sealed class Grouping(int batch, int groups, int tokens, int width, int columns)
{
    public Tensor Q { get; } = Tensor.Float("q", batch, groups, width);

    public Tensor K { get; } = Tensor.Float("k", batch, tokens, width);

    public Tensor V { get; } = Tensor.Float("v", batch, tokens, columns);

    public Tensor V2 { get; } = Tensor.Float("v2", batch, tokens, columns);

    public Tensor Logits { get; } = Tensor.Float("logits", batch, groups, tokens);

    public Tensor Soft { get; } = Tensor.Float("soft", batch, groups, tokens);

    public Tensor Index { get; } = Tensor.Int("index", batch, 1, tokens);

    public Tensor Y { get; } = Tensor.Float("y", batch, groups, columns);

    public GroupAssign Operation => new(Q, K, V, Logits, Soft, Index, Y, 1 / MathF.Sqrt(width), 1);
}
