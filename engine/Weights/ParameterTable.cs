namespace GroupViT.Native.Weights;

/// <summary>
/// Every tensor of a model, derived from its configuration alone: the one place that knows names, shapes and the mapping between the
/// layouts (spec D). Reading, synthesis and conversion all go by it.
/// </summary>
internal sealed class ParameterTable
{
    private readonly List<ParameterInfo> _parameters = [];
    private readonly Dictionary<string, ParameterInfo> _byName = new(StringComparer.Ordinal);

    private ParameterTable()
    {
    }

    /// <summary>In the order of the computation: image encoder, text encoder, projection heads, temperature.</summary>
    public IReadOnlyList<ParameterInfo> Parameters => _parameters;

    /// <summary>Learned numbers per part.</summary>
    public ParameterCounts Counts => new(Count(ModelPart.ImageEncoder), Count(ModelPart.TextEncoder), Count(ModelPart.ImageProjector), Count(ModelPart.TextProjector), Count(ModelPart.LogitScale));

    /// <summary>Names of integer tensors that checkpoints carry and nothing reads: how many batches each batch norm saw.</summary>
    public static IReadOnlyList<string> BatchCounters(KeyLayout layout) => layout == KeyLayout.HuggingFace
        ? ["visual_projection.1.num_batches_tracked", "text_projection.1.num_batches_tracked"]
        : ["img_projector.linear_hidden.1.num_batches_tracked", "text_projector.linear_hidden.1.num_batches_tracked"];

    /// <summary>The temperature of the multi-label loss, in checkpoints that were trained with it; inference does not need it.</summary>
    public const string MultiLabelLogitScale = "multi_label_logit_scale";

    /// <summary>Whether a checkpoint may hold this tensor though no model needs it (spec J 36).</summary>
    public static bool IsIgnorable(string name)
        => name == MultiLabelLogitScale
        || name.EndsWith(".num_batches_tracked", StringComparison.Ordinal)
        || name.EndsWith(".position_ids", StringComparison.Ordinal);

    public ParameterInfo this[string name]
        => _byName.TryGetValue(name, out ParameterInfo? parameter) ? parameter : throw new ArgumentException($"this model has no parameter '{name}'", nameof(name));

    /// <exception cref="ModelFileException">The configuration is not one that can be built.</exception>
    public static ParameterTable For(GroupVitConfig config)
    {
        config.Validate("configuration");
        var table = new ParameterTable();
        table.AddImageEncoder(config.Vision);
        table.AddTextEncoder(config.Text);
        table.AddProjection(ModelPart.ImageProjector, "visual_projection", "img_projector", config.Vision.HiddenSize, config);
        table.AddProjection(ModelPart.TextProjector, "text_projection", "text_projector", config.Text.HiddenSize, config);
        table.Add(ModelPart.LogitScale, "logit_scale", "logit_scale", []);
        return table;
    }

    private void AddImageEncoder(VisionConfig vision)
    {
        int width = vision.HiddenSize;
        const ModelPart part = ModelPart.ImageEncoder;
        Add(part, "vision_model.embeddings.position_embeddings", "img_encoder.pos_embed", [1, vision.NumPatches, width]);
        Add(part, "vision_model.embeddings.patch_embeddings.projection.weight", "img_encoder.patch_embed.proj.weight", [width, vision.NumChannels, vision.PatchSize, vision.PatchSize]);
        Add(part, "vision_model.embeddings.patch_embeddings.projection.bias", "img_encoder.patch_embed.proj.bias", [width]);
        AddNorm(part, "vision_model.embeddings.layernorm", "img_encoder.patch_embed.norm", width);
        for (int stage = 0; stage < vision.StageCount; stage++)
        {
            AddStage(vision, stage, $"vision_model.encoder.stages.{stage}", $"img_encoder.layers.{stage}");
        }
        AddNorm(part, "vision_model.layernorm", "img_encoder.norm", width);
    }

