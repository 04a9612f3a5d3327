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
        SkipUnlessCpu(only != "image224x224*");
        VerificationReport report = Verification.Check(device, FullModel.Folder, Subset(only), null);
        Assert.That(report.Values.Any(value => FileName(value.Name, only)), $"nothing was compared for {only}");
    }

    [Test, Category("FullSize")]
    public void Weights_under_NVlabs_names_give_the_same_values()
    {
        SkipUnlessCpu(true);
        using TemporaryFolder nvlabs = new();
        File.Copy(Fixtures.Path("full", "config.json"), nvlabs["config.json"]);
        FormulaWeights.Synthesize(FullModel.Config, KeyLayout.Nvlabs, SafetensorsType.F32, nvlabs["model.safetensors"]);
        Verification.Check(device, nvlabs.Root, Subset("image224x224*"), null);
    }

    [OneTimeTearDown]
    public void Delete()
    {
        foreach (TemporaryFolder folder in subsets.Values)
        {
            folder.Dispose();
        }
    }

    private readonly Dictionary<string, TemporaryFolder> subsets = [];

    private static bool FileName(string name, string pattern) => System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(pattern, name);

    // The verifier runs every picture that a file holds, whatever is compared: a file of what is asked for saves the other runs.
    private string Subset(string pattern)
    {
        if (subsets.TryGetValue(pattern, out TemporaryFolder? made))
        {
            return made.Root;
        }
        TemporaryFolder folder = subsets[pattern] = new TemporaryFolder();
        File.Copy(Fixtures.Path("full", "reference_error.json"), folder["reference_error.json"]);
        using SafetensorsFile all = SafetensorsFile.Open(Fixtures.Path("full", "expected.safetensors"));
        bool Needed(string name) => FileName(name, pattern)
            || pattern == "joint*" && (name is "image224x224.pixel_values" or "image224x224.visual_projection" or "text.text_projection" || name.StartsWith("text.input", StringComparison.Ordinal) || name == "text.attention_mask");
        List<TensorToWrite> tensors = [];
        foreach (SafetensorsEntry entry in all.Tensors.Values.Where(entry => Needed(entry.Name)))
        {
            int[] shape = [.. entry.Shape.ToArray().Select(side => (int)side)];
            tensors.Add(entry.Type is SafetensorsType.F32
                ? TensorToWrite.OfFloats(entry.Name, entry.Type, shape, (first, values) => all.ReadFloat32(entry, (int)first, values))
                : TensorToWrite.OfIntegers(entry.Name, entry.Type, shape, (first, values) => all.ReadInt32(entry, (int)first, values)));
        }
        SafetensorsWriter.Write(folder["expected.safetensors"], tensors);
        return folder.Root;
    }

    private void SkipUnlessCpu(bool cpuOnly)
    {
        if (device.IsSlow)
        {
            Assert.Ignore("the simulator takes the full network hours");
        }
        if (cpuOnly && device.Kind != GroupViT.Kernels.Devices.DeviceKind.Cpu)
        {
            Assert.Ignore("on GPU devices the full network is checked at 224 x 224");
        }
    }
}
