using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit classify: the labels that name a whole picture best.</summary>
internal static class ClassifyCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("classify", "Name the labels that fit whole pictures best.") { options.Pictures };
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
        SegmentationPreset preset = parsed.GetValue(options.Preset);
        AlphaMode alpha = parsed.GetValue(options.Alpha);
        long maxPixels = parsed.GetValue(options.MaxPixels) ?? CommonOptions.DefaultMaxPixels;
        int top = parsed.GetValue(options.Top);
        List<PictureEntry> pictures = PictureList.Expand(parsed.GetValue(options.Pictures)!);
        string modelName = parsed.GetValue(options.Model)!;
        using GroupVitModel model = ModelLocator.Open(modelName);
        LabelChoice labels = options.Labels.Read(parsed, model, preset, background: false);
        Func<int, int, (int Width, int Height)> input = preset == SegmentationPreset.Nvlabs
            ? (_, _) => (model.Config.Vision.ImageSize, model.Config.Vision.ImageSize)
            : (width, height) => InputSize.Processor(model, width, height);
        Precision precision = parsed.GetValue(options.Precision);
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            Precision = precision,
            MaxSize = InputSize.Largest(model, PictureHeader.Sizes(pictures, maxPixels), input),
            MaxLabels = labels.Labels.Count,
            Threads = parsed.GetValue(options.Threads),
            MemoryLimit = parsed.GetValue(options.MemoryLimit) ?? long.MaxValue,
        });
        LabelBank bank = labels.Encode(session, cancellation);
        output.Line($"model {modelName} on {session.DeviceName} ({session.DeviceDescription}), {CommonOptions.NameOf(precision)}, preset {CommonOptions.NameOf(preset)}, {bank.Labels.Count} labels");
        int failed = 0;
        foreach (PictureEntry entry in pictures)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                long start = Stopwatch.GetTimestamp();
                Picture picture = PictureList.Decode(entry, alpha, maxPixels);
                double decode = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                IReadOnlyList<ClassScore> scores = session.Classify(picture, bank, preset, cancellation);
                double total = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                if (output.IsJson)
                {
                    output.Json(Object);
                }
                output.Line($"{entry.Path}: {picture.Width} x {picture.Height} pixels");
                output.Table(
                    ["label", ">score"],
                    [.. scores.Take(top).Select(score => (IReadOnlyList<TableCell>)[score.Label, score.Score.ToString("0.0000", CultureInfo.InvariantCulture)])]);
                output.Line(string.Create(CultureInfo.InvariantCulture, $"decode {decode:0.0} ms, encode {total - decode:0.0} ms, total {total:0.0} ms"));

                void Object(Utf8JsonWriter writer)
                {
                    writer.WriteStartObject();
                    writer.WriteString("file", entry.Path);
                    writer.WriteNumber("width", picture.Width);
                    writer.WriteNumber("height", picture.Height);
                    writer.WriteString("device", session.DeviceName);
                    writer.WriteString("precision", CommonOptions.NameOf(precision));
                    writer.WriteString("preset", CommonOptions.NameOf(preset));
                    writer.WriteStartObject("settings");
                    writer.WriteString("model", modelName);
                    writer.WriteString("fingerprint", model.Fingerprint);
                    writer.WriteString("templates", labels.TemplateSet);
                    writer.WriteString("normalization", CommonOptions.NameOf(bank.Normalization));
                    writer.WriteNumber("top", top);
                    writer.WriteString("alpha", CommonOptions.NameOf(alpha));
                    writer.WriteNumber("max_pixels", maxPixels);
                    writer.WriteEndObject();
                    writer.WriteStartArray("labels");
                    foreach (ClassScore score in scores.Take(top))
                    {
                        writer.WriteStartObject();
                        writer.WriteNumber("id", score.Id);
                        writer.WriteString("label", score.Label);
                        writer.WriteNumber("score", score.Score);
                        writer.WriteEndObject();
                    }
                    writer.WriteEndArray();
                    writer.WriteStartObject("milliseconds");
                    writer.WriteNumber("decode", Math.Round(decode, 3));
                    writer.WriteNumber("encode", Math.Round(total - decode, 3));
                    writer.WriteNumber("total", Math.Round(total, 3));
                    writer.WriteEndObject();
                    SegmentJson.WriteMemory(writer, session);
                    writer.WriteEndObject();
                }
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                failed++;
                string error = ExitCodes.Describe(exception);
                output.Problem(error);
                if (output.IsJson)
                {
                    output.Json(writer => SegmentJson.WriteError(writer, entry.Path, error));
                }
            }
        }
        output.Line($"memory: weights {Quantity.Bytes(session.WeightBytes)}, arena {Quantity.Bytes(session.ArenaBytes)}, peak of the process {Quantity.Bytes(ProcessMemory.Peak)}");
        return failed > 0 && !parsed.GetValue(options.SkipBad) ? ExitCodes.InputFailed : ExitCodes.Done;
    }

    private sealed class Options
    {
        public Argument<string[]> Pictures { get; } = CommonOptions.Pictures();

        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<Precision> Precision { get; } = CommonOptions.Precision();

        public LabelChoiceOptions Labels { get; } = new("subset");

        public Option<SegmentationPreset> Preset { get; } = CommonOptions.Preset();

        public Option<int> Top { get; } = CommonOptions.Whole("--top", "so many labels, the best first", 1, 65_535, 5);

        public Option<AlphaMode> Alpha { get; } = CommonOptions.Alpha();

        public Option<long?> MaxPixels { get; } = CommonOptions.MaxPixels();

        public Option<bool> Json { get; } = CommonOptions.Json();

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<long?> MemoryLimit { get; } = CommonOptions.MemoryLimit();

        public Option<bool> SkipBad { get; } = CommonOptions.SkipBad();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        public IEnumerable<Option> All => [Model, Device, Precision, .. Labels.All, Preset, Top, Alpha, MaxPixels, Json, Threads, MemoryLimit, SkipBad, Quiet];
    }
}
