using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Equivalence;

/// <summary>The official architecture at full size against the reference's recorded values.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class FullSizeTests(TestDevice device)
{
    [TestCase("image224x224*", Category = "FullSize")]
    [TestCase("image448x448*", Category = "FullSize")]
    [TestCase("image448x608*", Category = "FullSize")]
    [TestCase("text*", Category = "FullSize")]
    [TestCase("joint*", Category = "FullSize")]
    public void The_full_size_network_is_the_references(string only)
    {
        Skip(only != "image224x224*");
        VerificationReport report = Verification.Check(device, FullModel.Folder, Subset(only), null);
        Assert.That(report.Values.Any(value => RecordedSubset.Matches(value.Name, only)), $"nothing was compared for {only}");
    }

    [Test, Category("FullSize")]
    public void Weights_under_NVlabs_names_give_the_same_values()
    {
        Skip(true);
        using TemporaryFolder nvlabs = new();
        File.Copy(Fixtures.Path("full", "config.json"), nvlabs["config.json"]);
        FormulaWeights.Synthesize(FullModel.Config, KeyLayout.Nvlabs, SafetensorsType.F32, nvlabs["model.safetensors"]);
        Verification.Check(device, nvlabs.Root, Subset("image224x224*"), null);
    }

    [OneTimeTearDown]
    public void Delete()
    {
        foreach (RecordedSubset subset in subsets.Values)
        {
            subset.Dispose();
        }
    }

    private readonly Dictionary<string, RecordedSubset> subsets = [];

    private string Subset(string pattern)
    {
        if (!subsets.TryGetValue(pattern, out RecordedSubset? made))
        {
            made = subsets[pattern] = new RecordedSubset(pattern);
        }
        return made.Folder;
    }

    private void Skip(bool large)
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator takes the full network hours");
        }
        // OpenCL is mostly PoCL on a processor, where each takes seconds; a card takes milliseconds.
        if (large && device.Kind == DeviceKind.OpenCL)
        {
            Assert.Ignore("on OpenCL devices the full network is checked at 224 x 224");
        }
    }
}
