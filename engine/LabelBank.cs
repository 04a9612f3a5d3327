using System.Text.Json;
using GroupViT.Native.Weights;

namespace GroupViT.Native;

/// <summary>How labels become embeddings.</summary>
public sealed record LabelOptions
{
    /// <summary>Prompt templates, each with {} where the label goes; null for <c>a photo of a {}.</c>.</summary>
    public IReadOnlyList<string>? Templates { get; init; }

    /// <summary>How texts are cleaned before they are tokenised.</summary>
    public TextNormalization Normalization { get; init; } = TextNormalization.OpenAI;

    /// <summary>
    /// A list that begins with <c>background</c> has one: it is a threshold, not a text (preset nvlabs, spec F.1 step 0). Without, it is
    /// an ordinary label (preset transformers).
    /// </summary>
    public bool Background { get; init; } = true;
}

/// <summary>
/// Labels as unit embeddings, finished: with a bank neither the text tower nor the tokenizer is needed. Immutable, thread-safe.
/// </summary>
public sealed class LabelBank
{
    private const string Format = "GroupViT.Native label bank 1";

    internal LabelBank(IReadOnlyList<string> labels, bool hasBackground, float[] embeddings, int width, IReadOnlyList<string> templates, TextNormalization normalization, string fingerprint)
    {
        (Labels, HasBackground, Embeddings, Width) = (labels, hasBackground, embeddings, width);
        (Templates, Normalization, Fingerprint) = (templates, normalization, fingerprint);
    }

    /// <summary>The labels in the order given; a mask's values are positions in it.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>The labels as they were given, with their synonyms.</summary>
    public IReadOnlyList<string> Texts { get => field ?? Labels; internal init; }

    /// <summary>True where label 0 is the background threshold and has no embedding.</summary>
    public bool HasBackground { get; }

    /// <summary>The prompt templates that were averaged; of a combined bank those of all its parts.</summary>
    public IReadOnlyList<string> Templates { get; }

    /// <summary>How the texts were cleaned.</summary>
    public TextNormalization Normalization { get; }

    /// <summary>The model's fingerprint.</summary>
    public string Fingerprint { get; }

    /// <summary>[labels without the background, width], row by row, each of length 1.</summary>
    internal float[] Embeddings { get; }

    internal int Width { get; }

