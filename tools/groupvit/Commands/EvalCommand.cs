using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using GroupViT.Native;
using GroupViT.Native.Text;
using GroupViT.Tool.Evaluation;
using GroupViT.Tool.Pictures;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit eval: the figures of a data set, by the authors' protocol or Hugging Face's.</summary>
internal static class EvalCommand
{
    private static readonly Dictionary<string, DatasetKind> Kinds = new()
    {
        ["voc"] = DatasetKind.Voc,
        ["context"] = DatasetKind.Context,
        ["coco-object"] = DatasetKind.CocoObject,
        ["imagenet"] = DatasetKind.ImageNet,
        ["folder"] = DatasetKind.Folder,
    };

    public static Command Create()
    {
        Options options = new();
        Command command = new("eval", "Measure a model on a data set: mIoU of segmentation, top-1 and top-5 of classification.") { options.Dataset };
        foreach (Option option in options.All)
        {
            command.Add(option);
        }
        command.Add(EvalMergeCommand.Create());
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, parsed.GetValue(options.Json), parsed.GetValue(options.Quiet));
        ShardChoice shard = ShardChoice.Read(parsed.GetValue(options.Shard), parsed.GetValue(options.Shards), Environment.GetEnvironmentVariable);
        string folder = parsed.GetValue(options.Dataset) ?? throw new UsageException("which data set? Give its folder");
        DatasetKind kind = parsed.GetValue(options.Kind) ?? throw new UsageException($"which kind of data set is {folder}? Give --kind {string.Join('|', Kinds.Keys)}");
        EvaluationSet set = Open(parsed, options, folder, kind);
        SegmentationOptions rules = options.Rules.Read(parsed, output, set.Rules);
        using GroupVitModel model = ModelLocator.Open(parsed.GetValue(options.Model)!);
        LabelChoice labels = Labels(parsed, options, set, rules.Preset);
        Precision precision = parsed.GetValue(options.Precision);
        int batch = parsed.GetValue(options.Batch);
        int workers = parsed.GetValue(options.Workers);
        Func<int, int, (int, int)> input = set.HasMaps ? (width, height) => InputSize.Segmentation(model, rules, width, height)
            : rules.Preset == SegmentationPreset.Nvlabs ? (_, _) => (model.Config.Vision.ImageSize, model.Config.Vision.ImageSize)
            : (width, height) => InputSize.Processor(model, width, height);
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            Precision = precision,
            MaxSize = InputSize.Largest(model, PictureHeader.Sizes(set.Samples.Select(sample => new PictureEntry(sample.Picture)), CommonOptions.DefaultMaxPixels), input),
            MaxBatch = batch,
            MaxLabels = labels.Labels.Count,
            Workers = workers,
            Threads = parsed.GetValue(options.Threads),
            MemoryLimit = parsed.GetValue(options.MemoryLimit) ?? long.MaxValue,
        });
        string[] distinct = [.. labels.Labels.Distinct(StringComparer.Ordinal)];
        LabelBank bank = distinct.Length == labels.Labels.Count
            ? labels.Encode(session, cancellation)
            : (labels with { Labels = distinct }).Encode(session, cancellation).Arranged(labels.Labels);
        EvaluationState state = new(Settings(model, set, rules, labels, bank, precision), set.Labels, set.Samples.Count, shard.Index, shard.Count);
        OutputFolder target = new(parsed.GetValue(options.Out)!);
        string stateFile = Path.Combine(target.Path, StateName(shard));
        if (File.Exists(stateFile) && !parsed.GetValue(options.Restart))
        {
            state = Resume(stateFile, state);
        }
        Announce(output, set, rules, labels, session, precision, shard, state);
        Count(parsed, output, new EvaluationRun(session, bank, set, rules, workers, batch), state, stateFile, cancellation);
        return Finish(output, state, set.HasMaps, target, parsed.GetValue(options.SkipBad), cancellation);
    }

    /// <summary>Prints and writes the figures of what was counted; a part writes none, they come with its siblings.</summary>
    public static int Finish(Output output, EvaluationState state, bool hasMaps, OutputFolder target, bool skipBad, CancellationToken cancellation)
    {
        foreach ((string name, string error) in state.Failures.Take(10))
        {
            output.Problem($"{name}: {error}");
        }
        if (state.FailedCount > 0)
        {
            output.Problem($"{state.FailedCount} of {state.DoneCount} pictures failed and are not in the figures");
        }
        EvaluationReport report = new(state, hasMaps);
        if (state.Shards > 1)
        {
            output.Line($"shard {state.Shard} of {state.Shards}: {state.DoneCount} pictures counted; add the shards with: groupvit eval merge {target.Path}");
        }
        else
        {
            report.Print(output);
            report.WriteFiles(target, cancellation);
        }
        if (output.IsJson)
        {
            output.Json(report.Write);
        }
        return state.FailedCount > 0 && !skipBad ? ExitCodes.InputFailed : ExitCodes.Done;
    }

    private static EvaluationSet Open(ParseResult parsed, Options options, string folder, DatasetKind kind)
    {
        string? split = parsed.GetValue(options.Split);
        string? list = parsed.GetValue(options.List);
        if (split is not null && kind is (DatasetKind.ImageNet or DatasetKind.Folder))
        {
            throw new UsageException($"--split is for voc, context and coco-object; {Kinds.First(entry => entry.Value == kind).Key} has none");
        }
        if (list is not null && kind != DatasetKind.ImageNet)
        {
            throw new UsageException("--list is for --kind imagenet");
        }
        return kind switch
        {
            DatasetKind.Voc => SegmentationSets.Voc(folder, split),
            DatasetKind.Context => SegmentationSets.Context(folder, split),
            DatasetKind.CocoObject => SegmentationSets.CocoObject(folder, split),
            DatasetKind.ImageNet => ImageNetSet.Open(folder, list),
            _ => SegmentationSets.Folder(folder, parsed.GetValue(options.LabelsFile), parsed.GetValue(options.Ignore)),
        };
    }

    // The words may be others than the data set's, as long as there are as many: ids stay.
    private static LabelChoice Labels(ParseResult parsed, Options options, EvaluationSet set, SegmentationPreset preset)
    {
        string? file = parsed.GetValue(options.LabelsFile);
        IReadOnlyList<string> words = file is null || set.Kind == DatasetKind.Folder ? set.Labels : SegmentationSets.ReadLabels(file);
        if (words.Count != set.Labels.Count)
        {
            throw new UsageException($"{file}: {words.Count} labels, but the data set has {set.Labels.Count}; one for each was expected, in the order of the ids");
        }
        if ((words[0] == ClassNames.Background) != (set.Labels[0] == ClassNames.Background))
        {
            throw new UsageException($"{file}: the first label must {(set.Labels[0] == ClassNames.Background ? "" : "not ")}be {ClassNames.Background}, as the data set's is{(set.Labels[0] == ClassNames.Background ? "" : " not")}");
        }
        return LabelChoice.Of(words, parsed.GetValue(options.Templates) ?? set.Templates, parsed.GetValue(options.Normalization), preset, set.HasMaps);
    }

    private static Dictionary<string, string> Settings(GroupVitModel model, EvaluationSet set, SegmentationOptions rules, LabelChoice labels, LabelBank bank, Precision precision)
    {
        Dictionary<string, string> settings = new()
        {
            ["model"] = model.Fingerprint,
            ["kind"] = Kinds.First(entry => entry.Value == set.Kind).Key,
            ["list"] = set.ListHash,
            ["preset"] = CommonOptions.NameOf(rules.Preset),
            ["templates"] = string.Join('|', labels.Templates),
            ["normalization"] = CommonOptions.NameOf(labels.Normalization),
            ["words"] = string.Join(',', labels.Labels),
            ["text_side"] = bank.ContentHash,
            ["precision"] = CommonOptions.NameOf(precision),
        };
        if (set.HasMaps)
        {
            foreach ((string name, string value) in RuleOptions.Values(rules, model))
            {
                settings[name] = value;
            }
        }
        return settings;
    }

    private static EvaluationState Resume(string file, EvaluationState fresh)
    {
        EvaluationState found = EvaluationState.Load(file);
        string? difference = found.DifferenceTo(fresh.Settings);
        if (difference is null && (found.Samples != fresh.Samples || found.Shard != fresh.Shard || found.Shards != fresh.Shards || !found.Labels.SequenceEqual(fresh.Labels)))
        {
            difference = "the pictures, the labels or the shard are others";
        }
        return difference is null ? found : throw new UsageException($"{file}: this is the state of another run: {difference}. Take another --out, or begin anew with --restart");
    }

    private static void Announce(Output output, EvaluationSet set, SegmentationOptions rules, LabelChoice labels, Session session, Precision precision, ShardChoice shard, EvaluationState state)
    {
        output.Line($"{set.Samples.Count} pictures: {set.Description}");
        output.Line($"on {session.DeviceName} ({session.DeviceDescription}), {CommonOptions.NameOf(precision)}; {labels.Labels.Count} labels, templates {labels.TemplateSet}, normalization {CommonOptions.NameOf(labels.Normalization)}");
        string preset = $"preset {CommonOptions.NameOf(rules.Preset)}";
        output.Line(set.HasMaps ? string.Join(", ", RuleOptions.Values(rules, session.Model).Select(pair => $"{pair.Name.Replace('_', ' ')} {pair.Value}").Prepend(preset)) : preset);
        if (shard.Count > 1)
        {
            output.Line($"shard {shard.Index} of {shard.Count} ({shard.Source}): every {shard.Count}th picture, {state.MineCount} in all");
        }
        if (state.DoneCount > 0)
        {
            output.Line($"{state.DoneCount} pictures were counted before; going on");
        }
    }

    private static void Count(ParseResult parsed, Output output, EvaluationRun run, EvaluationState state, string stateFile, CancellationToken cancellation)
    {
        int left = state.MineCount - state.DoneCount;
        if (left == 0)
        {
            return;
        }
        long start = Stopwatch.GetTimestamp();
        long saved = start;
        int counted = 0;
        output.Progress("pictures", left, done =>
        {
            run.Run(
                state,
                () =>
                {
                    // A part of a second for a second of work at most, and nothing lost at the end.
                    if (state.IsComplete || cancellation.IsCancellationRequested || Stopwatch.GetElapsedTime(saved) > TimeSpan.FromSeconds(5))
                    {
                        state.Save(stateFile);
                        saved = Stopwatch.GetTimestamp();
                    }
                },
                (_, _) =>
                {
                    counted++;
                    done();
                },
                cancellation);
            return true;
        });
        state.Save(stateFile);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        output.Line(string.Create(CultureInfo.InvariantCulture, $"{counted} pictures in {seconds:0.0} s, {counted / seconds:0.00} a second"));
    }

    private static string StateName(ShardChoice shard) => shard.Count == 1 ? "state.json" : $"shard-{shard.Index}-of-{shard.Count}.json";

    private sealed class Options
    {
        public Argument<string?> Dataset { get; } = new("DATASET") { Description = "the data set's folder", Arity = ArgumentArity.ZeroOrOne };

        public Option<DatasetKind?> Kind { get; } = CommonOptions.OptionalChoice("--kind", "the data set's layout, labels and settings", Kinds);

        public Option<string?> Split { get; } = new("--split") { Description = "voc, context: the list in ImageSets; coco-object: the pictures' folder; default: val, val2017", HelpName = "NAME" };

        public Option<string?> List { get; } = new("--list") { Description = "imagenet: a file with a path and a label's number on each line, instead of folders of classes", HelpName = "FILE" };

        public Option<int> Ignore { get; } = CommonOptions.Whole("--ignore", "folder: the value of label maps that counts for nothing", 0, 65_535, 255);

        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<Precision> Precision { get; } = CommonOptions.Precision();

        public RuleOptions Rules { get; } = new();

        public Option<string?> LabelsFile { get; } = CommonOptions.LabelsFile();

        public Option<string?> Templates { get; } = CommonOptions.Templates("simple, imagenet: subset");

        public Option<TextNormalization?> Normalization { get; } = CommonOptions.Normalization("openai with preset nvlabs, huggingface with transformers");

        public Option<string> Out { get; } = new("--out") { Description = "the folder of the state and of the results", HelpName = "DIR", DefaultValueFactory = _ => "evaluation" };

        public Option<bool> Restart { get; } = new("--restart") { Description = "begin anew where a state is in the folder" };

        public Option<string?> Shard { get; } = new("--shard") { Description = "count only part INDEX of COUNT, from 0", HelpName = "INDEX/COUNT" };

        public Option<int?> Shards { get; } = CommonOptions.OptionalWhole("--shards", "count only one part of so many; which one, JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID says", 1, 65_536);

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<int> Batch { get; } = CommonOptions.Batch();

        public Option<int> Workers { get; } = CommonOptions.Workers();

        public Option<long?> MemoryLimit { get; } = CommonOptions.MemoryLimit();

        public Option<bool> SkipBad { get; } = CommonOptions.SkipBad();

        public Option<bool> Json { get; } = CommonOptions.Json();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        public IEnumerable<Option> All =>
        [
            Kind, Split, List, Ignore, Model, Device, Precision, .. Rules.All, LabelsFile, Templates, Normalization, Out, Restart, Shard, Shards, Threads, Batch, Workers,
            MemoryLimit, SkipBad, Json, Quiet,
        ];
    }
}
