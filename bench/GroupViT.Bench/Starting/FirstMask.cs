using System.Diagnostics;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Starting;

/// <summary>Fresh processes that segment one picture on a device, with their kernels compiled anew or found in caches.</summary>
/// <remarks>
/// A kernel is compiled twice, to PTX or OpenCL's text by this project and to machine code by the driver, and either outcome may be kept on disk. Cold
/// runs switch every such cache off; warm ones have caches of their own in an empty folder, which one run fills before.
/// </remarks>
internal sealed class FirstMask(string device, string program, string results)
{
    /// <summary>No cache at all: ours, CUDA's, PoCL's.</summary>
    public static IReadOnlyDictionary<string, string> NoCaches { get; } = new Dictionary<string, string>
    {
        [KernelCache.Variable] = KernelCache.Off,
        ["CUDA_CACHE_DISABLE"] = "1",
        ["POCL_KERNEL_CACHE"] = "0",
    };

    /// <summary>All caches, under one folder.</summary>
    public static IReadOnlyDictionary<string, string> CachesIn(string folder) => new Dictionary<string, string>
    {
        ["XDG_CACHE_HOME"] = folder,
        ["CUDA_CACHE_DISABLE"] = "0",
        ["CUDA_CACHE_PATH"] = Path.Combine(folder, "cuda"),
        ["POCL_CACHE_DIR"] = Path.Combine(folder, "pocl"),
    };

    /// <summary>The program that lies beside this one, started with what this one needs of the runtime.</summary>
    public static (string Program, IReadOnlyList<string> Arguments) Command(string program)
        => program.Length == 0 ? ProgramBeside.Command("groupvit")
        : program.EndsWith(".dll", StringComparison.Ordinal) ? (ProgramBeside.Host, [program])
        : (program, []);

    /// <summary>Rows of a table: cold, filling the caches, warm.</summary>
    public MarkdownTable Run(int runs, CancellationToken cancellation)
    {
        string bank = Path.Combine(results, "bank.safetensors");
        using (GroupVitModel model = GroupVitModel.Load(FullModel.Folder))
        using (Session session = model.OpenSession(new SessionOptions { Device = "cpu" }))
        {
            session.EncodeLabels(BenchInput.Labels, cancellation: cancellation).Save(bank);
        }
        (string executable, IReadOnlyList<string> arguments) = Command(program);
        string[] all = [.. arguments, "segment", BenchInput.PictureFile, "--out", results, "--quiet", "--device", device, "--model", FullModel.Folder, "--bank", bank];
        IReadOnlyDictionary<string, string> caches = CachesIn(Path.Combine(results, "caches"));
        MarkdownTable table = new("process", ">runs", ">median ms", ">spread ms", ">least ms");
        foreach ((string name, int times, IReadOnlyDictionary<string, string> environment) in new[] { ("cold: no cache", runs, NoCaches), ("with empty caches", 1, caches), ("warm: with full caches", runs, caches) })
        {
            Series time = Time(new ChildProcess(name, executable, all) { Environment = environment }, times, cancellation);
            table.Add(name, time.Count.ToString(System.Globalization.CultureInfo.InvariantCulture), Milliseconds(time.Median), Milliseconds(time.Spread), Milliseconds(time.Min));
        }
        return table;
    }

    private static Series Time(ChildProcess child, int runs, CancellationToken cancellation)
    {
        List<double> samples = [];
        for (int i = 0; i < runs; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            child.Run();
            samples.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        return new Series(samples);
    }

    private static string Milliseconds(double value) => value.ToString("F0", System.Globalization.CultureInfo.InvariantCulture);
}
