using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Starting;
using GroupViT.Native;
using GroupViT.Native.Measuring;

namespace GroupViT.Bench.Commands;

/// <summary>What the program costs as a process: time to the first mask, resident memory, bytes to ship.</summary>
internal static class StartupCommand
{
    /// <summary>The argument that makes this program end at once: the empty .NET process that others are compared with.</summary>
    public const string Nothing = "nothing";

    private const string FrameworkDependent = "framework-dependent";

    public static Command Create()
    {
        Option<int> runs = BenchOptions.Whole("--runs", "processes of each kind", 5, 1000, 15);
        Option<int> memoryRuns = BenchOptions.Whole("--memory-runs", "processes of each kind whose memory is watched", 1, 100, 3);
        Option<string[]> properties = new("--property")
        {
            Description = "publish once more with this MSBuild property, as PublishReadyToRun=true, and compare; may be given several times",
            HelpName = "NAME=VALUE",
        };
        Option<string?> output = BenchOptions.Out();
        Command command = new("startup", "Time fresh processes to their first mask; their memory; the size of a publish.") { runs, memoryRuns, properties, output };
        command.SetAction((parsed, cancellation) =>
        {
            Run(parsed, parsed.GetValue(runs), parsed.GetValue(memoryRuns), parsed.GetValue(properties) ?? [], parsed.GetValue(output), cancellation);
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Run(ParseResult parsed, int runs, int memoryRuns, string[] properties, string? name, CancellationToken cancellation)
    {
        TextWriter log = parsed.InvocationConfiguration.Error;
        List<Publish> publishes = [Publish.Make(FrameworkDependent, selfContained: false, [], log), Publish.Make("self-contained", selfContained: true, [], log)];
        publishes.AddRange(properties.Select(property => Publish.Make($"{FrameworkDependent}, {property}", selfContained: false, [property], log)));
        string results = Directory.CreateTempSubdirectory("groupvit-bench-").FullName;
        try
        {
            ChildProcess empty = new("an empty .NET process", Environment.ProcessPath!, OwnArguments());
            List<ChildProcess> children = [empty, .. Children(publishes, results)];
            AlternatingResult times = new Alternating
            {
                Budget = TimeSpan.Zero,
                LeastRounds = runs,
                Warmup = TimeSpan.Zero,
            }.Run([.. children.Select(child => new Contender(child.Name, child.Run))], cancellation);
            MarkdownTable table = new("process", ">median ms", ">spread ms", ">least ms", ">net ms", ">peak MiB", ">net MiB");
            long emptyPeak = Peak(empty, memoryRuns);
            foreach (ChildProcess child in children)
            {
                Series time = times[child.Name];
                long peak = child == empty ? emptyPeak : Peak(child, memoryRuns);
                // Round by round: what slowed the machine slowed both.
                Series net = new([.. time.Samples.Zip(times[empty.Name].Samples, (mine, nothing) => mine - nothing)]);
                table.Add(
                    child.Name, time.Median.Cell(0), time.Spread.Cell(0), time.Min.Cell(0), child == empty ? "" : net.Median.Cell(0),
                    Mebibytes(peak), child == empty ? "" : Mebibytes(peak - emptyPeak));
            }
            new ResultFile("Processes and files", Machine.Here(), BenchOptions.CommandLine(parsed))
                .Add(
                    "From start to first mask", table,
                    $"Milliseconds from the start of `groupvit segment` to its end, all files written; {times.Rounds} processes of each kind in turn, their files in the page cache. Net: without an empty .NET "
                    + "process of the same round. Peak: the largest resident size (VmHWM), largest of "
                    + $"{memoryRuns.ToString(CultureInfo.InvariantCulture)} further processes. full: the full-size network, a photograph of 640 x 640 pixels, {BenchInput.Labels.Count} labels; scenes: the built-in model and a sample.")
                .Add("Bytes to ship", Bytes(publishes), "Without symbols (pdb) and documentation (xml). The framework-dependent program needs the .NET 10 runtime; the built-in model is inside both.")
                .Finish(parsed, name);
        }
        finally
        {
            Directory.Delete(results, recursive: true);
        }
    }

    // The host's name says whether this runs as an executable or as dotnet GroupViT.Bench.dll.
    private static IReadOnlyList<string> OwnArguments()
        => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Path.Combine(AppContext.BaseDirectory, "GroupViT.Bench.dll"), Nothing] : [Nothing];

    private static IEnumerable<ChildProcess> Children(IReadOnlyList<Publish> publishes, string results)
    {
        string sample = Repository.Join("tools", "samples", "meadow.png");
        string bank = Path.Combine(results, "bank.safetensors");
        using (GroupVitModel model = GroupVitModel.Load(FullModel.Folder))
        using (Session session = model.OpenSession(new SessionOptions { Device = "cpu" }))
        {
            session.EncodeLabels(BenchInput.Labels).Save(bank);
        }
        ChildProcess Segment(Publish publish, string name, string picture, params string[] options)
            => new(publish.Name == FrameworkDependent ? name : $"{name}: {publish.Name}", publish.Executable, ["segment", picture, "--out", results, "--quiet", .. options]);

        yield return Segment(publishes[0], "segment, scenes, device auto", sample);
        foreach (Publish publish in publishes)
        {
            yield return Segment(publish, "segment, scenes, cpu", sample, "--device", "cpu");
            yield return Segment(publish, "segment, full, cpu, finished bank", BenchInput.PictureFile, "--device", "cpu", "--model", FullModel.Folder, "--bank", bank);
        }
        yield return Segment(publishes[0], "segment, full, cpu, labels as text", BenchInput.PictureFile, "--device", "cpu", "--model", FullModel.Folder, "--labels", string.Join(',', BenchInput.Labels));
    }

    private static long Peak(ChildProcess child, int runs) => Enumerable.Range(0, runs).Max(_ => child.Peak());

    private static MarkdownTable Bytes(IReadOnlyList<Publish> publishes)
    {
        MarkdownTable table = new("publish", ">files", ">MB");
        foreach (Publish publish in publishes)
        {
            table.Add(publish.Name, publish.Files.ToString(CultureInfo.InvariantCulture), (publish.Bytes / 1e6).Cell(2));
        }
        return table;
    }

    private static string Mebibytes(long bytes) => (bytes / 1048576.0).Cell(1);
}
