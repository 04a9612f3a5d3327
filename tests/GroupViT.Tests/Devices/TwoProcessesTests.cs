using System.Diagnostics;
using GroupViT.Kernels.Devices;
using GroupViT.Native.Measuring;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Devices;

/// <summary>Processes that know nothing of each other share a device.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class TwoProcessesTests(TestDevice device)
{
    [Test]
    public void Two_processes_at_once_give_what_one_gives_alone()
    {
        if (device.IsSlow || device.Kind == DeviceKind.Cpu)
        {
            Assert.Ignore("for devices that a driver shares out");
        }
        _ = device.Device;
        using Tools.TemporaryFolder folder = new();
        string model = Fixtures.Models("scenes");
        string[] outputs = [.. Enumerable.Range(0, 3).Select(i => folder.Join($"{i}.json"))];
        Assert.That(Embed(model, outputs[0])(), Is.Zero, "one alone");
        Func<int>[] running = [Embed(model, outputs[1]), Embed(model, outputs[2])];
        Assert.That(running.Select(wait => wait()), Is.All.Zero, "two at once");
        Assert.That(File.ReadAllText(outputs[1]), Is.EqualTo(File.ReadAllText(outputs[0])));
        Assert.That(File.ReadAllText(outputs[2]), Is.EqualTo(File.ReadAllText(outputs[0])));
        Assert.That(File.ReadAllText(outputs[0]), Is.Not.Empty);
    }

    // Starts the program; the result waits for its exit code.
    private Func<int> Embed(string model, string output)
    {
        if (!File.Exists(Path.Combine(AppContext.BaseDirectory, "groupvit.dll")))
        {
            Assert.Ignore("the program does not lie beside these tests");
        }
        (string executable, IReadOnlyList<string> first) = ProgramBeside.Command("groupvit");
        ProcessStartInfo start = new(executable, first) { RedirectStandardError = true, RedirectStandardOutput = true };
        string[] arguments = ["embed", "--text", "a photo of the sea", "--model", model, "--device", device.Name, "--json"];
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }
        Process process = Process.Start(start)!;
        Task<string> text = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        return () =>
        {
            using (process)
            {
                Assert.That(process.WaitForExit(120_000), "it ends");
                File.WriteAllText(output, text.Result);
                TestContext.Out.Write(errors.Result);
                return process.ExitCode;
            }
        };
    }
}
