using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Tool.Segmenting;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit labels: shows label sets, template sets, a model's labels and label banks; encodes labels into a bank.</summary>
internal static class LabelsCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("labels", "Show label sets and template sets, a model's labels, or a label bank; with --save, encode labels into a bank.") { options.Set };
        foreach (Option option in options.All)
        {
            command.Add(option);
        }
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, parsed.GetValue(options.Json));
        string? set = parsed.GetValue(options.Set);
        string? save = parsed.GetValue(options.Save);
        string[] banks = parsed.GetValue(options.Bank)!;
        bool lists = options.Choice.All.Any(option => IsGiven(parsed, option));
        if (set is not null)
        {
            if (save is not null || lists || IsGiven(parsed, options.Model))
            {
                throw new UsageException("the name of a set is shown alone; to encode labels, give them with --labels or --labels-file");
            }
            ShowSet(output, set);
        }
        else if (save is not null)
        {
            if (banks.Length == 1)
            {
                throw new UsageException("--bank shows a finished bank, --save makes one; give one of them, or several banks to be combined");
            }
            LabelBank made = banks.Length > 1 ? Combined(banks) : Encode(parsed, options, save, cancellation);
            if (banks.Length > 1)
            {
                made.Save(save);
            }
            ShowBank(output, made, save);
        }
        else if (banks.Length > 0)
        {
            ShowBank(output, Combined(banks), string.Join(" + ", banks));
        }
        else if (lists || IsGiven(parsed, options.Model))
        {
            string name = parsed.GetValue(options.Model)!;
            using GroupVitModel model = ModelLocator.Open(name);
            ShowLabels(output, name, options.Choice.Read(parsed, model, parsed.GetValue(options.Preset), background: true).Labels);
        }
        else
        {
            ShowSets(output);
        }
        return ExitCodes.Done;
    }

    private static LabelBank Combined(string[] files) => LabelBank.Combine([.. files.Select(LabelBank.Load)]);

    private static LabelBank Encode(ParseResult parsed, Options options, string path, CancellationToken cancellation)
    {
        using GroupVitModel model = ModelLocator.Open(parsed.GetValue(options.Model)!);
        LabelChoice choice = options.Choice.Read(parsed, model, parsed.GetValue(options.Preset), background: true);
        int patch = model.Config.Vision.PatchSize;
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            Threads = parsed.GetValue(options.Threads),
            // No picture is encoded: the smallest arena that holds the texts.
            MaxSize = (patch, patch),
        });
        LabelBank bank = choice.Encode(session, cancellation);
        cancellation.ThrowIfCancellationRequested();
        bank.Save(path);
        return bank;
    }

    private static void ShowSets(Output output)
    {
        output.Table(
            ["label set", ">labels", "the first"],
            [.. ClassNames.Sets.Select(name => (IReadOnlyList<TableCell>)[name, Text(ClassNames.Get(name).Length), string.Join(", ", ClassNames.Get(name).Take(5))])]);
        output.Table(
            ["template set", ">templates", "the first"],
            [.. PromptTemplates.Names.Select(name => (IReadOnlyList<TableCell>)[name, Text(PromptTemplates.Find(name)!.Value.Length), PromptTemplates.Find(name)!.Value[0]])]);
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                WriteSets(writer, "label_sets", "labels", ClassNames.Sets, name => ClassNames.Get(name).Length);
                WriteSets(writer, "template_sets", "templates", PromptTemplates.Names, name => PromptTemplates.Find(name)!.Value.Length);
                writer.WriteEndObject();
            });
        }
    }

    private static void WriteSets(Utf8JsonWriter writer, string property, string count, IEnumerable<string> names, Func<string, int> size)
    {
        writer.WriteStartArray(property);
        foreach (string name in names)
        {
            writer.WriteStartObject();
            writer.WriteString("name", name);
            writer.WriteNumber(count, size(name));
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static void ShowSet(Output output, string name)
    {
        if (ClassNames.Sets.Contains(name))
        {
            ShowLabels(output, name, ClassNames.Get(name));
            return;
        }
        IReadOnlyList<string> templates = PromptTemplates.Find(name)
            ?? throw new UsageException($"there is no set '{name}'; label sets: {string.Join(", ", ClassNames.Sets)}; template sets: {string.Join(", ", PromptTemplates.Names)}");
        foreach (string template in templates)
        {
            output.Line(template);
        }
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("name", name);
                WriteTexts(writer, "templates", templates);
                writer.WriteEndObject();
            });
        }
    }

    private static void ShowLabels(Output output, string name, IReadOnlyList<string> labels)
    {
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("name", name);
                WriteLabels(writer, labels);
                writer.WriteEndObject();
            });
            return;
        }
        PrintLabels(output, labels);
    }

    private static void ShowBank(Output output, LabelBank bank, string file)
    {
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("file", file);
                writer.WriteString("fingerprint", bank.Fingerprint);
                writer.WriteString("normalization", CommonOptions.NameOf(bank.Normalization));
                writer.WriteBoolean("background", bank.HasBackground);
                writer.WriteNumber("width", bank.Width);
                WriteTexts(writer, "templates", bank.Templates);
                WriteLabels(writer, bank.Labels);
                writer.WriteEndObject();
            });
            return;
        }
        string background = bank.HasBackground ? ", the first of them a background threshold" : "";
        output.Line($"{file}: {bank.Labels.Count} labels{background}; embeddings of width {bank.Width}, normalization {CommonOptions.NameOf(bank.Normalization)}");
        output.Line($"model: {bank.Fingerprint}");
        string more = bank.Templates.Count > 3 ? $", ... ({bank.Templates.Count})" : "";
        output.Line($"templates: {string.Join(", ", bank.Templates.Take(3).Select(template => $"'{template}'"))}{more}");
        PrintLabels(output, bank.Labels);
    }

    private static void PrintLabels(Output output, IReadOnlyList<string> labels)
    {
        LabelColors colors = SegmentSettings.ColorsOf(labels);
        output.Table(
            [">id", "label", "colour"],
            [.. labels.Select((label, id) => (IReadOnlyList<TableCell>)[Text(id), label, new TableCell(Hex(colors[id]), colors[id])])]);
    }

    private static void WriteLabels(Utf8JsonWriter writer, IReadOnlyList<string> labels)
    {
        LabelColors colors = SegmentSettings.ColorsOf(labels);
        writer.WriteStartArray("labels");
        for (int id = 0; id < labels.Count; id++)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", id);
            writer.WriteString("label", labels[id]);
            writer.WriteString("color", Hex(colors[id]));
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static void WriteTexts(Utf8JsonWriter writer, string property, IEnumerable<string> texts)
    {
        writer.WriteStartArray(property);
        foreach (string text in texts)
        {
            writer.WriteStringValue(text);
        }
        writer.WriteEndArray();
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Hex((byte R, byte G, byte B) color) => $"#{color.R:x2}{color.G:x2}{color.B:x2}";

    private static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private sealed class Options
    {
        public Options()
        {
            Bank = Choice.All.OfType<Option<string[]>>().Single(option => option.Name == "--bank");
            All = [Model, .. Choice.All, Preset, Save, Device, Threads, Json];
        }

        public Argument<string?> Set { get; } = new("SET") { Description = "a label set or template set to show", Arity = ArgumentArity.ZeroOrOne };

        public Option<string> Model { get; } = CommonOptions.Model();

        public LabelChoiceOptions Choice { get; } = new("simple");

        public Option<string[]> Bank { get; }

        public Option<SegmentationPreset> Preset { get; } = CommonOptions.Preset();

        public Option<string?> Save { get; } = new("--save") { Description = "encode the labels and write them as a bank", HelpName = "BANK.safetensors" };

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<bool> Json { get; } = CommonOptions.Json();

        public IReadOnlyList<Option> All { get; }
    }
}
