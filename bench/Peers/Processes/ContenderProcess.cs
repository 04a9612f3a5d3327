using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using GroupViT.Bench.Peers.Contenders;
using GroupViT.Native.Weights;

namespace GroupViT.Bench.Peers.Processes;

/// <summary>A contender in a process of its own, as seen by the one that measures.</summary>
internal sealed class ContenderProcess : IDisposable
{
    // Compilers may take their time; a run of the largest cell takes seconds.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly Process process;
    private readonly StringBuilder complaints = new();

    private ContenderProcess(string name, Process process)
    {
        (Name, this.process) = (name, process);
        process.ErrorDataReceived += (_, line) =>
        {
            lock (complaints)
            {
                complaints.AppendLine(line.Data);
            }
        };
        process.BeginErrorReadLine();
    }

    public string Name { get; }

    public string Settings { get; private set; } = "";

    /// <summary>From the request to start the process to its first result.</summary>
    public TimeSpan First { get; private set; }

    /// <summary>Starts a contender and waits for its first result.</summary>
    /// <exception cref="ContenderException">It could not load or run.</exception>
    public static ContenderProcess Start(ContenderKind kind, Cell cell, CellFiles files)
    {
        if (kind.Command is [string foreign, ..])
        {
            return Start(kind.Name, foreign, [.. kind.Command.Skip(1), cell.Name, files.Model, files.Folder]);
        }
        string host = Environment.ProcessPath!;
        string program = Path.Combine(AppContext.BaseDirectory, typeof(ContenderProcess).Assembly.GetName().Name + ".dll");
        List<string> arguments = Path.GetFileNameWithoutExtension(host) == "dotnet" ? [program] : [];
        arguments.AddRange(["serve", kind.Name, cell.Name, files.Model, files.Folder]);
        return Start(kind.Name, host, arguments);
    }

    private static ContenderProcess Start(string name, string program, IEnumerable<string> arguments)
    {
        long start = Stopwatch.GetTimestamp();
        ContenderProcess contender;
        try
        {
            contender = new(name, Process.Start(new ProcessStartInfo(program, arguments)
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!);
        }
        catch (Win32Exception exception)
        {
            throw new ContenderException(name, $"{program} cannot be started: {new Win32Exception(exception.NativeErrorCode).Message}");
        }
        try
        {
            // Libraries may greet on standard output before it.
            string line;
            do
            {
                line = contender.Answer();
            }
            while (!line.StartsWith(ContenderServer.Ready, StringComparison.Ordinal));
            contender.First = Stopwatch.GetElapsedTime(start);
            contender.Settings = line[ContenderServer.Ready.Length..];
            return contender;
        }
        catch
        {
            contender.Dispose();
            throw;
        }
    }

    /// <summary>Milliseconds of each timed run.</summary>
    public double[] Run(int untimed, int timed)
        => Array.ConvertAll(Ask(FormattableString.Invariant($"run {untimed} {timed}")).Split(' '), word => double.Parse(word, CultureInfo.InvariantCulture));

    /// <summary>The outputs of the latest run, through a file in that folder.</summary>
    public Dictionary<string, float[]> Outputs(string folder)
    {
        string path = Path.Combine(folder, $"{Name}.outputs.safetensors");
        Ask($"outputs {path}");
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Dictionary<string, float[]> outputs = [];
        foreach (SafetensorsEntry entry in file.Tensors.Values)
        {
            float[] values = new float[entry.ElementCount];
            file.ReadFloat32(entry, 0, values);
            outputs.Add(entry.Name, values);
        }
        return outputs;
    }

    public long Peak() => long.Parse(Ask("peak"), CultureInfo.InvariantCulture);

    public void Dispose()
    {
        try
        {
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has gone already.
        }
        if (!process.WaitForExit(TimeSpan.FromSeconds(5)))
        {
            process.Kill(entireProcessTree: true);
        }
        process.Dispose();
    }

    private string Ask(string request)
    {
        try
        {
            process.StandardInput.WriteLine(request);
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It has gone; the missing answer says why.
        }
        return Answer();
    }

    private string Answer()
    {
        Task<string?> answer = process.StandardOutput.ReadLineAsync();
        if (!answer.Wait(Patience))
        {
            process.Kill(entireProcessTree: true);
            throw new ContenderException(Name, $"it did not answer in {Patience.TotalMinutes} minutes");
        }
        if (answer.Result is { } line)
        {
            return line;
        }
        process.WaitForExit();
        lock (complaints)
        {
            throw new ContenderException(Name, complaints.ToString().Trim());
        }
    }
}

/// <summary>A contender could not load or run here; the message is what it said.</summary>
internal sealed class ContenderException(string contender, string said) : Exception(said.StartsWith(contender, StringComparison.Ordinal) ? said : $"{contender}: {said}");
