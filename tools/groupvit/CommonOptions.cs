using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using GroupViT.Native;
using GroupViT.Native.Imaging;

namespace GroupViT.Tool;

/// <summary>Options that commands share, spelled and described once. Each call makes a new option.</summary>
internal static class CommonOptions
{
    public const long DefaultMaxPixels = 64L << 20;

    private static readonly Dictionary<string, Precision> Precisions = new()
    {
        ["fp32"] = Native.Precision.Float32,
        ["tf32"] = Native.Precision.TensorFloat32,
        ["bf16"] = Native.Precision.BFloat16,
        ["fp16"] = Native.Precision.Float16,
    };

    private static readonly Dictionary<string, TextNormalization> Normalizations = new()
    {
        ["openai"] = TextNormalization.OpenAI,
        ["huggingface"] = TextNormalization.HuggingFace,
    };

    private static readonly Dictionary<string, SegmentationPreset> Presets = new()
    {
        ["nvlabs"] = SegmentationPreset.Nvlabs,
        ["transformers"] = SegmentationPreset.Transformers,
    };

    private static readonly Dictionary<string, AlphaMode> Alphas = new() { ["white"] = AlphaMode.White, ["drop"] = AlphaMode.Drop };

    /// <summary>The pictures that a command works on.</summary>
    public static Argument<string[]> Pictures()
    {
        Argument<string[]> argument = new("PICTURE") { Description = "PNG or JPEG files, folders, patterns; segment: - for JSON lines on standard input", Arity = ArgumentArity.OneOrMore };
        argument.Validators.Add(RefuseOptions);
        return argument;
    }

    /// <summary>A misspelled option is no picture and no text; a file whose name begins with -- can be given as ./--name.</summary>
    public static void RefuseOptions(SymbolResult result)
    {
        foreach (Token token in result.Tokens.Where(token => token.Value.StartsWith("--", StringComparison.Ordinal)))
        {
            result.AddError($"there is no option {token.Value}");
        }
    }

    public static Option<string> Model() => new("--model")
    {
        Description = "'scenes' (built in), a folder, a .safetensors file, or a repository in the local Hugging Face cache as OWNER/NAME or OWNER/NAME@REVISION (see pull)",
        DefaultValueFactory = _ => ModelLocator.Scenes,
        HelpName = "MODEL",
    };

    public static Option<string> Device() => new("--device")
    {
        Description = "auto (cuda:0 if there is one, else an OpenCL GPU, else cpu), cpu, cuda:N, opencl:N, simulator",
        DefaultValueFactory = _ => "auto",
        HelpName = "DEVICE",
    };

    public static Option<Precision> Precision() => Choice("--precision", "the format of weights and products", Precisions);

    public static Option<int> Threads() => Whole("--threads", "threads of the cpu device; 0 for all of the machine's", 0, 1024, 0);

    public static Option<bool> Json() => new("--json") { Description = "JSON on standard output, and nothing else there" };

    public static Option<bool> Quiet() => new("--quiet") { Description = "no tables and no notes; errors are still reported" };

    public static Option<int> Batch() => Whole("--batch", "pictures encoded together, where their inputs are of one size", 1, 1024, 1);

    public static Option<int> Workers() => Whole("--workers", "pictures (or batches) in work at once, each with memory of its own", 1, 64, 1);

    public static Option<long?> MemoryLimit() => Amount("--memory-limit", "the most device memory, as 512M or 2G; a GPU streams weights that it does not hold", "none");

    /// <summary>Absent means <see cref="DefaultMaxPixels"/>.</summary>
    public static Option<long?> MaxPixels() => Amount("--max-pixels", "the most pixels that a picture may declare", "64M");

    public static Option<bool> SkipBad() => new("--skip-bad") { Description = "pictures that fail are reported, but do not change the exit code" };

    public static Option<string?> Labels() => new("--labels") { Description = "labels between commas, synonyms between bars; default: the model folder's labels.txt", HelpName = "\"a, b\"" };

