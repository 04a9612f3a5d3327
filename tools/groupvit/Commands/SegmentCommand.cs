using System.CommandLine;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Native.Text;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit segment: a label for every pixel.</summary>
internal static class SegmentCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("segment", "Give every pixel of pictures a label; writes NAME.overlay.png, NAME.mask.png and NAME.json, or what --write says.") { options.Pictures };
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
        string[] arguments = parsed.GetValue(options.Pictures)!;
        bool piped = arguments is [PictureLines.Argument];
        if (!piped && arguments.Contains(PictureLines.Argument))
        {
            throw new UsageException("- (pictures named on standard input) stands alone; leave out the other pictures");
        }
        List<PictureEntry> pictures = piped ? [] : PictureList.Expand(arguments);
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
            Workers = SegmentSettings.WorkersFor(piped ? null : pictures.Count, parsed.GetValue(options.Workers), parsed.GetValue(options.MemoryLimit) ?? long.MaxValue),
            Outputs = parsed.GetValue(options.Write),
            JsonLines = output.IsJson,
            JsonRle = parsed.GetValue(options.JsonRle) || (parsed.GetValue(options.Write) & OutputKind.Rle) != 0,
            Explain = Explained(parsed, options, rules),
        };
        if (rules.Preset == SegmentationPreset.Transformers && settings.Labels.Labels[0] == ClassNames.Background)
        {
            output.Note("preset transformers knows no background threshold: 'background' is looked for like any other text");
        }
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            Precision = settings.Precision,
            MaxSize = InputSize.Largest(model, piped ? PipedShapes(model, rules) : PictureHeader.Sizes(pictures, settings.MaxPixels), (width, height) => InputSize.Segmentation(model, rules, width, height)),
            MaxBatch = settings.Batch,
            MaxLabels = settings.Labels.Labels.Count,
            Workers = settings.Workers,
            Threads = settings.Threads,
            MemoryLimit = parsed.GetValue(options.MemoryLimit) ?? long.MaxValue,
        });
        LabelBank bank = settings.Labels.Encode(session, cancellation);
        // Last of what can refuse the whole run, so that a refused run leaves no new folder.
        OutputFolder? folder = settings.Outputs == OutputKind.None ? null : new(parsed.GetValue(options.Out)!);
        output.Line($"model {modelName} on {session.DeviceName} ({session.DeviceDescription}), {CommonOptions.NameOf(settings.Precision)}, preset {CommonOptions.NameOf(rules.Preset)}, {bank.Labels.Count} labels");
        IEnumerable<SegmentTask> tasks = Name(piped ? PictureLines.Read() : pictures, folder, output);
        int failed = 0;
        int seen = 0;
        SegmentReport report = new(output, piped ? null : pictures.Count, bank, SegmentSettings.ColorsOf(bank.Labels), settings.Explain is { Count: > 0 });
        output.Progress("pictures", pictures.Count, done =>
        {
            new SegmentRun(session, bank, settings, folder).Run(
                tasks,
                outcome =>
                {
                    seen++;
                    failed += outcome.Error is null ? 0 : 1;
                    report.Add(outcome);
                    done();
                },
                cancellation);
            return true;
        });
        output.Line($"memory: weights {Quantity.Bytes(session.WeightBytes)}, arena {Quantity.Bytes(session.ArenaBytes)}, peak of the process {Quantity.Bytes(ProcessMemory.Peak)}");
        if (failed > 0 && seen > 1)
        {
            output.Note($"{failed} of {seen} pictures failed");
        }
        return failed > 0 && !parsed.GetValue(options.SkipBad) ? ExitCodes.InputFailed : ExitCodes.Done;
    }

    // What comes on a pipe is not known when the session's memory is made: the shape whose input is largest, where the longer side meets its limit.
    private static (int, int)[] PipedShapes(GroupVitModel model, SegmentationOptions rules)
    {
        int shortSide = rules.ShortSide ?? model.SegmentationShortSide;
        return [(Math.Max(2048, shortSide), shortSide), (shortSide, shortSide)];
    }

    private static IReadOnlyList<string>? Explained(ParseResult parsed, Options options, SegmentationOptions rules)
    {
        if (parsed.GetResult(options.Explain) is null)
        {
            return null;
        }
        if (rules.Mode == SegmentationMode.Slide)
        {
            throw new UsageException("--explain is for --mode whole: each window of --mode slide has groups, a filter and a threshold of its own");
        }
        return parsed.GetValue(options.Explain) is { } labels ? ClassNames.Parse(labels) : [];
    }

    // One after another, so that pictures from a pipe are named as they come.
    private static IEnumerable<SegmentTask> Name(IEnumerable<PictureEntry> pictures, OutputFolder? folder, Output output)
    {
        foreach (PictureEntry picture in pictures)
        {
            string stem = Path.GetFileNameWithoutExtension(picture.Path);
            string name = folder?.Claim(picture.Path) ?? stem;
            if (picture.Problem is null && name != stem)
            {
                output.Note($"{picture.Path}: another picture has the same name; its files are named {name}.*");
            }
            yield return new SegmentTask(picture, name);
        }
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

        public Option<OutputKind> Write { get; } = OutputKinds.Option();

        public Option<string?> Explain { get; } = new("--explain")
        {
            Description = "say why labels are, or are not, in each picture, also in NAME.explain.json; without a list: all labels",
            HelpName = "\"a, b\"",
            Arity = ArgumentArity.ZeroOrOne,
        };

        public Option<bool> Json { get; } = new("--json", "--json-lines") { Description = "JSON on standard output, and nothing else there: an object on a line for each picture, as soon as it is done" };

        public Option<bool> JsonRle { get; } = new("--json-rle") { Description = "each label's pixels as COCO run lengths in the JSON, also without files (--write none)" };

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<int> Batch { get; } = CommonOptions.Batch();

        public Option<int?> Workers { get; } = CommonOptions.OptionalWhole("--workers", "pictures (or batches) in the network at once, each with memory of its own and its part of the threads; default: 2 for several pictures, else 1", 1, 64);

        public Option<long?> MemoryLimit { get; } = CommonOptions.MemoryLimit();

        public Option<bool> SkipBad { get; } = CommonOptions.SkipBad();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        public IEnumerable<Option> All =>
        [
            Model, Device, Precision, .. Labels.All, .. Rules.All, Alpha, MaxPixels, Out, Write, Explain, Json, JsonRle, Threads, Batch, Workers,
            MemoryLimit, SkipBad, Quiet,
        ];
    }
}
