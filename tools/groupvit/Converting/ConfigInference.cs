using System.Globalization;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Pickle;

namespace GroupViT.Tool.Converting;

/// <summary>A configuration read off a checkpoint's tensors.</summary>
/// <param name="Config">Checked: a model can be built from it.</param>
/// <param name="Layout">Whose names the tensors have.</param>
/// <param name="Notes">What is not in the tensors and was assumed, and where the checkpoint's own configuration says something else; to be printed.</param>
internal sealed record InferredConfig(GroupVitConfig Config, KeyLayout Layout, IReadOnlyList<string> Notes);

/// <summary>
/// The architecture from names and shapes (spec D): everything but the number of heads, the activations and the epsilons leaves its mark
/// there. Heads come from the checkpoint's own configuration, which NVlabs' training stores beside the tensors, else they are 64 wide as in every
/// released model; activations and epsilons are the reference's.
/// </summary>
internal sealed class ConfigInference
{
    private const int HeadSize = 64;

    private readonly WeightsSource weights;
    private readonly PickleValue? stored;
    private readonly KeyLayout layout;
    private readonly List<string> notes = [];

    private ConfigInference(WeightsSource weights, PickleValue? stored)
    {
        (this.weights, this.stored) = (weights, stored);
        layout = Checkpoint.FindLayout(weights);
    }

    /// <param name="weights">Their names and shapes are looked at, no value is read.</param>
    /// <param name="extras">What stands beside the tensors in a PyTorch file; its "config" is NVlabs' (spec D.1).</param>
    /// <exception cref="ModelFileException">The tensors are not a GroupViT's, or their shapes fit none: names the tensor and what would fit.</exception>
    public static InferredConfig Infer(WeightsSource weights, IReadOnlyDictionary<string, PickleValue>? extras = null)
    {
        ConfigInference inference = new(weights, extras?.GetValueOrDefault("config")?.Find("model"));
        GroupVitConfig config = inference.Config();
        config.Validate(weights.Name, inference.layout);
        return new InferredConfig(config, inference.layout, inference.notes);
    }

    private GroupVitConfig Config()
    {
        GroupVitConfig config = new()
        {
            Vision = Vision(),
            Text = Text(),
            ProjectionIntermediateDim = Side("visual_projection.0.weight", "img_projector.linear_hidden.0.weight", 0),
            ProjectionDim = Side("visual_projection.3.weight", "img_projector.linear_out.weight", 0),
        };
        notes.Add("activations and epsilons are not in the tensors: the reference's were taken (gelu, quick_gelu, 1e-5, 1)");
        return config;
    }

    private VisionConfig Vision()
    {
        const string patches = "vision_model.embeddings.patch_embeddings.projection.weight", nvlabsPatches = "img_encoder.patch_embed.proj.weight";
        int width = Side(patches, nvlabsPatches, 0);
        int patch = Side(patches, nvlabsPatches, 2);
        List<int> depths = [];
        List<int> tokens = [];
        List<int> groups = [];
        for (int stage = 0; Has(Block(stage, 0)); stage++)
        {
            if (stage == ConfigLimits.Stages)
            {
                throw Refuse(Block(stage, 0), $"there are more than {ConfigLimits.Stages} stages");
            }
            depths.Add(Count(block => Block(stage, block)));
            string place = layout == KeyLayout.HuggingFace ? $"vision_model.encoder.stages.{stage}" : $"img_encoder.layers.{stage}";
            bool isGrouping = Has($"{place}.group_token");
            tokens.Add(isGrouping ? Side($"{place}.group_token", 1) : 0);
            // The last stage puts out what came in; the field is not used there, and the reference repeats it.
            groups.Add(isGrouping ? Side($"{place}.downsample.mlp_inter.fc2.weight", 0) : groups.LastOrDefault());
        }
        if (depths.Count == 0)
        {
            throw Refuse(Block(0, 0), "there is no such tensor: the image encoder has no block");
        }
        string first = layout == KeyLayout.HuggingFace ? "vision_model.encoder.stages.0" : "img_encoder.layers.0";
        string mlp = layout == KeyLayout.HuggingFace ? $"{first}.layers.0.mlp.fc1.weight" : $"{first}.blocks.0.mlp.fc1.weight";
        VisionConfig vision = new()
        {
            HiddenSize = width,
            NumChannels = Side(patches, nvlabsPatches, 1),
            PatchSize = patch,
            ImageSize = ImageSize(patch),
            IntermediateSize = Side(mlp, 0),
            Depths = depths,
            NumGroupTokens = tokens,
            NumOutputGroups = groups,
            NumAttentionHeads = Heads("the image encoder", width, Stored("img_encoder", "num_heads")),
            AssignMlpRatio = (Ratio($"{first}.downsample.mlp_inter.fc1.weight", width), Ratio($"{first}.downsample.mlp_channels.fc1.weight", width)),
        };
        Compare("img_size", vision.ImageSize, "img_encoder", "img_size");
        Compare("patch_size", vision.PatchSize, "img_encoder", "patch_size");
        Compare("embed_dim", vision.HiddenSize, "img_encoder", "embed_dim");
        return vision;

        string Block(int stage, int block) => layout == KeyLayout.HuggingFace
            ? $"vision_model.encoder.stages.{stage}.layers.{block}.layer_norm1.weight"
            : $"img_encoder.layers.{stage}.blocks.{block}.norm1.weight";
    }

