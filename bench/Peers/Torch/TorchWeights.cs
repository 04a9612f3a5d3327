using GroupViT.Native.Weights;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace GroupViT.Bench.Peers.Torch;

/// <summary>The checkpoint's weights as libtorch tensors, read through our own reader.</summary>
internal sealed class TorchWeights(Network network)
{
    /// <summary>A parameter in its own shape.</summary>
    public Tensor this[string name]
    {
        get
        {
            ParameterInfo parameter = network.Checkpoint.Parameter(name);
            float[] values = new float[parameter.ElementCount];
            network.Checkpoint.Read(name, values);
            return tensor(values, [.. parameter.Shape.ToArray().Select(side => (long)side)]);
        }
    }

    public TorchLinear Linear(string name) => new(this[$"{name}.weight"], this[$"{name}.bias"]);

    /// <summary>Several linear layers of one input as one, as the authors' code has q, k and v.</summary>
    public TorchLinear Linears(params string[] names)
        => new(cat([.. names.Select(name => this[$"{name}.weight"])], 0), cat([.. names.Select(name => this[$"{name}.bias"])], 0));

    public TorchNorm Norm(string name, double epsilon) => new(this[$"{name}.weight"], this[$"{name}.bias"], epsilon);

    /// <summary>The position table of a grid, resampled where the grid is not the one it was learned on: [1, L, C].</summary>
    public Tensor Positions(int height, int width) => Constant(network.Weights.Positions(height, width)).unsqueeze(0);

    /// <summary>A projection head with its batch norm folded in.</summary>
    public TorchHead Head(string name)
        => new(
            new TorchLinear(Constant(network.Weights.FoldedWeight($"{name}.0", $"{name}.1")), Constant(network.Weights.FoldedBias($"{name}.0", $"{name}.1")).squeeze(0)),
            Linear($"{name}.3"));

    private static Tensor Constant(GroupViT.Kernels.Tensor constant)
    {
        float[] values = new float[constant.Count];
        constant.Reader!(values);
        return tensor(values, [constant.Rows, constant.Columns]);
    }
}

internal sealed record TorchLinear(Tensor Weight, Tensor Bias)
{
    public Tensor Of(Tensor x) => nn.functional.linear(x, Weight, Bias);
}

internal sealed record TorchNorm(Tensor Weight, Tensor Bias, double Epsilon)
{
    private readonly long[] shape = [Weight.shape[0]];

    public Tensor Of(Tensor x) => nn.functional.layer_norm(x, shape, Weight, Bias, Epsilon);
}

/// <summary>Linear, ReLU, linear (spec B.4).</summary>
internal sealed record TorchHead(TorchLinear First, TorchLinear Second)
{
    public Tensor Of(Tensor x) => Second.Of(nn.functional.relu(First.Of(x)));
}

/// <summary>The MLP of a block; on transposed input, a token mixer.</summary>
internal sealed record TorchMlp(TorchLinear First, TorchLinear Second, Func<Tensor, Tensor> Activation)
{
    public Tensor Of(Tensor x) => Second.Of(Activation(First.Of(x)));

    public Tensor OfTokens(Tensor x) => Of(x.transpose(1, 2)).transpose(1, 2);
}

/// <summary>Pre-norm transformer block with one product for q, k and v, and libtorch's own attention (spec A.4, B.1).</summary>
internal sealed record TorchBlock(TorchNorm Norm1, TorchLinear Qkv, TorchLinear Out, TorchNorm Norm2, TorchMlp Mlp, int Heads, bool Causal)
{
    public Tensor Of(Tensor x)
    {
        (long batch, long rows, long columns) = (x.shape[0], x.shape[1], x.shape[2]);
        Tensor qkv = Qkv.Of(Norm1.Of(x)).view(batch, rows, 3, Heads, columns / Heads).permute(2, 0, 3, 1, 4);
        Tensor mixed = nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_casual: Causal);
        x = x + Out.Of(mixed.transpose(1, 2).reshape(batch, rows, columns));
        return x + Mlp.Of(Norm2.Of(x));
    }
}
