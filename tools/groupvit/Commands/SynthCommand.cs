using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit synth: a checkpoint of any size whose weights follow from a formula (spec K.1), to prove the engine without a download.</summary>
internal static class SynthCommand
{
    private static readonly Dictionary<string, KeyLayout> Layouts = new() { ["huggingface"] = KeyLayout.HuggingFace, ["nvlabs"] = KeyLayout.Nvlabs };

    private static readonly Dictionary<string, SafetensorsType> Types = new()
    {
        ["f32"] = SafetensorsType.F32,
        ["f16"] = SafetensorsType.F16,
        ["bf16"] = SafetensorsType.BF16,
    };

    public static Command Create()
    {
        Option<string> config = new("--config") { Description = "config.json of the architecture", Required = true, HelpName = "FILE" };
        Option<KeyLayout?> layout = CommonOptions.OptionalChoice("--layout", "names of the tensors; default: huggingface", Layouts);
        Option<SafetensorsType?> type = CommonOptions.OptionalChoice("--dtype", "format of the weights; default: f32", Types);
        Option<string> folder = new("--out") { Description = "folder for model.safetensors and config.json; existing ones are replaced", Required = true, HelpName = "DIR" };
        Option<bool> json = CommonOptions.Json();
        Command command = new("synth", "Write a checkpoint with formula weights.") { config, layout, type, folder, json };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(
            parsed,
            token => Run(
                new Output(parsed, parsed.GetValue(json)),
                parsed.GetValue(config)!,
                parsed.GetValue(layout) ?? KeyLayout.HuggingFace,
                parsed.GetValue(type) ?? SafetensorsType.F32,
                parsed.GetValue(folder)!,
                token),
            cancellation));
        return command;
    }

    private static int Run(Output output, string configFile, KeyLayout layout, SafetensorsType type, string folderName, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        GroupVitConfig config = GroupVitConfig.Load(configFile);
        config.Validate(configFile, layout);
        byte[] json = File.ReadAllBytes(configFile);
        OutputFolder folder = new(folderName);
        string weights = Path.Combine(folder.Path, ModelFiles.Weights);
        // Both appear one right after the other, or neither does: weights beside another model's configuration would be worse than none.
        AtomicFile.Write(Path.Combine(folder.Path, ModelFiles.Config), configStream =>
        {
            configStream.Write(json);
            AtomicFile.Write(weights, stream => FormulaWeights.Synthesize(config, layout, type, new CancellableStream(stream, cancellation)));
        });
        long bytes = new FileInfo(weights).Length;
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        string layoutName = Layouts.First(entry => entry.Value == layout).Key;
        string typeName = Types.First(entry => entry.Value == type).Key;
        long parameters = config.CountParameters().Total;
        output.Line(string.Create(CultureInfo.InvariantCulture, $"{weights}: {parameters} parameters, layout {layoutName}, {typeName}, {Quantity.Bytes(bytes)} in {seconds:0.00} s"));
        if (output.IsJson)
        {
            output.Json(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("file", weights);
                writer.WriteString("layout", layoutName);
                writer.WriteString("dtype", typeName);
                writer.WriteNumber("parameters", parameters);
                writer.WriteNumber("bytes", bytes);
                writer.WriteNumber("milliseconds", Math.Round(seconds * 1000, 3));
                writer.WriteEndObject();
            });
        }
        return ExitCodes.Done;
    }

    /// <summary>A stream to write to until someone cancels: the writer's error then removes the temporary file.</summary>
    private sealed class CancellableStream(Stream inner, CancellationToken cancellation) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => inner.Length;

        public override long Position
        {
            get => inner.Position;
            set => throw new NotSupportedException();
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            cancellation.ThrowIfCancellationRequested();
            inner.Write(buffer);
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
