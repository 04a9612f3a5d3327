using System.Diagnostics;
using System.Text.Json;
using GroupViT.Native.Weights;
using GroupViT.Tests.Equivalence;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Converting;

/// <summary>Conversions stream: memory does not grow with the file.</summary>
[Category("Cpu")]
internal sealed class ConversionMemoryTests
{
    /// <summary>
    /// Two processes, one that converts 2 MB and one that converts 223 MB (its largest tensor has 48 MB). The promise is 64 MB and the
    /// largest tensor above an idle process; what is held to here is a quarter of the 64 above one that has done the same work on nothing.
    /// </summary>
    [TestCase("nvlabs", "f32")]
    [TestCase("huggingface", "bf16")]
    [Category("FullSize")]
    public void The_full_size_model_takes_hardly_more_memory_than_a_tiny_one(string layout, string type)
    {
        using TemporaryFolder folder = new();
        Assert.That(new FileInfo(Path.Combine(FullModel.Folder, "model.safetensors")).Length, Is.GreaterThan(200 << 20));
        long tiny = Peak(Fixtures.Path("tiny"), folder.Join("tiny"), layout, type);
        long full = Peak(FullModel.Folder, folder.Join("full"), layout, type);
        TestContext.Out.WriteLine($"{tiny >> 20} MiB and {full >> 20} MiB");
        Assert.That(full - tiny, Is.LessThan(16 << 20));
        using SafetensorsFile made = SafetensorsFile.Open(folder.Join("full/model.safetensors"));
        Assert.That(made.Tensors, Has.Count.EqualTo(layout == "nvlabs" ? 406 : 502), "as many as the spec counts (D)");
    }

    private static long Peak(string source, string folder, string layout, string type)
    {
        ProcessStartInfo start = new("dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            ArgumentList = { Path.Combine(AppContext.BaseDirectory, "groupvit.dll"), "convert", source, "--out", folder, "--layout", layout, "--dtype", type, "--json" },
        };
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, error.Result);
        return JsonDocument.Parse(output).RootElement.GetProperty("peak_memory").GetInt64();
    }
}
