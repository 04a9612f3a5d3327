using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <content>What sizes are allowed, and how the fields must fit together.</content>
public sealed partial record GroupVitConfig
{
    /// <summary>
    /// Checks every field against its range and the fields against each other.
    /// </summary>
    /// <param name="file">What messages call the configuration.</param>
    /// <param name="layout">Adds the rules of that key layout; null: only what holds in both.</param>
    /// <exception cref="ModelFileException">Names the field, its value and what would be right.</exception>
    internal void Validate(string file, KeyLayout? layout = null)
    {
        ConfigCheck check = new(file, "");
        check.In("projection_dim", ProjectionDim, 1, ConfigLimits.Width);
        check.In("projection_intermediate_dim", ProjectionIntermediateDim, 1, ConfigLimits.HiddenWidth);
        Validate(Text, new(file, "text_config."));
        Validate(Vision, new(file, "vision_config."), layout);
    }

    private static void Validate(TextConfig text, ConfigCheck check)
    {
        check.In("vocab_size", text.VocabSize, 1, ConfigLimits.Vocabulary);
        check.In("hidden_size", text.HiddenSize, 1, ConfigLimits.Width);
        check.In("intermediate_size", text.IntermediateSize, 1, ConfigLimits.HiddenWidth);
        check.In("num_hidden_layers", text.NumHiddenLayers, 1, ConfigLimits.Layers);
        check.In("num_attention_heads", text.NumAttentionHeads, 1, ConfigLimits.Heads);
        check.In("max_position_embeddings", text.MaxPositionEmbeddings, 2, ConfigLimits.Context);
        check.In("layer_norm_eps", text.LayerNormEps, 1e-12, 0.1);
        check.In("eos_token_id", text.EosTokenId, 0, text.VocabSize - 1);
        check.Known("hidden_act", text.HiddenAct);
        check.Divides("hidden_size", text.HiddenSize, "num_attention_heads", text.NumAttentionHeads);
        check.Holds("vocab_size", "hidden_size", text.VocabSize, text.HiddenSize);
    }

    private static void Validate(VisionConfig vision, ConfigCheck check, KeyLayout? layout)
    {
        check.In("hidden_size", vision.HiddenSize, 2, ConfigLimits.Width);
        check.In("intermediate_size", vision.IntermediateSize, 1, ConfigLimits.HiddenWidth);
        check.In("num_attention_heads", vision.NumAttentionHeads, 1, ConfigLimits.Heads);
        check.In("patch_size", vision.PatchSize, 1, ConfigLimits.PatchSide);
        check.In("image_size", vision.ImageSize, 1, ConfigLimits.ImageSide);
        check.In("num_channels", vision.NumChannels, 3, 3);
        check.In("layer_norm_eps", vision.LayerNormEps, 1e-12, 0.1);
        check.In("assign_eps", vision.AssignEps, 1e-6, 1e6);
        check.Known("hidden_act", vision.HiddenAct);
        check.Divides("hidden_size", vision.HiddenSize, "num_attention_heads", vision.NumAttentionHeads);
        check.Divides("image_size", vision.ImageSize, "patch_size", vision.PatchSize);
        check.Holds("(image_size / patch_size)^2", "hidden_size", (long)vision.PatchesPerSide * vision.PatchesPerSide, vision.HiddenSize);
        check.In("assign_mlp_ratio[0]", vision.AssignMlpRatio.Tokens, 1.0 / vision.HiddenSize, 64);
        check.In("assign_mlp_ratio[1]", vision.AssignMlpRatio.Channels, 1.0 / vision.HiddenSize, 64);
        check.In("assign_mlp_ratio[0] x hidden_size", vision.TokenMixerSize, 1, ConfigLimits.HiddenWidth);
        check.In("assign_mlp_ratio[1] x hidden_size", vision.ChannelMlpSize, 1, ConfigLimits.HiddenWidth);
        ValidateStages(vision, check, layout);
    }

