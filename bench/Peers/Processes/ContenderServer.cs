using System.Diagnostics;
using System.Globalization;
using GroupViT.Bench.Peers.Contenders;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Peers.Processes;

/// <summary>
/// A contender's own process: it loads, runs once, and then does what it is told on standard input, a line at a time. So no contender's threads,
/// memory or garbage collector are in another's process, and one that cannot load takes nobody with it.
/// </summary>
/// <remarks>
/// <c>run U T</c>: U runs that nobody times, then T; answers their milliseconds. <c>outputs FILE</c>: writes the latest outputs as safetensors.
/// <c>peak</c>: the process's peak of resident memory, in bytes. End of input ends it. Anything that speaks so can be compared: peers.py does.
/// </remarks>
internal static class ContenderServer
{
    /// <summary>The answer to no request: the first result is there.</summary>
    public const string Ready = "ready ";

    public static int Serve(ContenderKind kind, Cell cell, CellFiles files)
    {
        if (kind == ContenderKind.Nothing)
        {
            Console.WriteLine($"{Ready}.NET {Environment.Version}");
            return Answer(null);
        }
        Contender contender;
        try
        {
            contender = kind.Open(cell, files);
        }
        catch (ContenderException exception)
        {
            Console.Error.WriteLine(exception.Message);
            return 2;
        }
        using (contender)
        {
            contender.Run();
            Console.WriteLine(Ready + contender.Settings);
            return Answer(contender);
        }
    }

    private static int Answer(Contender? contender)
    {
        while (Console.ReadLine() is { } line)
        {
            string[] words = line.Split(' ');
            switch (words[0])
            {
                case "run":
                    Console.WriteLine(Run(contender!, int.Parse(words[1], CultureInfo.InvariantCulture), int.Parse(words[2], CultureInfo.InvariantCulture)));
                    break;
                case "outputs":
                    SafetensorsWriter.Write(words[1], [.. contender!.Outputs.Select(output =>
                        TensorToWrite.OfFloats(output.Key, SafetensorsType.F32, [output.Value.Length], (first, values) => output.Value.AsSpan((int)first, values.Length).CopyTo(values)))]);
                    Console.WriteLine("written");
                    break;
                case "peak":
                    Console.WriteLine(Peak().ToString(CultureInfo.InvariantCulture));
                    break;
                default:
                    throw new InvalidOperationException($"'{line}' is no request");
            }
        }
        return 0;
    }

    private static string Run(Contender contender, int untimed, int timed)
    {
        double[] milliseconds = new double[timed];
        for (int i = -untimed; i < timed; i++)
        {
            long start = Stopwatch.GetTimestamp();
            contender.Run();
            if (i >= 0)
            {
                milliseconds[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }
        return string.Join(' ', milliseconds.Select(value => value.ToString("R", CultureInfo.InvariantCulture)));
    }

    // VmHWM where the system says it; elsewhere the runtime's own count.
    private static long Peak()
    {
        const string field = "VmHWM:";
        if (OperatingSystem.IsLinux() && File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal)) is { } line)
        {
            return long.Parse(line[field.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture) * 1024;
        }
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
