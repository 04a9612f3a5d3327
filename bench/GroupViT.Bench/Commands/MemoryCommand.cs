using System.CommandLine;
using System.Globalization;
using GroupViT.Bench.Measuring;
using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Bench.Commands;

/// <summary>What sessions ask of a card that need not be here, to the byte.</summary>
internal static class MemoryCommand
{
    public static Command Create()
    {
        Option<int> architecture = new("--architecture") { Description = "compute capability times ten", DefaultValueFactory = _ => 80 };
        Command command = new("memory", "Print the device memory of the full-size model on a CUDA card, by precision, size and batch.") { architecture };
        command.SetAction(parsed =>
        {
            using GroupVitModel model = GroupVitModel.Load(FullModel.Folder);
            using GpuDevice card = GpuDevice.Absent(DeviceFacts.Cuda(parsed.GetValue(architecture)), _ => { });
            MarkdownTable table = new("precision", ">input", ">batch", ">weights", ">arena", ">bytes", ">least, weights streamed");
            foreach (Precision precision in Enum.GetValues<Precision>().Where(precision => card.Supports(precision.WeightFormat())))
            {
                foreach ((int size, int batch) in (ReadOnlySpan<(int, int)>)[(224, 1), (224, 8), (224, 64), (448, 1), (448, 8), (448, 64)])
                {
                    MemoryEstimate need = new SessionPlan(model, new SessionOptions { Device = card.Name, Precision = precision, MaxSize = (size, size), MaxBatch = batch }).Estimate(card);
                    table.Add(precision.ToString(), Number(size), Number(batch), Number(need.ImageWeights), Number(need.Arenas), Number(need.WithoutText), Number(need.LeastLimit));
                }
            }
            parsed.InvocationConfiguration.Output.Write(table.ToString());
            return 0;
        });
        return command;
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
