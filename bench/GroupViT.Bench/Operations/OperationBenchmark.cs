using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Workloads;
using GroupViT.Native;

namespace GroupViT.Bench.Operations;

/// <summary>One kind of operation at every shape at which the full-size model runs it, on one thread and on all.</summary>
/// <remarks>BenchmarkDotNet derives from benchmark classes: they are public and open.</remarks>
public abstract class OperationBenchmark : IDisposable
{
    private static readonly Lazy<IReadOnlyList<Workload>> All = new(Find);

    private readonly string kind;
    private PreparedWorkload? prepared;

    private protected OperationBenchmark(string kind) => this.kind = kind;

    /// <summary>Where in the model, and which shape.</summary>
    [ParamsSource(nameof(Shapes))]
    public string Shape { get; set; } = "";

    /// <summary>Threads of the cpu device.</summary>
    [ParamsSource(nameof(ThreadCounts))]
    public int Threads { get; set; }

    public static IEnumerable<int> ThreadCounts => ((int[])[1, Environment.ProcessorCount]).Distinct();

    public IEnumerable<string> Shapes => Workloads.Select(workload => workload.Name);

    private IEnumerable<Workload> Workloads => All.Value.Where(workload => workload.Kind == kind);

    /// <summary>In this process: the operations are internal, and what is timed is long enough to need no process of its own.</summary>
    internal static IConfig Config => ManualConfig.Create(DefaultConfig.Instance)
        .AddJob(Job.Default.WithToolchain(InProcessNoEmitToolchain.Instance).WithId("in process"))
        .WithSummaryStyle(BenchmarkDotNet.Reports.SummaryStyle.Default.WithMaxParameterColumnWidth(80))
        .WithArtifactsPath(Repository.Join("artifacts", "bench", "BenchmarkDotNet"));

    [GlobalSetup]
    public void Prepare() => prepared = Workloads.First(workload => workload.Name == Shape).Prepare(Threads);

    [Benchmark]
    public void Run() => prepared!.Run();

    [GlobalCleanup]
    public void Dispose()
    {
        prepared?.Dispose();
        prepared = null;
        GC.SuppressFinalize(this);
    }

    // Held to the end of the process, as their weights are read when an operation is prepared.
    private static IReadOnlyList<Workload> Find()
    {
        GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
        return
        [
            .. ((IEnumerable<Workload>)[.. ((int[])[224, 448]).SelectMany(size => (IEnumerable<Workload>)[.. ModelWorkloads.Image(model, size, 1), .. ModelWorkloads.Labelling(model, size), .. ModelWorkloads.Input(size)]), .. ModelWorkloads.Text(model)])
                .DistinctBy(workload => (workload.Kind, workload.Name)),
        ];
    }
}
