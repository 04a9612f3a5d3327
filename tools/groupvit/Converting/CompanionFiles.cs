using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Native.Weights;
using GroupViT.Tool.Hub;

namespace GroupViT.Tool.Converting;

/// <summary>What stands beside the weights in a model folder: tokenizer, preprocessing, suggested labels.</summary>
internal static class CompanionFiles
{
    private const long MostBytes = 64 << 20;

    // What the public vocabulary has; a model with another table of tokens has another vocabulary.
    private const int PublicVocabulary = 49408;

    private static readonly double[] ImageNetMean = [0.485, 0.456, 0.406];
    private static readonly double[] ImageNetStd = [0.229, 0.224, 0.225];

    /// <summary>Files that are taken from the source's folder as they are.</summary>
    private static readonly string[] Copied =
    [
        ModelFiles.Vocabulary, ModelFiles.Merges, ModelFiles.CompressedVocabulary,
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", ModelFiles.Labels,
    ];

    /// <summary>Every name that a conversion may write.</summary>
    public static IReadOnlyList<string> Names { get; } = [ModelFiles.Config, ModelFiles.Preprocessor, .. Copied, ModelFiles.Weights];

    /// <summary>Copies the tokenizer and the labels, or puts the public vocabulary there.</summary>
    /// <param name="source">The folder with the source's companions; null if it has none.</param>
    /// <param name="destination">The new folder.</param>
    /// <param name="config">Of the model.</param>
    /// <param name="notes">Gets what is missing.</param>
    public static void CopyTokenizer(string? source, ConversionFolder destination, GroupVitConfig config, List<string> notes)
    {
        HashSet<string> found = [];
        foreach (string name in Copied)
        {
            if (Find(source, name) is { } path)
            {
                destination.Write(name, ReadBounded(path));
                found.Add(name);
            }
        }
        if (found.Contains(ModelFiles.CompressedVocabulary) || found.Contains(ModelFiles.Vocabulary) && found.Contains(ModelFiles.Merges))
        {
            return;
        }
        if (config.Text.VocabSize != PublicVocabulary)
        {
            notes.Add($"no tokenizer: the source brings none, and the public CLIP vocabulary has {PublicVocabulary} entries where the text tower has {config.Text.VocabSize}; pictures and finished label banks work without one");
            return;
        }
        using Stream vocabulary = TextResources.Open(ModelFiles.CompressedVocabulary);
        using MemoryStream bytes = new();
        vocabulary.CopyTo(bytes);
        destination.Write(ModelFiles.CompressedVocabulary, bytes.ToArray());
    }

    /// <summary>Copies preprocessor_config.json, with other statistics if they were asked for, or makes one.</summary>
    /// <param name="source">The folder with the source's companions; null if it has none.</param>
    /// <param name="destination">The new folder.</param>
    /// <param name="config">Of the model.</param>
    /// <param name="layout">Of the source.</param>
    /// <param name="statistics">Null: whatever the source's file says.</param>
    /// <param name="notes">Gets what was chosen.</param>
    public static void WritePreprocessor(string? source, ConversionFolder destination, GroupVitConfig config, KeyLayout layout, PictureStatistics? statistics, List<string> notes)
    {
        if (Find(source, ModelFiles.Preprocessor) is { } path)
        {
            byte[] bytes = ReadBounded(path);
            PreprocessorConfig parsed = PreprocessorConfig.Parse(bytes, path);
            if (statistics is null)
            {
                destination.Write(ModelFiles.Preprocessor, bytes);
                if (parsed.Mean.SequenceEqual(PreprocessorConfig.Default.Mean))
                {
                    notes.Add($"{ModelFiles.Preprocessor} is the source's, with CLIP's statistics; the released weights were trained with ImageNet's (--statistics imagenet)");
                }
                return;
            }
            JsonObject edited = Parse(bytes);
            SetStatistics(edited, statistics.Value);
            destination.Write(ModelFiles.Preprocessor, ToBytes(edited));
            return;
        }
        // Spec E.4: Hugging Face's copies carry the statistics of CLIP, with which their published logits were made.
        PictureStatistics chosen = statistics ?? (layout == KeyLayout.Nvlabs ? PictureStatistics.ImageNet : PictureStatistics.Clip);
        int side = config.Vision.ImageSize;
        JsonObject made = new()
        {
            ["image_processor_type"] = "CLIPImageProcessor",
            ["do_resize"] = true,
            ["size"] = new JsonObject { ["shortest_edge"] = side },
            ["resample"] = (int)PilFilter.Bicubic,
            ["do_center_crop"] = true,
            ["crop_size"] = new JsonObject { ["height"] = side, ["width"] = side },
            ["do_rescale"] = true,
            ["rescale_factor"] = 1 / 255.0,
        };
        SetStatistics(made, chosen);
        destination.Write(ModelFiles.Preprocessor, ToBytes(made));
        if (statistics is null)
        {
            notes.Add(chosen == PictureStatistics.ImageNet
                ? $"{ModelFiles.Preprocessor} has ImageNet's statistics, as the model was trained; --statistics clip gives Hugging Face's"
                : $"{ModelFiles.Preprocessor} was not there; the new one has CLIP's statistics, as Hugging Face's; --statistics imagenet gives those of the training");
        }
    }

    /// <summary>A configuration whose dtype is what the weights are stored as: transformers loads them as it says. Unchanged where it says nothing.</summary>
    public static byte[] WithType(byte[] config, SafetensorsType? type)
    {
        string? name = type switch
        {
            SafetensorsType.F32 => "float32",
            SafetensorsType.F16 => "float16",
            SafetensorsType.BF16 => "bfloat16",
            _ => null,
        };
        JsonObject edited = Parse(config);
        bool changed = false;
        foreach (string field in (string[])["dtype", "torch_dtype"])
        {
            if (name is not null && edited[field] is JsonValue value && value.TryGetValue(out string? text) && text != name)
            {
                edited[field] = name;
                changed = true;
            }
        }
        return changed ? ToBytes(edited) : config;
    }

    /// <summary>A small file, whole.</summary>
    /// <exception cref="ModelFileException">It is large, or cannot be read.</exception>
    public static byte[] ReadBounded(string path)
    {
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length > MostBytes)
            {
                throw new ModelFileException(path, $"{stream.Length} bytes are more than the {MostBytes} that such a file may have");
            }
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ModelFileException(path, $"the file cannot be read: {exception.Message}", inner: exception);
        }
    }

    private static string? Find(string? folder, string name)
        => folder is not null && Path.Combine(folder, name) is var path && LinkedFile.Exists(path) ? path : null;

    private static JsonObject Parse(byte[] json)
    {
        // Both kinds of file were read before, strictly; a mark of the byte order is what one of them may have and this parser refuses.
        ReadOnlySpan<byte> text = json.AsSpan().StartsWith("\uFEFF"u8) ? json.AsSpan(3) : json;
        return JsonNode.Parse(text)!.AsObject();
    }

    private static byte[] ToBytes(JsonObject json)
        => Encoding.UTF8.GetBytes(json.ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n");

    private static void SetStatistics(JsonObject preprocessor, PictureStatistics statistics)
    {
        bool isImageNet = statistics == PictureStatistics.ImageNet;
        preprocessor["do_normalize"] = true;
        preprocessor["image_mean"] = Array(isImageNet ? ImageNetMean : PreprocessorConfig.Default.Mean);
        preprocessor["image_std"] = Array(isImageNet ? ImageNetStd : PreprocessorConfig.Default.Std);
    }

    private static JsonArray Array(IEnumerable<double> values) => [.. values.Select(value => (JsonNode)value)];
}
