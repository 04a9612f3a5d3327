using System.Text.Json;
using GroupViT.Native;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting.Outputs;

namespace GroupViT.Tool.Segmenting;

/// <summary>The JSON object of a segmented picture.</summary>
internal static class SegmentJson
{
    /// <summary>The bytes of NAME.json.</summary>
    public static byte[] Bytes(SegmentOutcome outcome, SortedDictionary<int, LabelRuns>? runs, Session session, LabelBank bank, SegmentSettings settings)
        => Output.JsonFile(writer => Write(writer, outcome, runs, session, bank, settings));

    /// <summary>The same object, for standard output; or file and error of a picture that failed.</summary>
    public static void WriteLine(Utf8JsonWriter writer, SegmentOutcome outcome)
    {
        if (outcome.Error is null)
        {
            using JsonDocument document = JsonDocument.Parse(outcome.Json);
            document.RootElement.WriteTo(writer);
            return;
        }
        WriteError(writer, outcome.Task.Picture.Path, outcome.Error, outcome.Task.Picture.Id);
    }

    /// <summary>What stands for a picture that failed.</summary>
    public static void WriteError(Utf8JsonWriter writer, string file, string error, string? id = null)
    {
        writer.WriteStartObject();
        WriteId(writer, id);
        writer.WriteString("file", file);
        writer.WriteString("error", error);
        writer.WriteEndObject();
    }

    /// <summary>The field bytes: what the session asked of its device, and the peak of the process.</summary>
    public static void WriteMemory(Utf8JsonWriter writer, Session session)
    {
        writer.WriteStartObject("bytes");
        writer.WriteNumber("weights", session.WeightBytes);
        writer.WriteNumber("arena", session.ArenaBytes);
        writer.WriteNumber("peak", ProcessMemory.Peak);
        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, SegmentOutcome outcome, SortedDictionary<int, LabelRuns>? runs, Session session, LabelBank bank, SegmentSettings settings)
    {
        SegmentationResult result = outcome.Result!;
        writer.WriteStartObject();
        WriteId(writer, outcome.Task.Picture.Id);
        writer.WriteString("file", outcome.Task.Picture.Path);
        writer.WriteNumber("width", result.Width);
        writer.WriteNumber("height", result.Height);
        writer.WriteString("device", session.DeviceName);
        writer.WriteString("precision", CommonOptions.NameOf(settings.Precision));
        writer.WriteString("preset", CommonOptions.NameOf(settings.Rules.Preset));
        WriteSettings(writer, result, session, bank, settings);
        writer.WriteStartArray("labels");
        foreach (LabelShare label in result.Labels)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", label.Id);
            writer.WriteString("label", label.Label);
            writer.WriteNumber("pixels", label.Pixels);
            writer.WriteNumber("share", label.Share);
            WriteOptional(writer, "score", label.Score);
            if (runs is not null && runs.TryGetValue(label.Id, out LabelRuns? own))
            {
                writer.WritePropertyName("rle");
                CocoJson.WriteRle(writer, result.Width, result.Height, own);
            }
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        SegmentTimes times = outcome.Times;
        writer.WriteStartObject("milliseconds");
        writer.WriteNumber("decode", Math.Round(times.Decode, 3));
        writer.WriteNumber("prepare", Math.Round(times.Prepare, 3));
        writer.WriteNumber("encode", Math.Round(times.Encode, 3));
        writer.WriteNumber("label", Math.Round(times.Label, 3));
        writer.WriteNumber("write", Math.Round(times.Write, 3));
        writer.WriteNumber("total", Math.Round(times.Total, 3));
        writer.WriteEndObject();
        WriteMemory(writer, session);
        if (outcome.Explanation is { } explanation)
        {
            writer.WritePropertyName("explanation");
            ExplainJson.Write(writer, outcome.Task.Picture.Path, explanation, bank, session.Model);
        }
        writer.WriteEndObject();
    }

    private static void WriteId(Utf8JsonWriter writer, string? id)
    {
        if (id is not null)
        {
            writer.WritePropertyName("id");
            writer.WriteRawValue(id);
        }
    }

    // What has no effect under a preset is null.
    private static void WriteSettings(Utf8JsonWriter writer, SegmentationResult result, Session session, LabelBank bank, SegmentSettings settings)
    {
        SegmentationOptions rules = settings.Rules;
        bool nvlabs = rules.Preset == SegmentationPreset.Nvlabs;
        (int width, int height) = InputSize.Segmentation(session.Model, rules, result.Width, result.Height);
        writer.WriteStartObject("settings");
        writer.WriteString("model", settings.Model);
        writer.WriteString("fingerprint", session.Model.Fingerprint);
        bool slides = rules.Mode == SegmentationMode.Slide;
        (int crop, int stride) = slides ? SlidingWindow.Sizes(rules, session.Model.SegmentationShortSide) : default;
        writer.WriteString("mode", slides ? "slide" : "whole");
        WriteOptional(writer, "crop", slides ? crop : null);
        WriteOptional(writer, "stride", slides ? stride : null);
        WriteOptional(writer, "short_side", nvlabs ? rules.ShortSide ?? session.Model.SegmentationShortSide : null);
        writer.WriteNumber("input_width", width);
        writer.WriteNumber("input_height", height);
        writer.WriteString("fit", nvlabs ? null : rules.Fit == PictureFit.Stretch ? "stretch" : "crop");
        writer.WriteString("templates", settings.Labels.TemplateSet);
        writer.WriteString("normalization", CommonOptions.NameOf(bank.Normalization));
        WriteOptional(writer, "background_threshold", bank.HasBackground ? rules.BackgroundThreshold : null);
        WriteOptional(writer, "effective_background_threshold", double.IsNaN(result.EffectiveThreshold) ? null : result.EffectiveThreshold);
        WriteOptional(writer, "top_classes", nvlabs ? rules.TopClasses : null);
        writer.WriteString("maps", rules.IsSoft ? "soft" : "hard");
        WriteOptional(writer, "temperature", rules.Temperature);
        writer.WriteString("alpha", CommonOptions.NameOf(settings.Alpha));
        writer.WriteNumber("max_pixels", settings.MaxPixels);
        writer.WriteNumber("threads", settings.Threads);
        writer.WriteNumber("batch", settings.Batch);
        writer.WriteNumber("workers", settings.Workers);
        writer.WriteEndObject();
    }

    private static void WriteOptional(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, number);
        }
        else
        {
            writer.WriteNull(name);
        }
    }
}
