using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>The projection head of either tower (spec B.4): Linear, batch norm (folded in), ReLU, Linear; row by row.</summary>
internal sealed class Projection(Layers layers, string name)
{
    public TensorView Describe(TensorView x)                                                        // [B, N, C]
    {
        ModelWeights weights = layers.Weights;
        TensorView h = layers.Linear($"{name} hidden", x, weights.FoldedWeight($"{name}.0", $"{name}.1"), weights.FoldedBias($"{name}.0", $"{name}.1"), Activation.Relu);
        return layers.Linear($"{name}.3", h);                                                       // [B, N, projection]
    }
}