    private void AddStage(VisionConfig vision, int stage, string name, string nvlabs)
    {
        int width = vision.HiddenSize;
        const ModelPart part = ModelPart.ImageEncoder;
        if (vision.Groups(stage))
        {
            Add(part, $"{name}.group_token", $"{nvlabs}.group_token", [1, vision.NumGroupTokens[stage], width]);
            if (stage > 0)
            {
                AddNorm(part, $"{name}.group_projector.0", $"{nvlabs}.group_projector.0", width);
                AddMlp(part, $"{name}.group_projector.1", $"{nvlabs}.group_projector.1", vision.NumGroupTokens[stage - 1], vision.GroupProjectorSize, vision.NumGroupTokens[stage]);
            }
        }
        for (int layer = 0; layer < vision.Depths[stage]; layer++)
        {
            string block = $"{name}.layers.{layer}", nvlabsBlock = $"{nvlabs}.blocks.{layer}";
            AddNorm(part, $"{block}.layer_norm1", $"{nvlabsBlock}.norm1", width);
            AddFused(part, $"{block}.self_attn", $"{nvlabsBlock}.attn.qkv.weight", $"{nvlabsBlock}.attn.qkv.bias", width);
            AddLinear(part, $"{block}.self_attn.out_proj", $"{nvlabsBlock}.attn.proj", width, width);
            AddNorm(part, $"{block}.layer_norm2", $"{nvlabsBlock}.norm2", width);
            AddMlp(part, $"{block}.mlp", $"{nvlabsBlock}.mlp", width, vision.IntermediateSize, width);
        }
        if (vision.Groups(stage))
        {
            AddGroupingBlock(vision, stage, $"{name}.downsample", $"{nvlabs}.downsample");
        }
    }

    private void AddGroupingBlock(VisionConfig vision, int stage, string name, string nvlabs)
    {
        int width = vision.HiddenSize;
        const ModelPart part = ModelPart.ImageEncoder;
        AddNorm(part, $"{name}.norm_tokens", $"{nvlabs}.norm_tokens", width);
        AddMlp(part, $"{name}.mlp_inter", $"{nvlabs}.mlp_inter", vision.NumGroupTokens[stage], vision.TokenMixerSize, vision.NumOutputGroups[stage]);
        AddNorm(part, $"{name}.norm_post_tokens", $"{nvlabs}.norm_post_tokens", width);
        AddNorm(part, $"{name}.norm_x", $"{nvlabs}.norm_x", width);
        foreach (string projection in new[] { "q_proj", "k_proj", "v_proj" })
        {
            AddLinear(part, $"{name}.pre_assign_attn.attn.{projection}", $"{nvlabs}.pre_assign_attn.attn.{projection}", width, width);
        }
        // The output projection is renamed here, but keeps its name in assign below (spec J 34).
        AddLinear(part, $"{name}.pre_assign_attn.attn.out_proj", $"{nvlabs}.pre_assign_attn.attn.proj", width, width);
        AddNorm(part, $"{name}.pre_assign_attn.norm2", $"{nvlabs}.pre_assign_attn.norm2", width);
        AddMlp(part, $"{name}.pre_assign_attn.mlp", $"{nvlabs}.pre_assign_attn.mlp", width, vision.IntermediateSize, width);
        AddNorm(part, $"{name}.pre_assign_attn.norm_post", $"{nvlabs}.pre_assign_attn.norm_post", width);
        foreach (string projection in new[] { "q_proj", "k_proj", "v_proj", "proj" })
        {
            AddLinear(part, $"{name}.assign.{projection}", $"{nvlabs}.assign.{projection}", width, width);
        }
        AddNorm(part, $"{name}.norm_new_x", $"{nvlabs}.norm_new_x", width);
        AddMlp(part, $"{name}.mlp_channels", $"{nvlabs}.mlp_channels", width, vision.ChannelMlpSize, width);
    }

