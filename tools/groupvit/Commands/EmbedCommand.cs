using System.CommandLine;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Imaging;
using GroupViT.Tool.Pictures;
using GroupViT.Tool.Segmenting;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit embed: unit embeddings of pictures and texts.</summary>
internal static class EmbedCommand
{
    public static Command Create()
    {
        Options options = new();
        options.Images.Validators.Add(CommonOptions.RefuseOptions);
        options.Texts.Validators.Add(CommonOptions.RefuseOptions);
        Command command = new("embed", "Print the embeddings of pictures and texts, of length 1, as JSON.");
        foreach (Option option in options.All)
        {
            command.Add(option);
        }
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, json: true, parsed.GetValue(options.Quiet));
        List<PictureEntry> pictures = PictureList.Expand(parsed.GetValue(options.Images) ?? []);
        string[] texts = parsed.GetValue(options.Texts) ?? [];
        if (pictures.Count + texts.Length == 0)
        {
            throw new UsageException("there is nothing to embed; give --image FILE..., --text TEXT..., or both");
        }
        string? file = parsed.GetValue(options.OutputFile);
        if (file is not null && !EmbeddingFile.IsKnown(file))
        {
            throw new UsageException($"--output {file}: the name must end in .safetensors or .npz");
        }
        AlphaMode alpha = parsed.GetValue(options.Alpha);
        long maxPixels = parsed.GetValue(options.MaxPixels) ?? CommonOptions.DefaultMaxPixels;
        using GroupVitModel model = ModelLocator.Open(parsed.GetValue(options.Model)!);
        using Session session = model.OpenSession(new SessionOptions
        {
            Device = parsed.GetValue(options.Device)!,
            Precision = parsed.GetValue(options.Precision),
            MaxSize = InputSize.Largest(model, PictureHeader.Sizes(pictures, maxPixels), (width, height) => InputSize.Processor(model, width, height)),
            MaxLabels = 1,
            Threads = parsed.GetValue(options.Threads),
            MemoryLimit = parsed.GetValue(options.MemoryLimit) ?? long.MaxValue,
        });
        // Texts first: one that is too long is a usage error, and refuses the run before pictures cost time.
        List<(string Text, float[] Embedding)> textRows = [];
        TextNormalization normalization = parsed.GetValue(options.Normalization) ?? TextNormalization.HuggingFace;
        foreach (string text in texts)
        {
            textRows.Add((text, session.EmbedText(text, normalization, cancellation)));
        }
        List<(string File, float[]? Embedding, string? Error)> images = [];
        foreach (PictureEntry entry in pictures)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                images.Add((entry.Path, session.EmbedImage(PictureList.Decode(entry, alpha, maxPixels), cancellation), null));
            }
            catch (Exception exception) when (ExitCodes.IsOfInput(exception))
            {
                string error = ExitCodes.Describe(exception);
                output.Problem(error);
                images.Add((entry.Path, null, error));
            }
        }
        bool failed = images.Any(image => image.Error is not null) && !parsed.GetValue(options.SkipBad);
        if (file is not null && failed)
        {
            // Its rows would not be the pictures that were asked for.
            output.Problem($"{file} is not written, because a picture failed; --skip-bad writes the others");
        }
        else if (file is not null)
        {
            EmbeddingFile.Write(file, [.. images.Where(image => image.Embedding is not null).Select(image => (image.File, image.Embedding!))], textRows);
        }
        output.Json(writer => Write(writer, images, textRows));
        return failed ? ExitCodes.InputFailed : ExitCodes.Done;
    }

    private static void Write(Utf8JsonWriter writer, List<(string File, float[]? Embedding, string? Error)> images, List<(string Text, float[] Embedding)> texts)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("images");
        foreach ((string file, float[]? embedding, string? error) in images)
        {
            if (embedding is null)
            {
                SegmentJson.WriteError(writer, file, error!);
                continue;
            }
            WriteRow(writer, "file", file, embedding);
        }
        writer.WriteEndArray();
        writer.WriteStartArray("texts");
        foreach ((string text, float[] embedding) in texts)
        {
            WriteRow(writer, "text", text, embedding);
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteRow(Utf8JsonWriter writer, string what, string name, float[] embedding)
    {
        writer.WriteStartObject();
        writer.WriteString(what, name);
        writer.WriteStartArray("embedding");
        foreach (float value in embedding)
        {
            writer.WriteNumberValue(value);
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private sealed class Options
    {
        public Option<string[]> Images { get; } = new("--image") { Description = "PNG or JPEG files, folders, patterns", HelpName = "FILE...", AllowMultipleArgumentsPerToken = true };

        public Option<string[]> Texts { get; } = new("--text") { Description = "texts, taken as they are", HelpName = "TEXT...", AllowMultipleArgumentsPerToken = true };

        public Option<string?> OutputFile { get; } = new("--output") { Description = "also write the tensors images and texts to a .safetensors or .npz file", HelpName = "FILE" };

        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<Precision> Precision { get; } = CommonOptions.Precision();

        public Option<TextNormalization?> Normalization { get; } = CommonOptions.Normalization("huggingface");

        public Option<AlphaMode> Alpha { get; } = CommonOptions.Alpha();

        public Option<long?> MaxPixels { get; } = CommonOptions.MaxPixels();

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<long?> MemoryLimit { get; } = CommonOptions.MemoryLimit();

        public Option<bool> SkipBad { get; } = CommonOptions.SkipBad();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        // Accepted for the sake of scripts that pass it to every command.
        private readonly Option<bool> json = CommonOptions.Json();

        public IEnumerable<Option> All => [Images, Texts, OutputFile, Model, Device, Precision, Normalization, Alpha, MaxPixels, Threads, MemoryLimit, SkipBad, json, Quiet];
    }
}
