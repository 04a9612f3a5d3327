using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Tool.Converting;
using GroupViT.Tool.Converting.Sources;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit info: what a model is, and what it will need.</summary>
internal static class InfoCommand
{
    public static Command Create()
    {
        Argument<string> model = new("MODEL")
        {
            Description = "'scenes' (built in), a folder, a weights file (.safetensors, an index of shards, .pth, .bin), or a repository id in the local Hugging Face cache",
            DefaultValueFactory = _ => ModelLocator.Scenes,
        };
        Option<(int Height, int Width)[]> sizes = new("--size")
        {
            Description = "also the memory that inputs of this size need; may be given several times",
            HelpName = "HEIGHTxWIDTH",
            Arity = ArgumentArity.OneOrMore,
            CustomParser = Sizes,
        };
        Option<string[]> devices = new("--device")
        {
            Description = "whose memory to estimate, in every precision it has; may be given several times; default: cpu",
            HelpName = "DEVICE",
            DefaultValueFactory = _ => ["cpu"],
        };
        Option<bool> check = new("--check") { Description = "read every tensor and count what is not a number or infinite (exit code 1 if anything is)" };
        Option<bool> json = CommonOptions.Json();
        Command command = new("info", "Show a model's architecture, files and memory.") { model, devices, sizes, check, json };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token =>
            {
                string name = parsed.GetValue(model)!;
                ModelReport report = Report(name, parsed.GetValue(devices)!, parsed.GetValue(sizes) ?? [], parsed.GetValue(check), token);
                Output output = new(parsed, parsed.GetValue(json));
                if (output.IsJson)
                {
                    output.Json(writer => Write(writer, report));
                }
                else
                {
                    Print(output, report);
                }
                return report.Damaged is { Count: > 0 } ? ExitCodes.InputFailed : ExitCodes.Done;
            },
            cancellation));
        return command;
    }

    private static ModelReport Report(string name, IReadOnlyList<string> devices, IReadOnlyList<(int Height, int Width)> sizes, bool check, CancellationToken cancellation)
    {
        if (name == ModelLocator.Scenes)
        {
            using GroupVitModel scenes = ModelLocator.Open(name);
            return ModelReport.Of(name, scenes, devices, sizes, check, cancellation) with { ConfigFile = ModelFiles.Config };
        }
        using CheckpointFile file = CheckpointFile.Open(ModelLocator.Locate(name, Environment.GetEnvironmentVariable));
        CheckpointModelFiles files = new(file);
        using GroupVitModel model = GroupVitModel.Load(files);
        return ModelReport.Of(name, model, devices, sizes, check, cancellation) with
        {
            ConfigFile = files.ConfigPath,
            Container = file.KindName,
            Others = [.. file.Extras.Keys.Concat(file.Weights.Metadata.Keys).Order(StringComparer.Ordinal)],
            Notes =
                files.ConfigPath is null ? files.Inferred!.Notes
                : files.Inferred is { } inferred ? CheckpointModelFiles.Differences(model.Config, inferred.Config)
                : [$"from the tensors alone it could not be told: {files.NotInferred}"],
        };
    }

    private static (int Height, int Width)[] Sizes(ArgumentResult result)
    {
        List<(int, int)> sizes = [];
        foreach (Token token in result.Tokens)
        {
            string[] sides = token.Value.Split('x');
            if (sides.Length == 2 && Side(sides[0]) is { } height && Side(sides[1]) is { } width)
            {
                sizes.Add((height, width));
            }
            else
            {
                result.AddError($"--size takes HEIGHTxWIDTH in pixels, each from 1 to 16384, not '{token.Value}'");
            }
        }
        return [.. sizes];
    }

    private static int? Side(string text)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int side) && side is >= 1 and <= 16384 ? side : null;

    private static void Print(Output output, ModelReport report)
    {
        (VisionConfig vision, TextConfig text) = (report.Config.Vision, report.Config.Text);
        output.Line($"model {report.Name}: {report.Container}, {report.Layout} layout, weights {report.WeightType}, {Quantity.Bytes(report.WeightBytes)}");
        output.Line($"tensors: {string.Join(", ", report.Types.Select(type => $"{type.Tensors} {type.Type} ({Quantity.Bytes(type.Bytes)})"))}{(report.Others.Count > 0 ? $"; beside them: {string.Join(", ", report.Others)}" : "")}");
        output.Line($"configuration: {report.ConfigFile ?? "told from the tensors"}");
        foreach (string note in report.Notes)
        {
            output.Line($"  {note}");
        }
        output.Line($"fingerprint {report.Fingerprint}");
        output.Line($"image encoder: width {vision.HiddenSize}, {vision.NumAttentionHeads} heads, depths {string.Join('/', vision.Depths)}, groups {string.Join('/', vision.NumOutputGroups.Take(vision.StageCount - 1))}, patch {vision.PatchSize}, image {vision.ImageSize}");
        output.Line($"text encoder: width {text.HiddenSize}, {text.NumAttentionHeads} heads, {text.NumHiddenLayers} layers, context {text.MaxPositionEmbeddings}, vocabulary {text.VocabSize}; projection to {report.Config.ProjectionDim}");
        output.Line(report.Vocabulary is { } entries ? $"tokenizer: {entries} entries" : $"tokenizer: none ({report.TokenizerProblem})");
        output.Line(report.Labels.Count > 0 ? $"labels: {string.Join(", ", report.Labels)}" : "labels: none suggested");
        output.Line($"preprocessing: {(report.Preprocessor is null ? "no preprocessor_config.json: CLIP's" : report.Preprocessor)}; segmentation short side {report.ShortSide}");
        output.Table(["part", ">parameters"], [.. report.Parameters.Select(part => (IReadOnlyList<TableCell>)[part.Part, part.Count.ToString("N0", CultureInfo.InvariantCulture)])]);
        output.Table(
            ["device", "precision", ">input", ">image weights", ">text weights", ">arena", ">scratch", ">total"],
            [.. report.Memory.Select(entry => (IReadOnlyList<TableCell>)
            [
                entry.Device, entry.Precision.ToString(), $"{entry.Height}x{entry.Width}", Quantity.Bytes(entry.Estimate.ImageWeights), Quantity.Bytes(entry.Estimate.TextWeights),
                Quantity.Bytes(entry.Estimate.Arenas), Quantity.Bytes(entry.Estimate.Scratch), Quantity.Bytes(entry.Estimate.Total),
            ])]);
        if (report.Damaged is { } damaged)
        {
            foreach (DamagedTensor tensor in damaged)
            {
                output.Line($"damaged: {tensor.Name}: {tensor.NotANumber} NaN, {tensor.Infinite} infinite of {tensor.Elements}, the first at {tensor.First}");
            }
            output.Line(damaged.Count == 0 ? "check: every weight is a finite number" : $"check: {damaged.Count} tensors are damaged");
        }
    }

    private static void Write(Utf8JsonWriter writer, ModelReport report)
    {
        writer.WriteStartObject();
        writer.WriteString("model", report.Name);
        writer.WriteString("container", report.Container);
        writer.WriteString("layout", report.Layout);
        writer.WriteStartArray("types");
        foreach (TypeCount type in report.Types)
        {
            writer.WriteStartObject();
            writer.WriteString("type", type.Type);
            writer.WriteNumber("tensors", type.Tensors);
            writer.WriteNumber("bytes", type.Bytes);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        Strings(writer, "others", report.Others);
        writer.WriteString("config_file", report.ConfigFile);
        Strings(writer, "notes", report.Notes);
        writer.WriteString("weight_type", report.WeightType);
        writer.WriteNumber("weight_bytes", report.WeightBytes);
        writer.WriteString("fingerprint", report.Fingerprint);
        writer.WritePropertyName("config");
        using (JsonDocument config = JsonDocument.Parse(report.Config.ToJson()))
        {
            config.RootElement.WriteTo(writer);
        }
        writer.WriteStartObject("parameters");
        foreach ((string part, long count) in report.Parameters)
        {
            writer.WriteNumber(part.Replace(' ', '_'), count);
        }
        writer.WriteEndObject();
        if (report.Vocabulary is { } vocabulary)
        {
            writer.WriteNumber("tokenizer_entries", vocabulary);
        }
        else
        {
            writer.WriteNull("tokenizer_entries");
        }
        Strings(writer, "labels", report.Labels);
        writer.WriteString("preprocessor", report.Preprocessor);
        writer.WriteNumber("segmentation_short_side", report.ShortSide);
        writer.WriteStartArray("memory");
        foreach ((string device, Precision precision, int height, int width, MemoryEstimate estimate) in report.Memory)
        {
            writer.WriteStartObject();
            writer.WriteString("device", device);
            writer.WriteString("precision", precision.ToString());
            writer.WriteNumber("height", height);
            writer.WriteNumber("width", width);
            writer.WriteNumber("image_weights", estimate.ImageWeights);
            writer.WriteNumber("text_weights", estimate.TextWeights);
            writer.WriteNumber("arena", estimate.Arenas);
            writer.WriteNumber("scratch", estimate.Scratch);
            writer.WriteNumber("total", estimate.Total);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        if (report.Damaged is { } damaged)
        {
            writer.WriteStartArray("damaged");
            foreach (DamagedTensor tensor in damaged)
            {
                writer.WriteStartObject();
                writer.WriteString("tensor", tensor.Name);
                writer.WriteNumber("nan", tensor.NotANumber);
                writer.WriteNumber("infinite", tensor.Infinite);
                writer.WriteNumber("elements", tensor.Elements);
                writer.WriteNumber("first", tensor.First);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
        }
        writer.WriteEndObject();
    }

    private static void Strings(Utf8JsonWriter writer, string name, IReadOnlyList<string> values)
    {
        writer.WriteStartArray(name);
        foreach (string value in values)
        {
            writer.WriteStringValue(value);
        }
        writer.WriteEndArray();
    }
}
