using GroupViT.Kernels;

namespace GroupViT.Native.Measuring;

/// <summary>Names the part of a network that an operation belongs to, and its role there, by the parameters it reads and the value it writes.</summary>
internal static class NetworkPart
{
    private const string Stages = "vision_model.encoder.stages.";
    private const string TextLayers = "text_model.encoder.layers.";

    /// <summary>
    /// embeddings, stage S blocks, stage S grouping, group tokens (made of the stage before's), head; text embeddings, text blocks, text head.
    /// </summary>
    public static string Of(Operation operation)
    {
        string name = NameOf(operation);
        if (name.StartsWith(Stages, StringComparison.Ordinal))
        {
            string rest = name[Stages.Length..];
            string stage = rest[..rest.IndexOf('.', StringComparison.Ordinal)];
            string part = rest[(stage.Length + 1)..];
            return part.StartsWith("layers.", StringComparison.Ordinal) ? $"stage {stage} blocks"
                : part.StartsWith("downsample", StringComparison.Ordinal) ? $"stage {stage} grouping"
                : $"stage {stage} tokens";
        }
        return name switch
        {
            _ when name.StartsWith(TextLayers, StringComparison.Ordinal) => "text blocks",
            _ when name.StartsWith("text_model.embeddings", StringComparison.Ordinal) => "text embeddings",
            _ when name.StartsWith("text", StringComparison.Ordinal) => "text head",
            "patches" => "embeddings",
            _ when name.StartsWith("vision_model.embeddings", StringComparison.Ordinal) => "embeddings",
            _ => "head",
        };
    }

    /// <summary>The role without the number of the layer: blocks.qkv, blocks.mlp.fc1, downsample.assign.proj, patch_embeddings.projection, ...</summary>
    public static string Role(Operation operation)
    {
        string name = NameOf(operation);
        // Of several parameters used at once the first names them all, but for those whose name together is the field's own.
        if (name.Contains("k_proj.weight+", StringComparison.Ordinal))
        {
            name = name.Contains("downsample", StringComparison.Ordinal) ? "downsample.kv" : "blocks.qkv";
        }
        name = name.Split('+', '*', '@')[0];
        string[] prefixes = ["vision_model.embeddings.", "vision_model.encoder.", "text_model.encoder.", "text_model.embeddings.", "vision_model.", "text_model."];
        string prefix = prefixes.FirstOrDefault(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) ?? "";
        string[] words = name[prefix.Length..].Split('.');
        List<string> role = [];
        for (int i = 0; i < words.Length; i++)
        {
            if (words[i] == "stages" && i + 1 < words.Length)
            {
                i++;
            }
            else if (words[i] == "layers" && i + 1 < words.Length)
            {
                role.Add("blocks");
                i++;
            }
            else if (words[i] is not ("weight" or "bias" or "self_attn"))
            {
                role.Add(words[i]);
            }
        }
        return string.Join('.', role);
    }

    // Parameters come first: the end of a grouping block writes into the next stage's tokens.
    private static string NameOf(Operation operation)
    {
        OperationUses uses = new();
        operation.Describe(uses);
        return uses.Reads.FirstOrDefault(tensor => tensor.IsConstant)?.Name ?? uses.Writes[0].Tensor.Name;
    }
}
