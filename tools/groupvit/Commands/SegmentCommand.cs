using System.CommandLine;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit segment: a label for every pixel.</summary>
internal static class SegmentCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("segment", "Give every pixel of pictures a label; writes NAME.overlay.png, NAME.mask.png and NAME.json.") { options.Pictures };
        foreach (Option option in options.All)
        {
            command.Add(option);
        }
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, parsed.GetValue(options.Json), parsed.GetValue(options.Quiet));
        SegmentationOptions rules = options.Rules.Read(parsed, output);
        List<PictureEntry> pictures = PictureList.Expand(parsed.GetValue(options.Pictures)!);
        string modelName = parsed.GetValue(options.Model)!;
        using GroupVitModel model = ModelLocator.Open(modelName);
        SegmentSettings settings = new()
        {
            Model = modelName,
            Precision = parsed.GetValue(options.Precision),
            Rules = rules,
            Labels = options.Labels.Read(parsed, model, rules.Preset, background: true),
            Alpha = parsed.GetValue(options.Alpha),
            MaxPixels = parsed.GetValue(options.MaxPixels) ?? CommonOptions.DefaultMaxPixels,
            Threads = parsed.GetValue(options.Threads),
            Batch = parsed.GetValue(options.Batch),
            Workers = parsed.GetValue(options.Workers),
        };
        if (rules.Preset == SegmentationPreset.Transformers && settings.Labels.Labels[0] == ClassNames.Background)
        {
            output.Note("preset transformers knows no background threshold: 'background' is looked for like any other text");
        }
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            Precision = settings.Precision,
            MaxSize = InputSize.Largest(model, PictureHeader.Sizes(pictures, settings.MaxPixels), (width, height) => InputSize.Segmentation(model, rules, width, height)),
            MaxBatch = settings.Batch,
            MaxLabels = settings.Labels.Labels.Count,
            Workers = settings.Workers,
            Threads = settings.Threads,
            MemoryLimit = parsed.GetValue(options.MemoryLimit) ?? long.MaxValue,
        });
        LabelBank bank = settings.Labels.Encode(session, cancellation);
        // Last of what can refuse the whole run, so that a refused run leaves no new folder.
        OutputFolder folder = new(parsed.GetValue(options.Out)!);
        output.Line($"model {modelName} on {session.DeviceName} ({session.DeviceDescription}), {CommonOptions.NameOf(settings.Precision)}, preset {CommonOptions.NameOf(rules.Preset)}, {bank.Labels.Count} labels");
        List<SegmentTask> tasks = Name(pictures, folder, output);
        int failed = 0;
        SegmentReport report = new(output, tasks.Count, SegmentSettings.ColorsOf(bank.Labels));
        output.Progress("pictures", tasks.Count, done =>
        {
            new SegmentRun(session, bank, settings, folder).Run(
                tasks,
                outcome =>
                {
                    failed += outcome.Error is null ? 0 : 1;
                    report.Add(outcome);
                    done();
                },
                cancellation);
            return true;
        });
        output.Line($"memory: weights {Quantity.Bytes(session.WeightBytes)}, arena {Quantity.Bytes(session.ArenaBytes)}, peak of the process {Quantity.Bytes(ProcessMemory.Peak)}");
        if (failed > 0 && tasks.Count > 1)
        {
            output.Note($"{failed} of {tasks.Count} pictures failed");
        }
        return failed > 0 && !parsed.GetValue(options.SkipBad) ? ExitCodes.InputFailed : ExitCodes.Done;
    }

    private static List<SegmentTask> Name(List<PictureEntry> pictures, OutputFolder folder, Output output)
    {
        List<SegmentTask> tasks = [];
        foreach (PictureEntry picture in pictures)
        {
            string name = folder.Claim(picture.Path);
            if (picture.Problem is null && name != Path.GetFileNameWithoutExtension(picture.Path))
            {
                output.Note($"{picture.Path}: another picture has the same name; its files are named {name}.*");
            }
            tasks.Add(new SegmentTask(picture, name));
        }
        return tasks;
    }

    private sealed class Options
    {
        public Argument<string[]> Pictures { get; } = CommonOptions.Pictures();

        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<Precision> Precision { get; } = CommonOptions.Precision();

        public LabelChoiceOptions Labels { get; } = new("simple");

        public RuleOptions Rules { get; } = new();

        public Option<AlphaMode> Alpha { get; } = CommonOptions.Alpha();

        public Option<long?> MaxPixels { get; } = CommonOptions.MaxPixels();

        public Option<string> Out { get; } = new("--out") { Description = "the folder that results are written to", HelpName = "DIR", DefaultValueFactory = _ => "." };

        public Option<bool> Json { get; } = CommonOptions.Json();

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<int> Batch { get; } = CommonOptions.Batch();

        public Option<int> Workers { get; } = CommonOptions.Workers();

        public Option<long?> MemoryLimit { get; } = CommonOptions.MemoryLimit();

        public Option<bool> SkipBad { get; } = CommonOptions.SkipBad();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        public IEnumerable<Option> All =>
        [
            Model, Device, Precision, .. Labels.All, .. Rules.All, Alpha, MaxPixels, Out, Json, Threads, Batch, Workers,
            MemoryLimit, SkipBad, Quiet,
        ];
    }
}
