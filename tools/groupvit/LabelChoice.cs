using System.CommandLine;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tool;

/// <summary>The options that say which labels are looked for, and how they are encoded.</summary>
internal sealed class LabelChoiceOptions(string presetTemplates)
{
    private readonly Option<string?> labels = CommonOptions.Labels();
    private readonly Option<string?> labelsFile = CommonOptions.LabelsFile();
    private readonly Option<string[]> bank = CommonOptions.Bank();
    private readonly Option<string?> templates = CommonOptions.Templates(presetTemplates);
    private readonly Option<TextNormalization?> normalization = CommonOptions.Normalization("openai with preset nvlabs, huggingface with transformers");

    public IEnumerable<Option> All => [labels, labelsFile, bank, templates, normalization];

    /// <summary>What the command line says about labels; a bank is read here, texts are encoded later.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="model">Its own labels are the default.</param>
    /// <param name="preset">Decides the default normalisation and whether there is a background.</param>
    /// <param name="background">Whether the command knows a background at all.</param>
    /// <exception cref="UsageException">There are no labels, or they come from two places.</exception>
    /// <exception cref="LabelException">The labels cannot be used, or the bank is of another model.</exception>
    public LabelChoice Read(ParseResult parsed, GroupVitModel model, SegmentationPreset preset, bool background)
    {
        string? list = parsed.GetValue(labels);
        string? file = parsed.GetValue(labelsFile);
        string[] bankFiles = parsed.GetValue(bank)!;
        string? templateSet = parsed.GetValue(templates);
        TextNormalization? cleaning = parsed.GetValue(normalization);
        if ((list is null ? 0 : 1) + (file is null ? 0 : 1) + (bankFiles.Length == 0 ? 0 : 1) > 1)
        {
            throw new UsageException("--labels, --labels-file and --bank exclude one another; give one of them");
        }
        bool knowsBackground = background && preset == SegmentationPreset.Nvlabs;
        if (bankFiles.Length > 0)
        {
            if (templateSet is not null || cleaning is not null)
            {
                throw new UsageException("a bank brings its templates and normalization along; leave out --templates and --normalization");
            }
            return ReadBank(bankFiles, model, knowsBackground);
        }
        IReadOnlyList<string> chosen = list is not null ? ClassNames.Parse(list)
            : file is not null ? ReadFile(file, ClassNames.Read)
            : model.Labels.Count > 0 ? model.Labels
            : throw new UsageException("which labels? The model suggests none (it has no labels.txt); give --labels, --labels-file or --bank");
        return LabelChoice.Of(chosen, templateSet ?? presetTemplates, cleaning, preset, background);
    }

    private static LabelChoice ReadBank(string[] files, GroupVitModel model, bool knowsBackground)
    {
        List<LabelBank> banks = [];
        foreach (string file in files)
        {
            if (!File.Exists(file))
            {
                throw new ModelFileException(file, "there is no such label bank");
            }
            LabelBank one = LabelBank.Load(file);
            if (one.Fingerprint != model.Fingerprint)
            {
                throw new LabelException($"{file}: the label bank is of another model (fingerprint {one.Fingerprint}, not {model.Fingerprint}); make one with this model");
            }
            if (one.HasBackground && !knowsBackground)
            {
                throw new LabelException($"{file}: the bank has a background threshold, which only segmentation by preset nvlabs knows; make one without");
            }
            banks.Add(one);
        }
        LabelBank bank = LabelBank.Combine(banks);
        string templates = PromptTemplates.Names.FirstOrDefault(name => PromptTemplates.Find(name)!.Value.SequenceEqual(bank.Templates)) ?? "of the bank";
        return new LabelChoice(bank.Labels, bank, templates, bank.Templates, bank.Normalization, bank.HasBackground);
    }

    public static T ReadFile<T>(string path, Func<Stream, string, T> read, string before = "")
    {
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            return read(stream, path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{path}: {before}the file cannot be read: {exception.Message}", exception);
        }
    }
}

/// <summary>Labels and how they are encoded.</summary>
/// <param name="Labels">In the order given.</param>
/// <param name="Bank">The finished bank they came from, if they did.</param>
/// <param name="TemplateSet">The templates' name, or their file.</param>
/// <param name="Templates">The templates.</param>
/// <param name="Normalization">How texts are cleaned.</param>
/// <param name="KnowsBackground">Whether a first label named background is a threshold.</param>
internal sealed record LabelChoice(
    IReadOnlyList<string> Labels, LabelBank? Bank, string TemplateSet, IReadOnlyList<string> Templates, TextNormalization Normalization, bool KnowsBackground)
{
    /// <param name="labels">In the order given.</param>
    /// <param name="templates">The name of a set of templates, or a file of them.</param>
    /// <param name="normalization">Null for the preset's own.</param>
    /// <param name="preset">Decides the default normalisation and whether there is a background.</param>
    /// <param name="background">Whether the command knows a background at all.</param>
    public static LabelChoice Of(IReadOnlyList<string> labels, string templates, TextNormalization? normalization, SegmentationPreset preset, bool background)
        => new(
            labels,
            null,
            templates,
            PromptTemplates.Find(templates)
                ?? LabelChoiceOptions.ReadFile(templates, PromptTemplates.Read, $"'{templates}' is none of the template sets {string.Join(", ", PromptTemplates.Names)}, and "),
            normalization ?? (preset == SegmentationPreset.Nvlabs ? TextNormalization.OpenAI : TextNormalization.HuggingFace),
            background && preset == SegmentationPreset.Nvlabs);

    public LabelBank Encode(Session session, CancellationToken cancellation)
        => Bank ?? session.EncodeLabels(Labels, new LabelOptions { Templates = Templates, Normalization = Normalization, Background = KnowsBackground }, cancellation);
}
