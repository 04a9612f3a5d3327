using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Kernels;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests.Devices;

/// <summary>Sessions whose kernels come from disk compute the same bits as those that compiled them.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class CachedKernelsTests(TestDevice device)
{
    // One test, since every compilation takes seconds.
    [Test]
    public void A_later_session_compiles_nothing_and_what_the_driver_refuses_is_compiled_again()
    {
        RequireCompiler();
        using Tools.TemporaryFolder folder = new();
        string kernels = folder.Join("kernels");
        using GroupVitModel model = TestModels.Tiny();
        (ImageEncoding expected, (int FromDisk, int Compiled) cold) = Encode(model, kernels);
        Assert.That(cold.FromDisk, Is.Zero);
        Assert.That(cold.Compiled, Is.Positive);
        (ImageEncoding later, (int FromDisk, int Compiled) warm) = Encode(model, kernels);
        Assert.That(warm, Is.EqualTo((cold.Compiled, 0)));
        TestModels.AssertSameBits(later, expected, "from disk");

        // Whole files, by their hash, with a code that is none.
        KernelCache cache = new(kernels);
        string[] files = Directory.GetFiles(kernels);
        foreach (string file in files)
        {
            byte[] bytes = File.ReadAllBytes(file);
            int name = BitConverter.ToInt32(bytes, 32);
            cache.Write(System.Text.Encoding.UTF8.GetString(bytes, 44, name), new KernelImage(0, [.. "no program"u8]));
        }
        Assert.That(Directory.GetFiles(kernels), Is.EquivalentTo(files), "written over");
        (ImageEncoding again, (int FromDisk, int Compiled) counts) = Encode(model, kernels);
        Assert.That(counts, Is.EqualTo((0, cold.Compiled)));
        TestModels.AssertSameBits(again, expected, "compiled again");
        Assert.That(Encode(model, kernels).Counts, Is.EqualTo((cold.Compiled, 0)), "and kept again");
    }

    [Test]
    public void The_program_says_what_a_first_and_a_later_process_take()
    {
        RequireCompiler();
        if (!File.Exists(Path.Combine(AppContext.BaseDirectory, "groupvit.dll")))
        {
            Assert.Ignore("the program does not lie beside these tests");
        }
        ToolRun run = ToolRun.Of("devices", "--warmup", "--device", device.Name, "--model", Fixtures.Models("scenes"), "--json");
        Assert.That(run.Code, Is.Zero, run.Error);
        System.Text.Json.JsonElement measured = run.Json.Single().GetProperty("devices")[0];
        System.Text.Json.JsonElement first = measured.GetProperty("first");
        System.Text.Json.JsonElement later = measured.GetProperty("later");
        Assert.That(first.GetProperty("compiled").GetInt32(), Is.Positive);
        Assert.That(first.GetProperty("fromDisk").GetInt32(), Is.Zero);
        Assert.That(later.GetProperty("fromDisk").GetInt32(), Is.EqualTo(first.GetProperty("compiled").GetInt32()));
        Assert.That(later.GetProperty("compiled").GetInt32(), Is.Zero);
        Assert.That(later.GetProperty("milliseconds").GetDouble(), Is.Positive);
        TestContext.Out.WriteLine(run.Output);
    }

    private void RequireCompiler()
    {
        if (device.Kind is DeviceKind.Cpu or DeviceKind.Simulator)
        {
            Assert.Ignore("for devices whose driver compiles");
        }
        _ = device.Device;
    }

    private (ImageEncoding Encoding, (int FromDisk, int Compiled) Counts) Encode(GroupVitModel model, string kernelCache)
    {
        using Session session = model.OpenSession(new SessionOptions { Device = device.Name, KernelCache = kernelCache });
        return (session.Encode(TestModels.Noise(80, 64)), session.KernelCounts);
    }
}
