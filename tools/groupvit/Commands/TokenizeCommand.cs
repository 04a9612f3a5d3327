using System.CommandLine;
using System.Text.Json;
using GroupViT.Native;
using GroupViT.Native.Text;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit tokenize: the ids that texts become, as JSON.</summary>
internal static class TokenizeCommand
{
    private const long MaxFileBytes = 64 << 20;

    public static Command Create()
    {
        Argument<string[]> texts = new("TEXT") { Description = "texts", Arity = ArgumentArity.ZeroOrMore };
        Option<string?> file = new("--file") { Description = "a JSON array of texts instead", HelpName = "TEXTS.json" };
        Option<string?> model = new("--model") { Description = "that model's tokenizer; default: CLIP's public vocabulary, which is built in", HelpName = "MODEL" };
        Option<TextNormalization?> normalization = CommonOptions.Normalization("openai");
        Command command = new("tokenize", "Print token ids as a JSON array of arrays, start and end included, never cut or padded.") { texts, file, model, normalization };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token =>
            {
                IReadOnlyList<string> all = Texts(parsed.GetValue(texts) ?? [], parsed.GetValue(file));
                List<int[]> ids = Encode(all, parsed.GetValue(model), parsed.GetValue(normalization) ?? TextNormalization.OpenAI, token);
                new Output(parsed, json: true).Json(writer => JsonSerializer.Serialize(writer, ids));
                return ExitCodes.Done;
            },
            cancellation));
        return command;
    }

    private static List<int[]> Encode(IReadOnlyList<string> texts, string? modelName, TextNormalization normalization, CancellationToken cancellation)
    {
        using GroupVitModel? model = modelName is null ? null : ModelLocator.Open(modelName);
        ClipTokenizer tokenizer = model?.Tokenizer ?? ClipTokenizer.CreatePublic();
        List<int[]> ids = [];
        foreach (string text in texts)
        {
            cancellation.ThrowIfCancellationRequested();
            ids.Add([tokenizer.StartId, .. tokenizer.Encode(text, normalization), tokenizer.EndId]);
        }
        return ids;
    }

    private static IReadOnlyList<string> Texts(string[] texts, string? file)
    {
        if (file is null == (texts.Length == 0))
        {
            throw new UsageException(file is null ? "which texts? Give them as arguments, or --file" : "texts and --file exclude one another; give one of them");
        }
        return file is null ? texts : Read(file);
    }

    private static List<string> Read(string file)
    {
        try
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length > MaxFileBytes)
            {
                throw new UsageException($"{file}: {stream.Length} bytes are more than the {MaxFileBytes} that a list of texts may have");
            }
            using JsonDocument document = JsonDocument.Parse(stream);
            if (document.RootElement.ValueKind != JsonValueKind.Array)
            {
                throw new UsageException($"{file}: a JSON array of texts is expected, not {document.RootElement.ValueKind}");
            }
            List<string> texts = [];
            foreach (JsonElement element in document.RootElement.EnumerateArray())
            {
                texts.Add(element.ValueKind == JsonValueKind.String
                    ? element.GetString()!
                    : throw new UsageException($"{file}: element {texts.Count} is {element.ValueKind}, not a text"));
            }
            return texts;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a text that is no valid Unicode.
            throw new UsageException($"{file}: no JSON array of texts: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{file}: the file cannot be read: {exception.Message}", exception);
        }
    }
}
