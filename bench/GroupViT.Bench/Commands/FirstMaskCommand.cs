using System.CommandLine;
using GroupViT.Bench.Measuring;
using GroupViT.Bench.Starting;

namespace GroupViT.Bench.Commands;

/// <summary>A fresh process to its first mask on a device, with and without kernels in caches.</summary>
internal static class FirstMaskCommand
{
    public static Command Create()
    {
        Option<string> device = BenchOptions.Device();
        Option<string> program = new("--program") { Description = "groupvit as published, its executable or groupvit.dll; default: the one beside this program", DefaultValueFactory = _ => "", HelpName = "FILE" };
        Option<int> runs = BenchOptions.Whole("--runs", "processes of each kind", 1, 1000, 3);
        Option<string?> output = BenchOptions.Out();
        Command command = new("first-mask", "Time fresh processes to their first mask on a device, kernels compiled anew or found in caches.") { device, program, runs, output };
        command.SetAction((parsed, cancellation) =>
        {
            string name = parsed.GetValue(device)!;
            string results = Directory.CreateTempSubdirectory("groupvit-bench-").FullName;
            try
            {
                MarkdownTable table = new FirstMask(name, parsed.GetValue(program)!, results).Run(parsed.GetValue(runs), cancellation);
                new ResultFile($"From start to first mask on {name}", Machine.Here(), BenchOptions.CommandLine(parsed))
                    .Add(
                        "Processes", table,
                        "Milliseconds from the start of `groupvit segment` to its end, files written; the full-size network, a photograph of 640 x 640 pixels, a finished label bank. Cold: "
                        + $"{string.Join(", ", FirstMask.NoCaches.Select(variable => $"{variable.Key}={variable.Value}"))}. The caches are in a folder of their own, empty at first.")
                    .Finish(parsed, parsed.GetValue(output));
            }
            finally
            {
                Directory.Delete(results, recursive: true);
            }
            return Task.CompletedTask;
        });
        return command;
    }
}
