using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using GroupViT.Kernels.Devices;

namespace GroupViT.Bench.Measuring;

/// <summary>Where, when and with what something was measured.</summary>
internal sealed record Machine(string Processor, int Cores, string Vectors, string Os, string Runtime, string Commit, DateTimeOffset Date)
{
    /// <summary>This machine, this runtime, the clone's commit, now.</summary>
    public static Machine Here() => new(
        ProcessorName(), Environment.ProcessorCount, CpuDevice.Level.ToString(), $"{RuntimeInformation.OSDescription}, {RuntimeInformation.RuntimeIdentifier}",
        RuntimeInformation.FrameworkDescription, CommitHere(), DateTimeOffset.UtcNow);

    /// <summary>As the lines of a list, each with what it is before a colon.</summary>
    public IEnumerable<string> Lines()
    {
        yield return $"Processor: {Processor}, {Cores} threads, {Vectors}";
        yield return $"System: {Os}";
        yield return $"Runtime: {Runtime}";
        yield return $"Commit: {Commit}";
        yield return string.Create(CultureInfo.InvariantCulture, $"Date: {Date.UtcDateTime:yyyy-MM-dd HH:mm} UTC");
    }

    private static string ProcessorName()
    {
        if (OperatingSystem.IsWindows())
        {
            using Microsoft.Win32.RegistryKey? key = Microsoft.Win32.Registry.LocalMachine.OpenSubKey(@"HARDWARE\DESCRIPTION\System\CentralProcessor\0");
            return key?.GetValue("ProcessorNameString") is string name ? name.Trim() : "unknown";
        }
        if (OperatingSystem.IsMacOS())
        {
            return Ask("sysctl", "-n", "machdep.cpu.brand_string") ?? "unknown";
        }
        try
        {
            return ParseCpuInfo(File.ReadLines("/proc/cpuinfo"));
        }
        catch (IOException)
        {
            return "unknown";
        }
    }

    /// <summary>The first processor of /proc/cpuinfo: its name, and the numbers that say more than some virtual machines' names.</summary>
    internal static string ParseCpuInfo(IEnumerable<string> lines)
    {
        Dictionary<string, string> first = [];
        foreach (string line in lines)
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                first.TryAdd(line[..colon].Trim(), line[(colon + 1)..].Trim());
            }
        }
        if (first.TryGetValue("model name", out string? name))
        {
            return first.TryGetValue("cpu family", out string? family) && first.TryGetValue("model", out string? model) ? $"{name} (family {family}, model {model})" : name;
        }
        return first.TryGetValue("CPU part", out string? part) ? $"Arm implementer {first.GetValueOrDefault("CPU implementer", "?")}, part {part}" : "unknown";
    }

    private static string CommitHere()
    {
        // A script that runs this where there is no git tells it.
        if (Environment.GetEnvironmentVariable("GROUPVIT_BENCH_COMMIT") is { Length: > 0 } told)
        {
            return told;
        }
        string root = Repository.Root;
        string? commit = Ask("git", "-C", root, "rev-parse", "--short=12", "HEAD");
        if (commit is null)
        {
            return "unknown";
        }
        // Results are written into the clone: they do not change what was measured.
        return Ask("git", "-C", root, "status", "--porcelain", "--untracked-files=no", "--", ":!bench/results") is { Length: > 0 } ? $"{commit} with uncommitted changes" : commit;
    }

    private static string? Ask(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string answer = process.StandardOutput.ReadToEnd().Trim();
            process.WaitForExit();
            _ = errors.Result;
            return process.ExitCode == 0 ? answer : null;
        }
        catch (Exception exception) when (exception is System.ComponentModel.Win32Exception or IOException)
        {
            return null;
        }
    }
}
