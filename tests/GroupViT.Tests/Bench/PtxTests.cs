using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Ptx;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Tests.Bench;

/// <summary>What CUDA would be given, made and assembled without a GPU: a mistake in it is found here, not on the first machine that has one.</summary>
[Category("Ptx")]
internal sealed class PtxTests
{
    private IReadOnlyDictionary<int, IReadOnlyList<GpuKernel>> inventory = null!;

    [OneTimeSetUp]
    public void Take()
    {
        using GroupVitModel full = GroupVitModel.Load(Equivalence.FullModel.Folder);
        using GroupVitModel tiny = GroupVitModel.Load(Fixtures.Path("tiny"));
        inventory = PtxReport.Inventory([full, tiny]);
    }

    [Test]
    public void Every_architecture_has_kernels_for_every_precision_and_the_table_lists_them()
    {
        MarkdownTable table = MarkdownTable.Parse(File.ReadAllText(Committed)).Single();
        foreach ((int architecture, IReadOnlyList<GpuKernel> kernels) in inventory)
        {
            IEnumerable<string> listed = table.Rows.Where(row => table.Cell(row, $"sm_{architecture}").Length > 0).Select(row => table.Cell(row, "kernel").Trim('`'));
            Assert.That(listed, Is.EqualTo(kernels.Select(kernel => kernel.Name)), $"sm_{architecture}: write the table again (the command is in it)");
        }
        Assert.That(Names(90), Has.Some.Contains("BFloat16Tensors").And.Some.Contains("Float16Tensors").And.Some.Contains("Float32Tensors"));
        Assert.That(Names(90), Has.Some.Contains("AsyncTileCopy, DeepShared").And.Some.Contains("AsyncTileCopy, WideShared"), "both shapes of the float32 product");
        Assert.That(Names(60), Has.Some.Contains("PlainTileCopy, DeepShared").And.Some.Contains("PlainTileCopy, WideShared").And.Some.Contains("SplitAttention"));
        Assert.That(Names(75), Has.Some.Contains("Float16TensorsK8").And.Some.Contains("BFloat16Quads").And.None.Contains("AsyncTileCopy"));
        Assert.That(Names(60), Has.Some.Contains("Float16Quads").And.Some.Contains("BFloat16Quads").And.None.Contains("TensorMatMul"));
    }

    [Test]
    public void No_kernel_calls_functions_or_keeps_anything_in_local_memory()
    {
        foreach (int architecture in (int[])[60, 75, 90])
        {
            foreach (GpuKernel kernel in inventory[architecture])
            {
                string text = KernelInventory.Ptx(kernel, architecture);
                Assert.That(text, Does.Contain(".entry"));
                Assert.That(text, Does.Not.Contain(".local"), $"{kernel.Name}: an array or a struct that was not taken apart");
                Assert.That(text, Does.Not.Contain("call"), $"{kernel.Name}: a function that was not inlined");
                Assert.That(text, Does.Not.Match(@"\bld\.f32|\bst\.f32"), $"{kernel.Name}: an access without an address space");
                Assert.That(text.Contains("bar.sync", StringComparison.Ordinal), Is.EqualTo(text.Contains(".shared", StringComparison.Ordinal)), $"{kernel.Name}: a barrier where there is shared memory");
            }
        }
    }

    [Test]
    public void The_assembler_takes_every_kernel_and_the_table_is_what_it_says()
    {
        RequireAssembler();
        string text = PtxReport.Text(inventory);
        MarkdownTable table = MarkdownTable.Parse(text).Single();
        Assert.That(table.Rows.Where(row => table.Cell(row, "local bytes") != "0").Select(row => table.Cell(row, "kernel")), Is.Empty, "registers ran out, or an array stayed in memory");
        Assert.That(table.Rows.Select(row => int.Parse(table.Cell(row, "shared bytes"), System.Globalization.CultureInfo.InvariantCulture)), Is.All.LessThanOrEqualTo(48 << 10));
        Assert.That(text, Is.EqualTo(File.ReadAllText(Committed)), "write the table again (the command is in it)");
    }

    [Test]
    public void The_assembler_refuses_what_an_architecture_does_not_have()
    {
        RequireAssembler();
        GpuKernel tensors = inventory[80].First(kernel => kernel.Name.StartsWith("TensorMatMul.Kernel<BFloat16Tensors", StringComparison.Ordinal));
        string text = KernelInventory.Ptx(tensors, 80);
        Assert.That(() => PtxAssembler.Assemble(text.Replace(".target sm_80", ".target sm_70", StringComparison.Ordinal), 70), Throws.TypeOf<BenchException>());
        Assert.That(() => PtxAssembler.Assemble(text.Replace("mma.sync.aligned.m16n8k16", "mma.sync.aligned.m16n8k17", StringComparison.Ordinal), 80), Throws.TypeOf<BenchException>());
    }

    private static string Committed => Path.Combine(Repository.Results, PtxReport.Name + ".md");

    private IEnumerable<string> Names(int architecture) => inventory[architecture].Select(kernel => kernel.Name);

    private static void RequireAssembler()
    {
        if (PtxAssembler.WhyMissing is { } problem)
        {
            Assert.Ignore(problem);
        }
    }
}
