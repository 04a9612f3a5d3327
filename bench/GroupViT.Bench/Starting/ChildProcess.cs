using System.Diagnostics;
using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;

namespace GroupViT.Bench.Starting;

/// <summary>A command line that is run again and again as a process of its own.</summary>
/// <param name="Name">In the tables.</param>
/// <param name="Program">An executable.</param>
/// <param name="Arguments">Its arguments.</param>
internal sealed record ChildProcess(string Name, string Program, IReadOnlyList<string> Arguments)
{
    /// <summary>Variables that are set for it, beside those of this process.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>From the request to start the process to its end.</summary>
    /// <exception cref="BenchException">It failed; with what it said.</exception>
    public void Run()
    {
        using Process process = Start();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        process.WaitForExit();
        Check(process, output.Result, errors.Result);
    }

    /// <summary>The largest resident size of one run, in bytes: the system's own maximum, read until the process ends.</summary>
    public long Peak()
    {
        using Process process = Start();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        long peak = 0;
        while (!process.WaitForExit(1))
        {
            peak = Math.Max(peak, PeakOf(process));
        }
        process.WaitForExit();
        Check(process, output.Result, errors.Result);
        return peak;
    }

    private static long PeakOf(Process process)
    {
        try
        {
            if (OperatingSystem.IsLinux())
            {
                return Rss.Field(File.ReadLines($"/proc/{process.Id}/status"), "VmHWM") ?? 0;
            }
            process.Refresh();
            return process.PeakWorkingSet64;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            // It ended in between.
            return 0;
        }
    }

    private Process Start()
    {
        ProcessStartInfo start = new(Program, Arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in Environment)
        {
            start.Environment[name] = value;
        }
        return Process.Start(start)!;
    }

    private void Check(Process process, string output, string errors)
    {
        if (process.ExitCode != 0)
        {
            throw new BenchException($"{Name}: {Path.GetFileName(Program)} {string.Join(' ', Arguments)} ended with {process.ExitCode}: {output}{errors}".Trim());
        }
    }
}