    public static Option<string?> LabelsFile() => new("--labels-file") { Description = "a text file with one label on a line", HelpName = "FILE" };

    public static Option<string[]> Bank() => new("--bank") { Description = "finished label embeddings, as the command labels writes them; given several times, all of them", HelpName = "FILE", DefaultValueFactory = _ => [] };

    public static Option<string?> Templates(string preset) => new("--templates")
    {
        Description = $"sentences around a label: simple, subset, full, identity, or a file with one on a line, {{}} for the label; default: {preset}",
        HelpName = "SET",
    };

    public static Option<TextNormalization?> Normalization(string preset)
        => OptionalChoice("--normalization", $"how texts are cleaned; default: {preset}", Normalizations);

    public static Option<SegmentationPreset> Preset() => Choice("--preset", "whose rules and preprocessing", Presets);

    public static Option<AlphaMode> Alpha() => Choice("--alpha", "transparency: composed over white, or dropped", Alphas);

    public static string NameOf(Precision precision) => Name(Precisions, precision);

    /// <summary>A message of the library in the words of the command line: fp16 for Float16, and so on.</summary>
    public static string InOurWords(string message)
        // The longest first: TensorFloat32 ends in Float32.
        => Precisions.OrderByDescending(entry => entry.Value.ToString().Length).Aggregate(message, (text, entry) => text.Replace(entry.Value.ToString(), entry.Key, StringComparison.Ordinal));

    public static string NameOf(TextNormalization normalization) => Name(Normalizations, normalization);

    public static string NameOf(SegmentationPreset preset) => Name(Presets, preset);

    public static string NameOf(AlphaMode alpha) => Name(Alphas, alpha);

    /// <summary>A whole number in a range.</summary>
    public static Option<int> Whole(string name, string description, int least, int most, int preset) => new(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => preset,
        CustomParser = result => Whole(result, name, least, most) ?? preset,
    };

    /// <summary>A whole number in a range, or none.</summary>
    public static Option<int?> OptionalWhole(string name, string description, int least, int most) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result => Whole(result, name, least, most),
    };

    /// <summary>One of several words; the one for the type's zero is the default.</summary>
    public static Option<T> Choice<T>(string name, string description, IReadOnlyDictionary<string, T> choices)
        where T : struct => new(name)
        {
            Description = $"{description}; default: {choices.First(choice => choice.Value.Equals(default(T))).Key}",
            HelpName = string.Join('|', choices.Keys),
            CustomParser = result => Choose(result, name, choices) ?? default,
        };

    /// <summary>One of several words, or none.</summary>
    public static Option<T?> OptionalChoice<T>(string name, string description, IReadOnlyDictionary<string, T> choices)
        where T : struct => new(name)
        {
            Description = description,
            HelpName = string.Join('|', choices.Keys),
            CustomParser = result => Choose(result, name, choices),
        };

    private static Option<long?> Amount(string name, string description, string preset) => new(name)
    {
        Description = $"{description}; default: {preset}",
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
            long? value = Quantity.Parse(text);
            if (value is null)
            {
                result.AddError($"{name} takes a whole number of at least 1, with K, M or G if one likes, not '{text}'");
            }
            return value;
        },
    };

    private static int? Whole(ArgumentResult result, string name, int least, int most)
    {
        string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
        {
            return value;
        }
        result.AddError($"{name} takes a whole number from {least} to {most}, not '{text}'");
        return null;
    }

    private static T? Choose<T>(ArgumentResult result, string name, IReadOnlyDictionary<string, T> choices)
        where T : struct
    {
        string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        if (choices.TryGetValue(text, out T value))
        {
            return value;
        }
        result.AddError($"{name} takes {string.Join(", ", choices.Keys)}, not '{text}'");
        return null;
    }

    private static string Name<T>(Dictionary<string, T> names, T value)
        where T : struct => names.First(entry => entry.Value.Equals(value)).Key;
}
