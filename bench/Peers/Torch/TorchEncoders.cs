using GroupViT.Native;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace GroupViT.Bench.Peers.Torch;

/// <summary>The image tower (spec A, B.4) in eager calls.</summary>
internal sealed class TorchImageEncoder
{
    private sealed record Stage(Tensor? GroupToken, TorchNorm? ProjectorNorm, TorchMlp? Projector, TorchBlock[] Blocks, TorchGroupingBlock? Grouping);

    private readonly VisionConfig vision;
    private readonly Tensor patchWeight;
    private readonly Tensor patchBias;
    private readonly TorchNorm patchNorm;
    private readonly Tensor positions;
    private readonly Stage[] stages;
    private readonly TorchNorm norm;
    private readonly TorchHead head;

    public TorchImageEncoder(Network network, int height, int width)
    {
        vision = network.Config.Vision;
        TorchWeights weights = new(network);
        const string embeddings = "vision_model.embeddings";
        patchWeight = weights[$"{embeddings}.patch_embeddings.projection.weight"];
        patchBias = weights[$"{embeddings}.patch_embeddings.projection.bias"];
        patchNorm = weights.Norm($"{embeddings}.layernorm", vision.LayerNormEps);
        positions = weights.Positions(height / vision.PatchSize, width / vision.PatchSize);
        stages = [.. Enumerable.Range(0, vision.StageCount).Select(stage => Load(weights, stage))];
        norm = weights.Norm("vision_model.layernorm", vision.LayerNormEps);
        head = weights.Head("visual_projection");
    }

    /// <returns>Unit embedding, the groups' unit embeddings, composed soft maps.</returns>
    public (Tensor Embedding, Tensor GroupEmbeddings, Tensor Maps) Of(Tensor pixels)
    {
        long batch = pixels.shape[0];
        long[] stride = [vision.PatchSize, vision.PatchSize];
        Tensor x = nn.functional.conv2d(pixels, patchWeight, patchBias, stride).flatten(2).transpose(1, 2);
        x = patchNorm.Of(x) + positions;
        Tensor? group = null;
        Tensor? maps = null;
        foreach (Stage stage in stages)
        {
            if (stage.GroupToken is { } learned)
            {
                Tensor g = learned.expand(batch, -1, -1);
                g = group is null ? g : g + stage.Projector!.OfTokens(stage.ProjectorNorm!.Of(group));
                x = cat([x, g], 1);
            }
            foreach (TorchBlock block in stage.Blocks)
            {
                x = block.Of(x);
            }
            if (stage.Grouping is { } grouping)
            {
                long tokens = x.shape[1] - stage.GroupToken!.shape[1];
                group = x.narrow(1, tokens, stage.GroupToken.shape[1]);
                (x, Tensor soft) = grouping.Of(x.narrow(1, 0, tokens), group);
                maps = maps is null ? soft : matmul(soft, maps);
            }
        }
        x = norm.Of(x);
        return (Unit(head.Of(x.mean([1], keepdim: true))), Unit(head.Of(x)), maps!);
    }

    private static Tensor Unit(Tensor x) => nn.functional.normalize(x, dim: -1, eps: 1e-12);

    private Stage Load(TorchWeights weights, int stage)
    {
        string name = $"vision_model.encoder.stages.{stage}";
        static Tensor Gelu(Tensor x) => nn.functional.gelu(x);
        TorchMlp Mlp(string mlp) => new(weights.Linear($"{mlp}.fc1"), weights.Linear($"{mlp}.fc2"), Gelu);
        TorchBlock[] blocks = [.. Enumerable.Range(0, vision.Depths[stage]).Select(i => $"{name}.layers.{i}").Select(block => new TorchBlock(
            weights.Norm($"{block}.layer_norm1", vision.LayerNormEps),
            weights.Linears($"{block}.self_attn.q_proj", $"{block}.self_attn.k_proj", $"{block}.self_attn.v_proj"),
            weights.Linear($"{block}.self_attn.out_proj"),
            weights.Norm($"{block}.layer_norm2", vision.LayerNormEps),
            Mlp($"{block}.mlp"), vision.NumAttentionHeads, Causal: false))];
        if (!vision.Groups(stage))
        {
            return new Stage(null, null, null, blocks, null);
        }
        return new Stage(
            weights[$"{name}.group_token"],
            stage == 0 ? null : weights.Norm($"{name}.group_projector.0", vision.LayerNormEps),
            stage == 0 ? null : Mlp($"{name}.group_projector.1"),
            blocks,
            new TorchGroupingBlock(weights, $"{name}.downsample", vision.NumAttentionHeads, vision.LayerNormEps, vision.AssignEps));
    }
}

/// <summary>The text tower (spec B) in eager calls.</summary>
internal sealed class TorchTextEncoder
{
    private readonly Tensor table;
    private readonly Tensor positions;
    private readonly TorchBlock[] blocks;
    private readonly TorchNorm norm;
    private readonly TorchHead head;

    public TorchTextEncoder(Network network, int length)
    {
        TextConfig text = network.Config.Text;
        TorchWeights weights = new(network);
        static Tensor QuickGelu(Tensor x) => x * sigmoid(1.702 * x);
        table = weights["text_model.embeddings.token_embedding.weight"];
        positions = weights["text_model.embeddings.position_embedding.weight"].narrow(0, 0, length);
        blocks = [.. Enumerable.Range(0, text.NumHiddenLayers).Select(i => $"text_model.encoder.layers.{i}").Select(block => new TorchBlock(
            weights.Norm($"{block}.layer_norm1", text.LayerNormEps),
            weights.Linears($"{block}.self_attn.q_proj", $"{block}.self_attn.k_proj", $"{block}.self_attn.v_proj"),
            weights.Linear($"{block}.self_attn.out_proj"),
            weights.Norm($"{block}.layer_norm2", text.LayerNormEps),
            new TorchMlp(weights.Linear($"{block}.mlp.fc1"), weights.Linear($"{block}.mlp.fc2"), QuickGelu), text.NumAttentionHeads, Causal: true))];
        norm = weights.Norm("text_model.final_layer_norm", text.LayerNormEps);
        head = weights.Head("text_projection");
    }

    /// <param name="ids">[B, T] int64; the last of each text is its end token.</param>
    public Tensor Of(Tensor ids)
    {
        Tensor x = table.index_select(0, ids.flatten()).view(ids.shape[0], ids.shape[1], -1) + positions;
        foreach (TorchBlock block in blocks)
        {
            x = block.Of(x);
        }
        return head.Of(norm.Of(x).select(1, x.shape[1] - 1));
    }
}
