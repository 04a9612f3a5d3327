using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace GroupViT.Bench.Peers.Torch;

/// <summary>Turns tokens into groups (spec A.5, A.6), as the authors' code does at inference.</summary>
internal sealed class TorchGroupingBlock
{
    private readonly TorchNorm normTokens;
    private readonly TorchNorm normX;
    private readonly TorchNorm normPostTokens;
    private readonly TorchNorm normNewX;
    private readonly TorchNorm norm2;
    private readonly TorchNorm normPost;
    private readonly TorchMlp mixer;
    private readonly TorchMlp preAssignMlp;
    private readonly TorchMlp channels;
    private readonly TorchLinear[] attention;
    private readonly TorchLinear[] assign;
    private readonly int heads;
    private readonly double assignEpsilon;

    public TorchGroupingBlock(TorchWeights weights, string name, int heads, double epsilon, double assignEpsilon)
    {
        (this.heads, this.assignEpsilon) = (heads, assignEpsilon);
        TorchMlp Mlp(string mlp) => new(weights.Linear($"{mlp}.fc1"), weights.Linear($"{mlp}.fc2"), x => nn.functional.gelu(x));
        normTokens = weights.Norm($"{name}.norm_tokens", epsilon);
        normX = weights.Norm($"{name}.norm_x", epsilon);
        normPostTokens = weights.Norm($"{name}.norm_post_tokens", epsilon);
        normNewX = weights.Norm($"{name}.norm_new_x", epsilon);
        norm2 = weights.Norm($"{name}.pre_assign_attn.norm2", epsilon);
        normPost = weights.Norm($"{name}.pre_assign_attn.norm_post", epsilon);
        mixer = Mlp($"{name}.mlp_inter");
        preAssignMlp = Mlp($"{name}.pre_assign_attn.mlp");
        channels = Mlp($"{name}.mlp_channels");
        attention = [.. ((string[])["q_proj", "k_proj", "v_proj", "out_proj"]).Select(part => weights.Linear($"{name}.pre_assign_attn.attn.{part}"))];
        assign = [.. ((string[])["q_proj", "k_proj", "v_proj", "proj"]).Select(part => weights.Linear($"{name}.assign.{part}"))];
    }

    /// <returns>The groups and the soft map.</returns>
    public (Tensor Groups, Tensor Soft) Of(Tensor x, Tensor g)
    {
        g = normTokens.Of(g);
        x = normX.Of(x);
        Tensor p = PreAssign(normPostTokens.Of(mixer.OfTokens(g)), x);

        Tensor logits = matmul(assign[0].Of(p), assign[1].Of(x).transpose(1, 2)) * (1 / Math.Sqrt(x.shape[2]));
        Tensor soft = nn.functional.softmax(logits, 1);
        Tensor hard = zeros_like(logits).scatter_(1, logits.argmax(1, keepdim: true), ones_like(logits));
        Tensor means = matmul(hard / (hard.sum(-1, keepdim: true) + assignEpsilon), assign[2].Of(x));
        Tensor z = p + assign[3].Of(means);
        return (z + channels.Of(normNewX.Of(z)), soft);
    }

    private Tensor PreAssign(Tensor p, Tensor x)
    {
        Tensor mixed = nn.functional.scaled_dot_product_attention(Split(attention[0].Of(p)), Split(attention[1].Of(x)), Split(attention[2].Of(x)));
        p = p + attention[3].Of(mixed.transpose(1, 2).reshape(p.shape));
        return normPost.Of(p + preAssignMlp.Of(norm2.Of(p)));
    }

    private Tensor Split(Tensor x) => x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2);
}
