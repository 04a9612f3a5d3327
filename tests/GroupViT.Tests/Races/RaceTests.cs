using System.Text.RegularExpressions;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Ptx;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Races;

/// <summary>Kernels with groups, shared memory and barriers, interpreted by oclgrind: on PoCL and the simulator a missing barrier may well give the right numbers.</summary>
[Category("Races")]
internal sealed class RaceTests
{
    private static readonly Type[] KernelTypes = typeof(Operation).Assembly.GetTypes();

    [TestCaseSource(typeof(RaceCases), nameof(RaceCases.All))]
    public void A_kernel_is_clean_and_right(RaceCase race)
    {
        RequireOclgrind();
        // A kernel that races is not looked at further: telling all that it reads unwritten takes many minutes.
        foreach (Check check in Enum.GetValues<Check>())
        {
            // A finding explains a wrong result: both are told.
            using (Assert.EnterMultipleScope())
            {
                IReadOnlyList<string> findings = Oclgrind.Findings(check, race.Facts, device =>
                {
                    OperationHarness harness = new(device) { InPlace = race.InPlace };
                    harness.Check(race.Make(harness));
                });
                Assert.That(findings, Is.Empty, Summary(findings));
            }
        }
    }

    [Test]
    public void A_barrier_left_out_is_found() => IsFound<LacksBarrier>(Check.DataRaces, "data race at local memory");

    [Test]
    public void Two_groups_that_write_one_element_are_found() => IsFound<SharesElement>(Check.DataRaces, "data race at global memory");

    [Test]
    public void A_read_beyond_shared_memory_is_found() => IsFound<ReadsBeyondArray>(Check.DataRaces, "Invalid read of size 4 at local memory");

    [Test]
    public void A_write_beyond_the_buffer_is_found() => IsFound<WritesBeyondBuffer>(Check.DataRaces, "Invalid write of size 4 at global memory");

    [Test]
    public void Shared_memory_that_nothing_wrote_is_found() => IsFound<LeavesUnwritten>(Check.UninitializedValues, "uninitialized value");

    [Test]
    public void A_barrier_that_only_some_threads_reach_is_found() => IsFound<DividesBarrier>(Check.DataRaces, "divergence");

    [TestCase(Check.DataRaces), TestCase(Check.UninitializedValues)]
    public void The_same_kernel_without_a_fault_is_clean(Check check)
    {
        RequireOclgrind();
        IReadOnlyList<string> findings = Oclgrind.Findings(check, Facts, device => new OperationHarness(device).Check(new FaultyRows<NoFault>(Rows)));
        Assert.That(findings, Is.Empty, Summary(findings));
    }

    [Test]
    public void Every_kernel_with_shared_memory_that_sessions_launch_has_a_case()
    {
        MarkdownTable table = MarkdownTable.Parse(File.ReadAllText(Path.Combine(Repository.Results, PtxReport.Name + ".md"))).Single();
        IEnumerable<string> launched = table.Rows.Where(row => table.Cell(row, "shared bytes") != "0").Select(row => table.Cell(row, "kernel").Trim('`')).Where(IsPortable);
        HashSet<string> covered = [.. RaceCases.All.SelectMany(Kernels).Where(kernel => kernel.GroupSize > 0).Select(kernel => AnyActivation(kernel.Name))];
        Assert.That(launched.Select(AnyActivation).Distinct(), Is.Not.Empty.And.SubsetOf(covered), "add a case to RaceCases");
    }

    [Test]
    public void Findings_are_read_from_the_log()
    {
        IReadOnlyList<string> findings = Oclgrind.Parse("\nWrite-write data race at local memory address 0x10\n\tKernel: k\n\n\tFirst entity: Global(1,0,0)\n\n\nInvalid read of size 4\n\tKernel: k\n");
        Assert.That(findings, Is.EqualTo((string[])["Write-write data race at local memory address 0x10 | Kernel: k | First entity: Global(1,0,0)", "Invalid read of size 4 | Kernel: k"]));
        Assert.That(Oclgrind.Parse("\n"), Is.Empty);
    }

    private static DeviceFacts Facts => new RaceCase("", _ => Rows).Facts;

    private static NormalizeRows Rows => new(Tensor.Float("x", 1, 2, 150), Tensor.Float("y", 1, 2, 150), 1e-12f);

    // The results are wrong as well, or not, as it happens: here it is oclgrind that must see it.
    private static void IsFound<TFault>(Check check, string words)
        where TFault : struct, IFault
    {
        RequireOclgrind();
        IReadOnlyList<string> findings = Oclgrind.Findings(check, Facts, device => new OperationHarness(device).Run(new FaultyRows<TFault>(Rows)));
        Assert.That(findings, Has.Some.Contains(words), Summary(findings));
    }

    private static string Summary(IReadOnlyList<string> findings)
        => $"{findings.Count} findings: {string.Join("; ", findings.GroupBy(finding => Regex.Match(finding, @"^.*?(?= address | \||$)").Value).Select(kind => $"{kind.Count()} x {kind.First()}"))}";

    // What a device of these facts would be given for a case.
    private static List<GpuKernel> Kernels(RaceCase race)
    {
        List<GpuKernel> kernels = [];
        using GpuDevice absent = GpuDevice.Absent(race.Facts, kernels.Add);
        using ConstantPool constants = absent.CreateConstants(new MemoryAccount());
        using Worker worker = absent.CreateWorker(null, constants, 1);
        worker.Prepare(race.Make(new OperationHarness(new TestDevice(race.Name, DeviceKind.OpenCL, () => absent))), new Dictionary<Tensor, long>());
        return kernels;
    }

    // NVIDIA's matrix instructions and asynchronous copies have no words in OpenCL; the kernels' types say so.
    private static bool IsPortable(string kernel)
        => !NamesOf(typeof(ITensorFormat)).Append(nameof(AsyncTileCopy)).Any(name => Regex.IsMatch(kernel, $@"\b{name}\b"));

    // What is done to a finished sum races with nothing.
    private static string AnyActivation(string kernel) => Regex.Replace(kernel, $@"\b({string.Join('|', NamesOf(typeof(IGpuActivation)))})\b", "*");

    private static IEnumerable<string> NamesOf(Type contract) => KernelTypes.Where(type => type.IsValueType && contract.IsAssignableFrom(type)).Select(type => type.Name);

    private static void RequireOclgrind()
    {
        if (Oclgrind.WhyMissing is { } problem)
        {
            Assert.Ignore(problem);
        }
    }
}