    private TextConfig Text()
    {
        const string table = "text_model.embeddings.token_embedding.weight", nvlabsTable = "text_encoder.token_embedding.weight";
        int width = Side(table, nvlabsTable, 1);
        int vocabulary = Side(table, nvlabsTable, 0);
        TextConfig text = new()
        {
            VocabSize = vocabulary,
            HiddenSize = width,
            IntermediateSize = Side("text_model.encoder.layers.0.mlp.fc1.weight", "text_encoder.transformer.resblocks.0.mlp.c_fc.weight", 0),
            NumHiddenLayers = Count(layer => layout == KeyLayout.HuggingFace
                ? $"text_model.encoder.layers.{layer}.layer_norm1.weight"
                : $"text_encoder.transformer.resblocks.{layer}.ln_1.weight"),
            MaxPositionEmbeddings = Side("text_model.embeddings.position_embedding.weight", "text_encoder.positional_embedding", 0),
            NumAttentionHeads = Heads("the text encoder", width, null),
            // CLIP's end of text is the vocabulary's last entry.
            EosTokenId = vocabulary - 1,
        };
        Compare("context_length", text.MaxPositionEmbeddings, "text_encoder", "context_length");
        Compare("vocab_size", text.VocabSize, "text_encoder", "vocab_size");
        return text;
    }

    private int ImageSize(int patch)
    {
        const string positions = "vision_model.embeddings.position_embeddings", nvlabsPositions = "img_encoder.pos_embed";
        int count = Side(positions, nvlabsPositions, 1);
        int side = (int)Math.Round(Math.Sqrt(count));
        if ((long)side * side != count)
        {
            throw Refuse(Name(positions, nvlabsPositions), $"holds {count} positions, which are no square of patches ({side * side} would be)");
        }
        if ((long)side * patch > ConfigLimits.ImageSide)
        {
            throw Refuse(Name(positions, nvlabsPositions), $"is for {side} x {side} patches of {patch} pixels; at most {ConfigLimits.ImageSide} pixels a side are allowed");
        }
        return side * patch;
    }

    private int Heads(string encoder, int width, int? known)
    {
        if (known is { } heads)
        {
            return heads > 0 && width % heads == 0
                ? heads
                : throw new ModelFileException(weights.Name, $"its configuration says {heads} heads, into which the width of {encoder}, {width}, does not divide");
        }
        if (width % HeadSize != 0)
        {
            throw new ModelFileException(
                weights.Name,
                $"does not say how many attention heads {encoder} has, and its width, {width}, is no multiple of {HeadSize}, the size of a head in every released model; put the model's {ModelFiles.Config} beside it");
        }
        notes.Add($"the number of heads of {encoder} is not in the tensors: {width / HeadSize} were assumed, of {HeadSize} channels each");
        return width / HeadSize;
    }

    // The reference multiplies and rounds down; the quotient may fall short of the size by a rounding.
    private double Ratio(string name, int width)
    {
        int size = Side(name, 0);
        double ratio = (double)size / width;
        return (int)(ratio * width) == size ? ratio : Math.BitIncrement(ratio);
    }

    // A number, or a list of equal ones (NVlabs gives heads per stage).
    private int? Stored(params ReadOnlySpan<string> path)
    {
        if (stored?.Find(path) is not { } value)
        {
            return null;
        }
        if (value.TryGetInt64(out long number))
        {
            return (int)Math.Clamp(number, 0, int.MaxValue);
        }
        int? all = null;
        for (int i = 0; i < ConfigLimits.Stages; i++)
        {
            if (stored.Find([.. path, i.ToString(CultureInfo.InvariantCulture)]) is not { } item || !item.TryGetInt64(out long entry))
            {
                break;
            }
            if (all is { } first && first != entry)
            {
                throw new ModelFileException(weights.Name, $"its configuration gives {string.Join('.', path.ToArray())} differently per stage ({first}, {entry}); the model has one for all");
            }
            all = (int)Math.Clamp(entry, 0, int.MaxValue);
        }
        return all;
    }

    private void Compare(string field, int inferred, params ReadOnlySpan<string> path)
    {
        if (Stored(path) is { } said && said != inferred)
        {
            notes.Add($"the checkpoint's configuration says {field} {said}, its tensors {inferred}: the tensors are right");
        }
    }

    private int Count(Func<int, string> name)
    {
        int count = 0;
        while (Has(name(count)))
        {
            if (++count > ConfigLimits.Layers)
            {
                throw Refuse(name(count - 1), $"there are more than {ConfigLimits.Layers} of its kind");
            }
        }
        return count;
    }

    private bool Has(string name) => weights.Tensors.ContainsKey(name);

    private string Name(string huggingFace, string nvlabs) => layout == KeyLayout.HuggingFace ? huggingFace : nvlabs;

    private int Side(string huggingFace, string nvlabs, int axis) => Side(Name(huggingFace, nvlabs), axis);

    private int Side(string name, int axis)
    {
        if (!weights.Tensors.TryGetValue(name, out SafetensorsEntry? entry))
        {
            throw Refuse(name, "there is no such tensor, and the architecture cannot be told without it");
        }
        if (axis >= entry.Shape.Length)
        {
            throw Refuse(name, $"has shape {entry.ShapeText}: {axis + 1} axes at least were expected");
        }
        long side = entry.Shape[axis];
        return side is > 0 and <= int.MaxValue ? (int)side : throw Refuse(name, $"has shape {entry.ShapeText}: {side} cannot be the size of an axis");
    }

    private ModelFileException Refuse(string tensor, string problem) => new(weights.Name, problem, tensor);
}
