using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Weights;

namespace GroupViT.Tool.Commands;

/// <summary>groupvit verify: the proof, on one's own weights, that this engine computes what the reference computes.</summary>
internal static class VerifyCommand
{
    public static Command Create()
    {
        Options options = new();
        Command command = new("verify", "Compare everything that a reference file holds with what this engine computes. Exit code 0: all within tolerance; 1: a value differs; 2: cannot compare.")
        {
            options.Model, options.Reference, options.Errors, options.Only, options.Device, options.Precision, options.Threads, options.Json,
        };
        command.SetAction((parsed, cancellation) => ExitCodes.Run(parsed, token => Run(parsed, options, token), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed, Options options, CancellationToken cancellation)
    {
        Output output = new(parsed, parsed.GetValue(options.Json));
        Precision precision = parsed.GetValue(options.Precision);
        string deviceName = parsed.GetValue(options.Device)!;
        int threads = parsed.GetValue(options.Threads);
        new SessionOptions { Device = deviceName, Precision = precision, Threads = threads }.Validate();
        using ReferenceFile reference = ReferenceFile.Open(parsed.GetValue(options.Reference)!, parsed.GetValue(options.Errors), precision);
        string modelName = parsed.GetValue(options.Model)!;
        using GroupVitModel model = ModelLocator.Open(modelName);
        using Device device = DeviceCatalog.Open(deviceName, precision);
        VerificationReport report = new Verifier(model.Checkpoint, device, threads == 0 ? Environment.ProcessorCount : threads, precision.WeightFormat())
            .Run(reference, parsed.GetValue(options.Only), cancellation);
        if (output.IsJson)
        {
            output.Json(writer => Write(writer, report, reference, modelName, device.Name, CommonOptions.NameOf(precision)));
        }
        else
        {
            output.Line($"model {modelName} on {device.Name} ({device.Description}), {CommonOptions.NameOf(precision)}, against {reference.Name}");
            Print(output, report, reference);
        }
        return report.Passed ? ExitCodes.Done : ExitCodes.InputFailed;
    }

    private static void Print(Output output, VerificationReport report, ReferenceFile reference)
    {
        output.Table(
            ["value", ">largest error", ">reference's fp32 error", ">tolerance", "verdict", "note"],
            [.. report.Values.Select(value => (IReadOnlyList<TableCell>)
                [value.Name, Short(value.Error), Short(value.ReferenceError), Short(value.Tolerance), value.Passed ? "pass" : "FAIL", value.Note ?? ""])]);
        if (report.Assignments > 0)
        {
            output.Line(string.Create(
                CultureInfo.InvariantCulture,
                $"assignments: {report.Assignments}; in the tie band, where either group may win: {report.InTieBand} ({(double)report.InTieBand / report.Assignments:0.###%}); another group won here: {report.Flipped}"));
        }
        VerifiedValue[] failed = [.. report.Values.Where(value => !value.Passed)];
        foreach (VerifiedValue value in failed)
        {
            output.Line(string.Create(
                CultureInfo.InvariantCulture,
                $"differs: {value.Name}{Place(value, reference)}: the reference has {value.Expected:G9}, here it is {value.Actual:G9}; {Short(value.Error)} apart, {Short(value.Tolerance)} are allowed"));
        }
        output.Line(failed.Length == 0
            ? $"all {report.Values.Count} values are within tolerance"
            : $"{failed.Length} of {report.Values.Count} values differ by more than the tolerance");
    }

    private static void Write(Utf8JsonWriter writer, VerificationReport report, ReferenceFile reference, string model, string device, string precision)
    {
        writer.WriteStartObject();
        writer.WriteString("model", model);
        writer.WriteString("reference", reference.Name);
        writer.WriteString("device", device);
        writer.WriteString("precision", precision);
        writer.WriteBoolean("passed", report.Passed);
        writer.WriteNumber("assignments", report.Assignments);
        writer.WriteNumber("in_tie_band", report.InTieBand);
        writer.WriteNumber("flipped", report.Flipped);
        writer.WriteStartArray("values");
        foreach (VerifiedValue value in report.Values)
        {
            writer.WriteStartObject();
            writer.WriteString("name", value.Name);
            writer.WriteBoolean("passed", value.Passed);
            WriteNumber(writer, "error", value.Error);
            WriteNumber(writer, "reference_error", value.ReferenceError);
            WriteNumber(writer, "tolerance", value.Tolerance);
            writer.WriteStartArray("index");
            foreach (long axis in Index(value, reference))
            {
                writer.WriteNumberValue(axis);
            }
            writer.WriteEndArray();
            WriteNumber(writer, "expected", value.Expected);
            WriteNumber(writer, "actual", value.Actual);
            writer.WriteString("note", value.Note);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    // JSON has no infinity and no NaN, and a failure of that kind must be readable.
    private static void WriteNumber(Utf8JsonWriter writer, string name, double number)
    {
        if (double.IsFinite(number))
        {
            writer.WriteNumber(name, number);
        }
        else
        {
            writer.WriteString(name, number.ToString(CultureInfo.InvariantCulture));
        }
    }

    private static string Place(VerifiedValue value, ReferenceFile reference) => $"[{string.Join(", ", Index(value, reference))}]";

    /// <summary>Where the largest difference lies, one number per axis.</summary>
    private static long[] Index(VerifiedValue value, ReferenceFile reference)
    {
        // The production program's values are named after the recorded one: "NAME (production)".
        string recorded = value.Name.Split(' ')[0];
        if (!reference.Tensors.TryGetValue(recorded, out SafetensorsEntry? entry))
        {
            return [value.Index];
        }
        long[] index = new long[entry.Shape.Length];
        long rest = value.Index;
        for (int axis = index.Length - 1; axis >= 0; axis--)
        {
            (rest, index[axis]) = Math.DivRem(rest, Math.Max(entry.Shape[axis], 1));
        }
        return index;
    }

    private static string Short(double number) => number.ToString("0.00E-00", CultureInfo.InvariantCulture);

    private sealed class Options
    {
        public Option<string> Model { get; } = CommonOptions.Model();

        public Option<string> Reference { get; } = new("--reference") { Description = "the recorded values (expected.safetensors)", Required = true, HelpName = "FILE" };

        public Option<string?> Errors { get; } = new("--errors") { Description = $"the reference's own errors; default: {ReferenceFile.ErrorsName} beside the reference", HelpName = "FILE" };

        public Option<string?> Only { get; } = new("--only") { Description = "compare only values whose names fit, with * and ?", HelpName = "PATTERN" };

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<Precision> Precision { get; } = CommonOptions.Precision();

        public Option<int> Threads { get; } = CommonOptions.Threads();

        public Option<bool> Json { get; } = CommonOptions.Json();
    }
}
