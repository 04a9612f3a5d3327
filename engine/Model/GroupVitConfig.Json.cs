using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <content>Reading and writing <c>config.json</c>.</content>
public sealed partial record GroupVitConfig
{
    private const int MaxFileLength = 1 << 20;

    /// <summary>
    /// Reads the text of a <c>config.json</c>. Missing fields take the reference's defaults and unknown ones are ignored, as the reference
    /// does; values in the older files' <c>text_config_dict</c> and <c>vision_config_dict</c> override those in <c>text_config</c> and <c>vision_config</c>.
    /// </summary>
    /// <param name="utf8">The file's bytes; at most 1 MiB.</param>
    /// <param name="file">What messages call the file.</param>
    /// <exception cref="ModelFileException">No JSON object, another model, an unknown activation, or a size out of its range; names the field, its value and the range.</exception>
    public static GroupVitConfig Parse(ReadOnlySpan<byte> utf8, string file)
    {
        if (utf8.Length > MaxFileLength)
        {
            throw new ModelFileException(file, $"is {utf8.Length} bytes long; a configuration has at most {MaxFileLength}");
        }
        if (!Utf8.IsValid(utf8))
        {
            throw new ModelFileException(file, "is not UTF-8");
        }
        try
        {
            using var document = JsonDocument.Parse(utf8.ToArray(), new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 });
            GroupVitConfig config = Read(document.RootElement, file);
            config.Validate(file);
            return config;
        }
        catch (JsonException e)
        {
            throw new ModelFileException(file, $"is not JSON: {JsonProblem.Of(e)}", inner: e);
        }
        catch (InvalidOperationException e)
        {
            // An escaped half of a surrogate pair in a name or a text.
            throw new ModelFileException(file, $"holds a text that is no valid Unicode: {JsonProblem.Of(e)}", inner: e);
        }
    }

    /// <summary>The configuration as a <c>config.json</c> that the reference reads too.</summary>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue("GroupViTModel");
            json.WriteEndArray();
            json.WriteString("model_type", "groupvit");
            json.WriteNumber("projection_dim", ProjectionDim);
            json.WriteNumber("projection_intermediate_dim", ProjectionIntermediateDim);
            json.WriteStartObject("text_config");
            Write(json, Text);
            json.WriteEndObject();
            json.WriteStartObject("vision_config");
            Write(json, Vision);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan) + "\n";
    }

    private static GroupVitConfig Read(JsonElement root, string file)
    {
        var fields = new ConfigFields(file, "", root);
        string type = fields.Text("model_type", "groupvit");
        if (type != "groupvit")
        {
            throw fields.Error("model_type", $"is '{SafetensorsHeader.Shorten(type)}'; only 'groupvit' is read");
        }
        var defaults = new GroupVitConfig();
        return new GroupVitConfig
        {
            ProjectionDim = fields.Integer("projection_dim", defaults.ProjectionDim, ConfigLimits.Width),
            ProjectionIntermediateDim = fields.Integer("projection_intermediate_dim", defaults.ProjectionIntermediateDim, ConfigLimits.HiddenWidth),
            Text = ReadText(fields.Nested("text_config", "text_config_dict")),
            Vision = ReadVision(fields.Nested("vision_config", "vision_config_dict")),
        };
    }

    private static TextConfig ReadText(ConfigFields fields)
    {
        var defaults = new TextConfig();
        return new TextConfig
        {
            VocabSize = fields.Integer("vocab_size", defaults.VocabSize, ConfigLimits.Vocabulary),
            HiddenSize = fields.Integer("hidden_size", defaults.HiddenSize, ConfigLimits.Width),
            IntermediateSize = fields.Integer("intermediate_size", defaults.IntermediateSize, ConfigLimits.HiddenWidth),
            NumHiddenLayers = fields.Integer("num_hidden_layers", defaults.NumHiddenLayers, ConfigLimits.Layers),
            NumAttentionHeads = fields.Integer("num_attention_heads", defaults.NumAttentionHeads, ConfigLimits.Heads),
            MaxPositionEmbeddings = fields.Integer("max_position_embeddings", defaults.MaxPositionEmbeddings, ConfigLimits.Context),
            HiddenAct = fields.Activation("hidden_act", defaults.HiddenAct),
            LayerNormEps = fields.Number("layer_norm_eps", defaults.LayerNormEps),
            EosTokenId = fields.Integer("eos_token_id", defaults.EosTokenId, ConfigLimits.Vocabulary),
        };
    }

    private static VisionConfig ReadVision(ConfigFields fields)
    {
        var defaults = new VisionConfig();
        return new VisionConfig
        {
            HiddenSize = fields.Integer("hidden_size", defaults.HiddenSize, ConfigLimits.Width),
            IntermediateSize = fields.Integer("intermediate_size", defaults.IntermediateSize, ConfigLimits.HiddenWidth),
            Depths = fields.Integers("depths", defaults.Depths, ConfigLimits.Layers),
            NumGroupTokens = fields.Integers("num_group_tokens", defaults.NumGroupTokens, ConfigLimits.Groups),
            NumOutputGroups = fields.Integers("num_output_groups", defaults.NumOutputGroups, ConfigLimits.Groups),
            NumAttentionHeads = fields.Integer("num_attention_heads", defaults.NumAttentionHeads, ConfigLimits.Heads),
            ImageSize = fields.Integer("image_size", defaults.ImageSize, ConfigLimits.ImageSide),
            PatchSize = fields.Integer("patch_size", defaults.PatchSize, ConfigLimits.PatchSide),
            NumChannels = fields.Integer("num_channels", defaults.NumChannels, 3),
            HiddenAct = fields.Activation("hidden_act", defaults.HiddenAct),
            LayerNormEps = fields.Number("layer_norm_eps", defaults.LayerNormEps),
            AssignEps = fields.Number("assign_eps", defaults.AssignEps),
            AssignMlpRatio = fields.NumberOrPair("assign_mlp_ratio", defaults.AssignMlpRatio),
        };
    }

    private static void Write(Utf8JsonWriter json, TextConfig text)
    {
        json.WriteString("model_type", "groupvit_text_model");
        json.WriteNumber("vocab_size", text.VocabSize);
        json.WriteNumber("hidden_size", text.HiddenSize);
        json.WriteNumber("intermediate_size", text.IntermediateSize);
        json.WriteNumber("num_hidden_layers", text.NumHiddenLayers);
        json.WriteNumber("num_attention_heads", text.NumAttentionHeads);
        json.WriteNumber("max_position_embeddings", text.MaxPositionEmbeddings);
        json.WriteString("hidden_act", ConfigFields.NameOf(text.HiddenAct));
        json.WriteNumber("layer_norm_eps", text.LayerNormEps);
        json.WriteNumber("eos_token_id", text.EosTokenId);
    }

    private static void Write(Utf8JsonWriter json, VisionConfig vision)
    {
        json.WriteString("model_type", "groupvit_vision_model");
        json.WriteNumber("hidden_size", vision.HiddenSize);
        json.WriteNumber("intermediate_size", vision.IntermediateSize);
        WriteList(json, "depths", vision.Depths);
        json.WriteNumber("num_hidden_layers", vision.Depths.Sum());
        WriteList(json, "num_group_tokens", vision.NumGroupTokens);
        WriteList(json, "num_output_groups", vision.NumOutputGroups);
        json.WriteNumber("num_attention_heads", vision.NumAttentionHeads);
        json.WriteNumber("image_size", vision.ImageSize);
        json.WriteNumber("patch_size", vision.PatchSize);
        json.WriteNumber("num_channels", vision.NumChannels);
        json.WriteString("hidden_act", ConfigFields.NameOf(vision.HiddenAct));
        json.WriteNumber("layer_norm_eps", vision.LayerNormEps);
        json.WriteNumber("assign_eps", vision.AssignEps);
        json.WriteStartArray("assign_mlp_ratio");
        json.WriteNumberValue(vision.AssignMlpRatio.Tokens);
        json.WriteNumberValue(vision.AssignMlpRatio.Channels);
        json.WriteEndArray();
    }

    private static void WriteList(Utf8JsonWriter json, string name, IReadOnlyList<int> values)
    {
        json.WriteStartArray(name);
        foreach (int value in values)
        {
            json.WriteNumberValue(value);
        }
        json.WriteEndArray();
    }
}