    /// <summary>Stands for the embeddings, to eleven bits of each value: machines that sum in another order agree.</summary>
    internal string ContentHash
    {
        get
        {
            short[] rounded = [.. Embeddings.Select(value => (short)Math.Round(value * 1024))];
            return Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes<short>(rounded)));
        }
    }

    /// <summary>Labels that have an embedding.</summary>
    internal int Count => Embeddings.Length / Width;

    /// <summary>
    /// The bank's labels in another order, as often as they are named: ImageNet's list holds two names twice (spec L.5), which a list that
    /// a user writes may not.
    /// </summary>
    internal LabelBank Arranged(IReadOnlyList<string> labels)
    {
        if (HasBackground)
        {
            throw new ArgumentException("a bank with background has its threshold in the first place", nameof(labels));
        }
        Dictionary<string, int> rows = Labels.Index().ToDictionary(label => label.Item, label => label.Index, StringComparer.Ordinal);
        float[] embeddings = new float[labels.Count * Width];
        for (int i = 0; i < labels.Count; i++)
        {
            Embeddings.AsSpan(rows[labels[i]] * Width, Width).CopyTo(embeddings.AsSpan(i * Width));
        }
        return new LabelBank(labels, false, embeddings, Width, Templates, Normalization, Fingerprint);
    }

    /// <summary>Writes the bank as a safetensors file, whole or not at all.</summary>
    public void Save(string path)
    {
        Dictionary<string, string> metadata = new()
        {
            ["format"] = Format,
            ["fingerprint"] = Fingerprint,
            ["labels"] = JsonSerializer.Serialize(Labels),
            ["texts"] = JsonSerializer.Serialize(Texts),
            ["templates"] = JsonSerializer.Serialize(Templates),
            ["normalization"] = Normalization.ToString(),
            ["background"] = HasBackground ? "true" : "false",
        };
        TensorToWrite tensor = TensorToWrite.OfFloats("embeddings", SafetensorsType.F32, [Count, Width], (first, span) => Embeddings.AsSpan((int)first, span.Length).CopyTo(span));
        SafetensorsWriter.Write(path, [tensor], metadata);
    }

    /// <summary>The labels of several banks one after another; a background may only be the first's.</summary>
    /// <exception cref="LabelException">The banks are of different models or were cleaned differently, a label is in two, or a later one has a background.</exception>
    public static LabelBank Combine(params IReadOnlyList<LabelBank> banks)
    {
        ArgumentNullException.ThrowIfNull(banks);
        LabelBank first = banks.Count > 0 ? banks[0] : throw new ArgumentException("there must be at least one bank", nameof(banks));
        foreach (LabelBank bank in banks.Skip(1))
        {
            if (bank.Fingerprint != first.Fingerprint || bank.Width != first.Width)
            {
                throw new LabelException($"label banks of two models cannot be combined (fingerprints {first.Fingerprint} and {bank.Fingerprint})");
            }
            if (bank.Normalization != first.Normalization)
            {
                throw new LabelException($"the banks' texts were cleaned differently ({first.Normalization} and {bank.Normalization}); encode one of them again");
            }
            if (bank.HasBackground)
            {
                throw new LabelException("only the first of combined banks may have a background: it is label 0");
            }
        }
        return new LabelBank(
            Text.ClassNames.Check([.. banks.SelectMany(bank => bank.Labels)]), first.HasBackground, [.. banks.SelectMany(bank => bank.Embeddings)], first.Width,
            [.. banks.SelectMany(bank => bank.Templates).Distinct()], first.Normalization, first.Fingerprint)
        {
            Texts = [.. banks.SelectMany(bank => bank.Texts)],
        };
    }

    /// <summary>Reads a bank that <see cref="Save"/> wrote.</summary>
    /// <exception cref="ModelFileException">The file is damaged or no label bank.</exception>
    public static LabelBank Load(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return Read(file);
    }

    /// <summary><see cref="Load"/> from a file that is open.</summary>
    internal static LabelBank Read(SafetensorsFile file)
    {
        string path = file.Name;
        if (!file.Metadata.TryGetValue("format", out string? format) || format != Format || !file.Tensors.TryGetValue("embeddings", out SafetensorsEntry? entry))
        {
            throw new ModelFileException(path, $"this is no label bank (its metadata's format is '{SafetensorsHeader.Shorten(format ?? "")}', not '{Format}')");
        }
        string[] labels = Strings(file, path, "labels");
        bool background = file.Metadata.GetValueOrDefault("background") == "true";
        if (entry.Shape.Length != 2 || entry.Shape[0] != labels.Length - (background ? 1 : 0) || entry.Shape[0] < 1 || entry.Shape[1] is < 1 or > 8192)
        {
            throw new ModelFileException(path, $"{entry.ShapeText} embeddings do not fit {labels.Length} labels", "embeddings");
        }
        float[] embeddings = new float[entry.Shape[0] * entry.Shape[1]];
        file.ReadFloat32(entry, 0, embeddings);
        int bad = embeddings.AsSpan().IndexOfAnyExceptInRange(-1.001f, 1.001f);
        if (bad >= 0)
        {
            throw new ModelFileException(path, $"the value at {bad} is {embeddings[bad]}; unit embeddings lie in -1..1", "embeddings");
        }
        for (int row = 0; row < entry.Shape[0]; row++)
        {
            double squares = 0;
            foreach (float value in embeddings.AsSpan((int)(row * entry.Shape[1]), (int)entry.Shape[1]))
            {
                squares += (double)value * value;
            }
            if (Math.Abs(squares - 1) > 1e-3)
            {
                throw new ModelFileException(path, $"the embedding of label {row} has length {Math.Sqrt(squares)}; it must be 1", "embeddings");
            }
        }
        if (!Enum.TryParse(file.Metadata.GetValueOrDefault("normalization"), out TextNormalization normalization) || !Enum.IsDefined(normalization))
        {
            throw new ModelFileException(path, "the metadata names no known normalization");
        }
        try
        {
            Text.ClassNames.Check(labels);
        }
        catch (LabelException exception)
        {
            throw new ModelFileException(path, $"the metadata's labels cannot be used: {exception.Message}", inner: exception);
        }
        if (background && labels[0] != Text.ClassNames.Background)
        {
            throw new ModelFileException(path, $"the metadata says that there is a background, but the first label is '{SafetensorsHeader.Shorten(labels[0])}'");
        }
        // Banks of before there were synonyms have none.
        string[] texts = file.Metadata.ContainsKey("texts") ? Strings(file, path, "texts") : labels;
        if (texts.Length != labels.Length)
        {
            throw new ModelFileException(path, $"the metadata holds {texts.Length} texts for {labels.Length} labels");
        }
        return new LabelBank(labels, background, embeddings, (int)entry.Shape[1], Strings(file, path, "templates"), normalization, file.Metadata.GetValueOrDefault("fingerprint") ?? "")
        {
            Texts = texts,
        };
    }

    private static string[] Strings(SafetensorsFile file, string path, string key)
    {
        try
        {
            string[]? strings = JsonSerializer.Deserialize<string[]>(file.Metadata.GetValueOrDefault(key) ?? "null");
            return strings is not null && strings.All(text => text is not null) ? strings : throw new JsonException("a list of texts is expected");
        }
        catch (JsonException exception)
        {
            throw new ModelFileException(path, $"the metadata's {key} cannot be read: {JsonProblem.Of(exception)}", inner: exception);
        }
    }
}
