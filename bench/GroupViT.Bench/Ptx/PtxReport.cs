using System.Globalization;
using System.Text;
using GroupViT.Bench.Commands;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Bench.Ptx;

/// <summary>Every CUDA kernel beside every architecture: what the assembler made of it. The same code and assembler give the same bytes.</summary>
internal static class PtxReport
{
    public const string Name = "ptx";

    /// <summary>The kernels of each architecture, by compute capability times ten.</summary>
    public static IReadOnlyDictionary<int, IReadOnlyList<GpuKernel>> Inventory(IReadOnlyList<GroupVitModel> models)
        => DeviceFacts.CudaArchitectures.ToDictionary(architecture => architecture, architecture => KernelInventory.Of(models, architecture));

    /// <summary>The whole file.</summary>
    /// <param name="inventory">See <see cref="Inventory"/>.</param>
    /// <param name="told">Hears of each kernel before it is assembled.</param>
    /// <exception cref="BenchException">There is no assembler, or it refuses a kernel.</exception>
    public static string Text(IReadOnlyDictionary<int, IReadOnlyList<GpuKernel>> inventory, Action<string>? told = null)
    {
        StringBuilder text = new();
        text.Append("# Every CUDA kernel, assembled\n\n");
        text.Append(CultureInfo.InvariantCulture, $"* Assembler: nvJitLink {PtxAssembler.Version()} (NVIDIA)\n");
        text.Append(CultureInfo.InvariantCulture, $"* Compiler: ILGPU {typeof(ILGPU.Context).Assembly.GetName().Version?.ToString(3)}, O1 and address-space inference\n");
        text.Append("* Command: `dotnet run -c Release --project bench/GroupViT.Bench -- ptx`\n\n");
        text.Append("Registers of a thread on each architecture; an empty cell: sessions there run another kernel. Nothing here ran on hardware: assembling\n");
        text.Append("proves that the instructions exist and what they cost, the simulator that they compute what they should.\n\n");
        text.Append(Table(inventory, told));
        return text.ToString();
    }

    private static MarkdownTable Table(IReadOnlyDictionary<int, IReadOnlyList<GpuKernel>> inventory, Action<string>? told)
    {
        MarkdownTable table = new(["kernel", ">threads", ">shared bytes", ">local bytes", .. inventory.Keys.Order().Select(architecture => $">sm_{architecture}")]);
        foreach (IGrouping<string, GpuKernel> kernel in inventory.Values.SelectMany(kernels => kernels).GroupBy(kernel => kernel.Name).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            told?.Invoke(kernel.Key);
            GpuKernel first = kernel.First();
            Dictionary<int, AssembledKernel> made = [];
            foreach (int architecture in inventory.Keys.Order().Where(architecture => inventory[architecture].Any(other => other.Name == kernel.Key)))
            {
                try
                {
                    made[architecture] = PtxAssembler.Assemble(KernelInventory.Ptx(first, architecture), architecture);
                }
                catch (Exception exception) when (exception is not OutOfMemoryException)
                {
                    throw new BenchException($"{kernel.Key} for sm_{architecture}: {exception.Message}");
                }
            }
            table.Add(
                [
                    $"`{kernel.Key}`",
                    (first.GroupSize == 0 ? GpuKernel.FlatGroupSize : first.GroupSize).ToString(CultureInfo.InvariantCulture),
                    made.Values.Max(kernel => kernel.SharedBytes).ToString(CultureInfo.InvariantCulture),
                    made.Values.Max(kernel => Math.Max(kernel.StackBytes, kernel.SpillBytes)).ToString(CultureInfo.InvariantCulture),
                    .. inventory.Keys.Order().Select(architecture => made.TryGetValue(architecture, out AssembledKernel? result) ? result.Registers.ToString(CultureInfo.InvariantCulture) : ""),
                ]);
        }
        return table;
    }
}
