using System.CommandLine;
using System.Text;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Ptx;
using GroupViT.Native;

namespace GroupViT.Bench.Commands;

/// <summary>Compiles and assembles every CUDA kernel without a GPU.</summary>
internal static class PtxCommand
{
    public static Command Create()
    {
        Option<string?> dump = new("--dump") { Description = "a folder for the PTX of every kernel and architecture" };
        Command command = new(PtxReport.Name, $"Assemble every CUDA kernel for every architecture and write bench/results/{PtxReport.Name}.md.") { dump };
        command.SetAction(parsed =>
        {
            if (PtxAssembler.WhyMissing is { } problem)
            {
                throw new BenchException(problem);
            }
            using GroupVitModel full = GroupVitModel.Load(FullModel.Folder);
            using GroupVitModel tiny = GroupVitModel.Load(Repository.Join("tests", "fixtures", "tiny"));
            var inventory = PtxReport.Inventory([full, tiny]);
            if (parsed.GetValue(dump) is { } folder)
            {
                Dump(folder, inventory);
            }
            string text = PtxReport.Text(inventory, parsed.InvocationConfiguration.Error.WriteLine);
            Directory.CreateDirectory(Repository.Results);
            string path = Path.Combine(Repository.Results, PtxReport.Name + ".md");
            AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
            parsed.InvocationConfiguration.Error.WriteLine($"wrote {path}");
            return 0;
        });
        return command;
    }

    private static void Dump(string folder, IReadOnlyDictionary<int, IReadOnlyList<GroupViT.Kernels.Devices.GpuKernel>> inventory)
    {
        Directory.CreateDirectory(folder);
        foreach ((int architecture, var kernels) in inventory)
        {
            foreach (var kernel in kernels)
            {
                string name = string.Concat(kernel.Name.Select(character => char.IsLetterOrDigit(character) ? character : '_'));
                File.WriteAllText(Path.Combine(folder, $"sm_{architecture}-{name}.ptx"), KernelInventory.Ptx(kernel, architecture));
            }
        }
    }
}
