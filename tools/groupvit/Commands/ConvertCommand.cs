using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using GroupViT.Native.Weights;
using GroupViT.Tool.Converting;
using GroupViT.Tool.Converting.Sources;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit convert: a model folder from whatever file the weights are in.</summary>
internal static class ConvertCommand
{
    // In the table for people; --json has every tensor.
    private const int MostRows = 10;

    private static readonly Dictionary<string, KeyLayout> Layouts = new() { ["huggingface"] = KeyLayout.HuggingFace, ["nvlabs"] = KeyLayout.Nvlabs };

    private static readonly Dictionary<string, SafetensorsType> Types = new()
    {
        ["f32"] = SafetensorsType.F32,
        ["f16"] = SafetensorsType.F16,
        ["bf16"] = SafetensorsType.BF16,
    };

    private static readonly Dictionary<string, PictureStatistics> Statistics = new() { ["imagenet"] = PictureStatistics.ImageNet, ["clip"] = PictureStatistics.Clip };

    public static Command Create()
    {
        Argument<string> source = new("IN") { Description = "a .pth, .pt, .bin or .safetensors file, a model.safetensors.index.json, or a folder with one of them" };
        source.Validators.Add(CommonOptions.RefuseOptions);
        Option<string> folder = new("--out") { Description = "the model folder to make; it must not be there, or be empty", Required = true, HelpName = "DIR" };
        Option<SafetensorsType?> type = CommonOptions.OptionalChoice("--dtype", "format of the weights; default: as in the source (f64 becomes f32)", Types);
        Option<KeyLayout> layout = CommonOptions.Choice("--layout", "names of the tensors", Layouts);
        Option<PictureStatistics?> statistics = CommonOptions.OptionalChoice(
            "--statistics", "what pictures are normalised with; default: as the source says, else imagenet for NVlabs' layout and clip for Hugging Face's", Statistics);
        Option<bool> overflow = new("--allow-overflow") { Description = "values too large for --dtype become its largest; without it they are an error" };
        Option<bool> force = new("--force") { Description = "replace the model in a folder that is not empty; other files there stay" };
        Option<bool> json = CommonOptions.Json();
        Option<bool> quiet = CommonOptions.Quiet();
        Command command = new("convert", "Make a model folder from weights in any file.") { source, folder, type, layout, statistics, overflow, force, json, quiet };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token => Run(
                new Output(parsed, parsed.GetValue(json), parsed.GetValue(quiet)),
                parsed.GetValue(source)!,
                parsed.GetValue(folder)!,
                parsed.GetValue(force),
                new ConversionOptions
                {
                    Type = parsed.GetValue(type),
                    Layout = parsed.GetValue(layout),
                    Statistics = parsed.GetValue(statistics),
                    AllowOverflow = parsed.GetValue(overflow),
                },
                token),
            cancellation));
        return command;
    }

    private static int Run(Output output, string source, string folder, bool force, ConversionOptions options, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        using CheckpointFile file = CheckpointFile.Open(source);
        TargetFolder.RefuseSourceInside(source, folder);
        ConversionResult result;
        using (TargetFolder target = new(folder, force, CompanionFiles.Names))
        {
            result = output.Progress("converting", file.Weights.Tensors.Count,
                step => ModelConversion.Run(file, new ConversionFolder(target.Temporary, folder), options, step, cancellation));
            cancellation.ThrowIfCancellationRequested();
            target.Commit();
        }
        Report(output, file.Path, folder, options, result, Stopwatch.GetElapsedTime(start).TotalSeconds);
        return ExitCodes.Done;
    }

    private static void Report(Output output, string source, string folder, ConversionOptions options, ConversionResult result, double seconds)
    {
        foreach (string note in result.Notes)
        {
            output.Note(note);
        }
        string from = NameOf(result.SourceLayout);
        string to = NameOf(options.Layout);
        output.Line(string.Create(CultureInfo.InvariantCulture, $"{source}: {result.Kind}, layout {from}, configuration {result.Config}"));
        output.Line(string.Create(CultureInfo.InvariantCulture,
            $"{folder}: {result.Tensors} tensors, layout {to}, {result.Type}, {Quantity.Bytes(result.Bytes)} in {seconds:0.00} s; {string.Join(", ", result.Files)}"));
        if (result.Roundings.Count > 0)
        {
            IEnumerable<TensorRounding> worst = result.Roundings
                .OrderByDescending(rounding => rounding.Overflowed).ThenByDescending(rounding => rounding.Flushed).ThenByDescending(rounding => rounding.MaxRelativeError);
            output.Table(
                ["rounded", "from", "to", ">max relative error", ">overflowed", ">became zero", ">of"],
                [.. worst.Take(MostRows).Select(rounding => (IReadOnlyList<TableCell>)
                [
                    rounding.Name, rounding.From.ToString(), rounding.To.ToString(), rounding.MaxRelativeError.ToString("0.00E+0", CultureInfo.InvariantCulture),
                    Number(rounding.Overflowed), Number(rounding.Flushed), Number(rounding.Elements),
                ])]);
            output.Line($"{result.Roundings.Count} tensors were rounded{(result.Roundings.Count > MostRows ? $", the {MostRows} worst are shown; --json lists all" : "")}");
        }
        if (output.IsJson)
        {
            output.Json(writer => Write(writer, source, folder, from, to, result, seconds));
        }
    }

    private static void Write(Utf8JsonWriter writer, string source, string folder, string from, string to, ConversionResult result, double seconds)
    {
        writer.WriteStartObject();
        writer.WriteString("source", source);
        writer.WriteString("kind", result.Kind);
        writer.WriteString("source_layout", from);
        writer.WriteString("config", result.Config);
        writer.WriteString("folder", folder);
        writer.WriteString("layout", to);
        writer.WriteString("dtype", result.Type);
        writer.WriteNumber("tensors", result.Tensors);
        writer.WriteNumber("bytes", result.Bytes);
        WriteTexts(writer, "files", result.Files);
        WriteTexts(writer, "notes", result.Notes);
        writer.WriteStartArray("rounded");
        foreach (TensorRounding rounding in result.Roundings)
        {
            writer.WriteStartObject();
            writer.WriteString("tensor", rounding.Name);
            writer.WriteString("from", rounding.From.ToString());
            writer.WriteString("to", rounding.To.ToString());
            writer.WriteNumber("elements", rounding.Elements);
            writer.WriteNumber("max_relative_error", rounding.MaxRelativeError);
            writer.WriteNumber("overflowed", rounding.Overflowed);
            writer.WriteNumber("flushed_to_zero", rounding.Flushed);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteNumber("milliseconds", Math.Round(seconds * 1000, 3));
        writer.WriteNumber("peak_memory", ProcessMemory.Peak);
        writer.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter writer, string name, IReadOnlyList<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (string text in texts)
        {
            writer.WriteStringValue(text);
        }
        writer.WriteEndArray();
    }

    private static string NameOf(KeyLayout layout) => Layouts.First(entry => entry.Value == layout).Key;

    private static string Number(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}