    private void AddTextEncoder(TextConfig text)
    {
        int width = text.HiddenSize;
        const ModelPart part = ModelPart.TextEncoder;
        Add(part, "text_model.embeddings.token_embedding.weight", "text_encoder.token_embedding.weight", [text.VocabSize, width]);
        Add(part, "text_model.embeddings.position_embedding.weight", "text_encoder.positional_embedding", [text.MaxPositionEmbeddings, width]);
        for (int layer = 0; layer < text.NumHiddenLayers; layer++)
        {
            string block = $"text_model.encoder.layers.{layer}", nvlabs = $"text_encoder.transformer.resblocks.{layer}";
            AddNorm(part, $"{block}.layer_norm1", $"{nvlabs}.ln_1", width);
            AddFused(part, $"{block}.self_attn", $"{nvlabs}.attn.in_proj_weight", $"{nvlabs}.attn.in_proj_bias", width);
            AddLinear(part, $"{block}.self_attn.out_proj", $"{nvlabs}.attn.out_proj", width, width);
            AddNorm(part, $"{block}.layer_norm2", $"{nvlabs}.ln_2", width);
            AddLinear(part, $"{block}.mlp.fc1", $"{nvlabs}.mlp.c_fc", width, text.IntermediateSize);
            AddLinear(part, $"{block}.mlp.fc2", $"{nvlabs}.mlp.c_proj", text.IntermediateSize, width);
        }
        AddNorm(part, "text_model.final_layer_norm", "text_encoder.ln_final", width);
    }

    private void AddProjection(ModelPart part, string name, string nvlabs, int inputs, GroupVitConfig config)
    {
        int hidden = config.ProjectionIntermediateDim, outputs = config.ProjectionDim;
        AddPointwise(part, $"{name}.0", $"{nvlabs}.linear_hidden.0", inputs, hidden);
        AddNorm(part, $"{name}.1", $"{nvlabs}.linear_hidden.1", hidden);
        Add(part, $"{name}.1.running_mean", $"{nvlabs}.linear_hidden.1.running_mean", [hidden], isBuffer: true);
        Add(part, $"{name}.1.running_var", $"{nvlabs}.linear_hidden.1.running_var", [hidden], isBuffer: true);
        // Index 2 is the ReLU, which has no parameters.
        AddPointwise(part, $"{name}.3", $"{nvlabs}.linear_out", hidden, outputs);
    }

    private void AddMlp(ModelPart part, string name, string nvlabs, int inputs, int hidden, int outputs)
    {
        AddLinear(part, $"{name}.fc1", $"{nvlabs}.fc1", inputs, hidden);
        AddLinear(part, $"{name}.fc2", $"{nvlabs}.fc2", hidden, outputs);
    }

    private void AddLinear(ModelPart part, string name, string nvlabs, int inputs, int outputs)
    {
        Add(part, $"{name}.weight", $"{nvlabs}.weight", [outputs, inputs]);
        Add(part, $"{name}.bias", $"{nvlabs}.bias", [outputs]);
    }

    private void AddNorm(ModelPart part, string name, string nvlabs, int width)
    {
        Add(part, $"{name}.weight", $"{nvlabs}.weight", [width]);
        Add(part, $"{name}.bias", $"{nvlabs}.bias", [width]);
    }

    /// <summary>A linear layer that NVlabs writes as a convolution of width 1.</summary>
    private void AddPointwise(ModelPart part, string name, string nvlabs, int inputs, int outputs)
    {
        Add(new ParameterInfo(part, $"{name}.weight", [outputs, inputs], $"{nvlabs}.weight", [outputs, inputs, 1], 0, isBuffer: false));
        Add(part, $"{name}.bias", $"{nvlabs}.bias", [outputs]);
    }

    /// <summary>Query, key and value: apart here, one above the other in NVlabs' tensors.</summary>
    private void AddFused(ModelPart part, string name, string nvlabsWeight, string nvlabsBias, int width)
    {
        string[] projections = ["q_proj", "k_proj", "v_proj"];
        for (int i = 0; i < projections.Length; i++)
        {
            Add(new ParameterInfo(part, $"{name}.{projections[i]}.weight", [width, width], nvlabsWeight, [3 * width, width], i * width, isBuffer: false));
            Add(new ParameterInfo(part, $"{name}.{projections[i]}.bias", [width], nvlabsBias, [3 * width], i * width, isBuffer: false));
        }
    }

    private void Add(ModelPart part, string name, string nvlabs, int[] shape, bool isBuffer = false)
        => Add(new ParameterInfo(part, name, shape, nvlabs, shape, 0, isBuffer));

    private void Add(ParameterInfo parameter)
    {
        _byName.Add(parameter.Name, parameter);
        _parameters.Add(parameter);
    }

    private long Count(ModelPart part) => _parameters.Where(p => p.Part == part && !p.IsBuffer).Sum(p => (long)p.ElementCount);
}