    private static void ValidateStages(VisionConfig vision, ConfigCheck check, KeyLayout? layout)
    {
        int stages = vision.Depths.Count;
        check.In("depths (entries)", stages, 2, ConfigLimits.Stages);
        check.SameLength("num_group_tokens", vision.NumGroupTokens.Count, stages);
        check.SameLength("num_output_groups", vision.NumOutputGroups.Count, stages);
        int last = stages - 1;
        for (int stage = 0; stage < stages; stage++)
        {
            check.In($"depths[{stage}]", vision.Depths[stage], 1, ConfigLimits.Layers);
            if (stage < last)
            {
                check.In($"num_group_tokens[{stage}]", vision.NumGroupTokens[stage], 1, ConfigLimits.Groups);
                check.In($"num_output_groups[{stage}]", vision.NumOutputGroups[stage], 1, ConfigLimits.Groups);
            }
        }
        check.In("depths (sum)", vision.Depths.Sum(), 1, ConfigLimits.Layers);
        if (vision.NumGroupTokens[last] != 0)
        {
            throw check.Error($"num_group_tokens[{last}]", $"is {vision.NumGroupTokens[last]}; the last stage groups nothing, so its entry must be 0");
        }
        check.In($"num_output_groups[{last}]", vision.NumOutputGroups[last], 0, ConfigLimits.Groups);
        for (int stage = 1; layout == KeyLayout.HuggingFace && stage < last; stage++)
        {
            int tokens = vision.NumGroupTokens[stage - 1], groups = vision.NumOutputGroups[stage - 1];
            if (tokens != groups)
            {
                // Spec A.3: the reference would fail in this matrix product, at the first picture.
                throw check.Error($"num_output_groups[{stage - 1}]",
                    $"is {groups}, but num_group_tokens[{stage - 1}] is {tokens}. In the Hugging Face layout the projector into stage {stage} is as wide as the stage before has " +
                    "output groups, while it is fed that stage's group tokens: the two must be equal (in NVlabs' layout they need not be)");
            }
        }
    }
}

/// <summary>
/// The largest sizes believed. Several times what was ever trained, and small enough that no product of two of them in this
/// model overflows: a hostile configuration is refused before anything of its size is allocated.
/// </summary>
internal static class ConfigLimits
{
    public const int Width = 8192;
    public const int HiddenWidth = 65_536;
    public const int Layers = 256;
    public const int Stages = 8;
    public const int Heads = 256;
    public const int Groups = 4096;
    public const int Vocabulary = 4_194_304;
    public const int Context = 65_536;
    public const int PatchSide = 256;
    public const int ImageSide = 16_384;

    /// <summary>Elements of one tensor: what one array or span can hold.</summary>
    public static readonly long TensorElements = Array.MaxLength;
}

/// <summary>Throws for a field that is out of bounds, with its full name, its value and what would be right.</summary>
internal readonly struct ConfigCheck(string file, string path)
{
    public ModelFileException Error(string field, string problem) => new(file, problem, path + field);

    public void In(string field, long value, long least, long most)
    {
        if (value < least || value > most)
        {
            throw Error(field, least == most ? $"is {value}; it must be {least}" : $"is {value}; it must be a whole number from {least} to {most}");
        }
    }

    public void In(string field, double value, double least, double most)
    {
        // Written so that NaN fails.
        if (!(value >= least && value <= most))
        {
            throw Error(field, FormattableString.Invariant($"is {value}; it must be a number from {least:R} to {most:R}"));
        }
    }

    public void Known(string field, ActivationFunction value)
    {
        if (!Enum.IsDefined(value))
        {
            throw Error(field, $"is {value}, which is no known activation");
        }
    }

    public void Divides(string field, int value, string by, int divisor)
    {
        if (value % divisor != 0)
        {
            throw Error(field, $"is {value}, which is no multiple of {by} = {divisor}");
        }
    }

    public void Holds(string rows, string columns, long rowCount, long columnCount)
    {
        if (rowCount * columnCount > ConfigLimits.TensorElements)
        {
            throw Error(rows, $"x {columns} is {rowCount} x {columnCount} numbers; one tensor may have at most {ConfigLimits.TensorElements}");
        }
    }

    public void SameLength(string field, int length, int stages)
    {
        if (length != stages)
        {
            throw Error(field, $"has {length} entries, but depths has {stages}; there must be one for each stage (the last of num_output_groups is not used)");
        }
    }
}
