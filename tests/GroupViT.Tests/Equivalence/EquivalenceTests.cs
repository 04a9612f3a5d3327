using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Equivalence;

/// <summary>Every device against the reference's recorded values, taps and production program alike.</summary>
[TestFixtureSource(typeof(TestDevices), nameof(TestDevices.All))]
internal sealed class EquivalenceTests(TestDevice device)
{
    [TestCase("tiny", "tiny")]
    [TestCase("tiny/nvlabs", "tiny")]
    [TestCase("tiny/f16", "tiny/f16")]
    [TestCase("tiny/bf16", "tiny/bf16")]
    public void The_tiny_network_is_the_references(string model, string reference)
        => Verify(Fixtures.Path(model), Fixtures.Path(reference), device.IsSlow ? "image64x48*" : null);

    private void Verify(string model, string reference, string? only)
    {
        GroupVitConfig config = GroupVitConfig.Load(Path.Combine(model, "config.json"));
        using Checkpoint checkpoint = Checkpoint.Open(SafetensorsFile.Open(Path.Combine(model, "model.safetensors")), config);
        using ReferenceFile expected = ReferenceFile.Open(Path.Combine(reference, "expected.safetensors"));
        VerificationReport report = new Verifier(checkpoint, device.Device, threads: 2).Run(expected, only);
        foreach (VerifiedValue value in report.Values)
        {
            TestContext.Out.WriteLine($"{value.Name,-60} {value.Error:G3} of {value.Tolerance:G3} ({value.ReferenceError:G3}) {value.Note}");
        }
        TestContext.Out.WriteLine($"{report.Values.Count} values; {report.Assignments} assignments, {report.InTieBand} in the tie band, {report.Flipped} flipped");
        Assert.That(report.Values.Where(value => !value.Passed), Is.Empty);
    }
}
