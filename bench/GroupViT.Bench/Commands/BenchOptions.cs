using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Bench.Commands;

/// <summary>A measurement that cannot be made as asked; the message says why.</summary>
internal sealed class BenchException(string message) : Exception(message);

/// <summary>Options and words that the commands share.</summary>
internal static class BenchOptions
{
    public static Option<int> Threads() => Whole("--threads", "threads of the cpu device; 0 for all of the machine's", 0, 1024, 1);

    public static Option<int> Size() => Whole("--size", "side of the network's square input in pixels, a multiple of the patch", 16, 4096, 448);

    public static Option<int> Batch() => Whole("--batch", "pictures at once", 1, 256, 1);

    public static Option<double> Seconds(double preset, string per) => new("--seconds")
    {
        Description = $"time {per}; default: {preset.ToString(CultureInfo.InvariantCulture)}",
        HelpName = "S",
        DefaultValueFactory = _ => preset,
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value is > 0 and <= 86400)
            {
                return value;
            }
            result.AddError($"--seconds takes a number above 0, not '{text}'");
            return preset;
        },
    };

    public static Option<string> Device() => new("--device") { Description = "cpu, cuda:N, opencl:N; default: cpu", DefaultValueFactory = _ => "cpu", HelpName = "DEVICE" };

    public static Option<Precision> Precision() => new("--precision") { Description = "Float32, TensorFloat32, BFloat16, Float16; default: Float32", DefaultValueFactory = _ => Native.Precision.Float32 };

    public static Option<string?> Out() => new("--out") { Description = "also write bench/results/NAME.md", HelpName = "NAME" };

    public static Option<int> Whole(string name, string description, int least, int most, int preset) => new(name)
    {
        Description = $"{description}; default: {preset.ToString(CultureInfo.InvariantCulture)}",
        HelpName = "N",
        DefaultValueFactory = _ => preset,
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
            {
                return value;
            }
            result.AddError($"{name} takes a whole number from {least} to {most}, not '{text}'");
            return preset;
        },
    };

    /// <summary>Several whole numbers after one option.</summary>
    public static Option<int[]> Several(string name, string description, int least, int most, params int[] preset) => new(name)
    {
        Description = $"{description}; default: {string.Join(' ', preset)}",
        HelpName = "N",
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => preset,
        CustomParser = result =>
        {
            List<int> values = [];
            foreach (string text in result.Tokens.Select(token => token.Value))
            {
                if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
                {
                    values.Add(value);
                }
                else
                {
                    result.AddError($"{name} takes whole numbers from {least} to {most}, not '{text}'");
                }
            }
            return [.. values.Distinct()];
        },
    };

    public static Option<int[]> Sizes() => Several("--size", "sides of the network's square input in pixels", 16, 4096, 224, 448);

    public static Option<int[]> Batches() => Several("--batch", "pictures at once", 1, 256, 1, 8);

    /// <summary>One thread and all, or what is asked for.</summary>
    public static Option<int[]> ThreadCounts() => Several("--threads", "threads of the cpu device, 0 for all of the machine's", 0, 1024, 1, 0);

    /// <summary>The different ones of what was asked for; 0 is all of the machine's.</summary>
    public static int[] Actual(IEnumerable<int> threads) => [.. threads.Select(Actual).Distinct()];

    public static int Actual(int threads) => threads == 0 ? Environment.ProcessorCount : threads;

    /// <summary>Opens a device that kernels of ILGPU's run on.</summary>
    /// <exception cref="BenchException">It is the cpu device.</exception>
    public static GpuDevice OpenGpu(string name)
    {
        Device device = DeviceCatalog.Open(name);
        if (device is GpuDevice gpu)
        {
            return gpu;
        }
        device.Dispose();
        throw new BenchException($"this is measured on cuda:N and opencl:N, not on {name}");
    }

    /// <summary>The command as it was typed, for who wants to measure again.</summary>
    public static string CommandLine(ParseResult parsed)
        => (Environment.GetEnvironmentVariable("GROUPVIT_BENCH_RUNNER") is { Length: > 0 } runner ? runner : "dotnet run -c Release --project bench/GroupViT.Bench --") + " " + string.Join(' ', parsed.Tokens.Select(token => token.Value.Contains(' ', StringComparison.Ordinal) ? $"\"{token.Value}\"" : token.Value));

    /// <summary>A number of a table's cell.</summary>
    public static string Cell(this double value, int decimals) => value.ToString("F" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    public static string Percent(this double share) => (100 * share).ToString("F0", CultureInfo.InvariantCulture) + " %";

    /// <summary>Prints the result and, where a name was given, writes it.</summary>
    public static void Finish(this ResultFile result, ParseResult parsed, string? name)
    {
        TextWriter output = parsed.InvocationConfiguration.Output;
        output.Write(result.ToString());
        if (name is not null)
        {
            if (name != Path.GetFileName(name) || name.EndsWith(".md", StringComparison.Ordinal))
            {
                throw new BenchException($"--out takes a name without folder and ending, not '{name}'");
            }
            parsed.InvocationConfiguration.Error.WriteLine($"wrote {result.Write(Repository.Results, name)}");
        }
    }
}
