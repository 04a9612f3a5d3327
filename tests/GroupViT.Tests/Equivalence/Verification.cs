using GroupViT.Kernels.Devices;
using GroupViT.Native;
using GroupViT.Native.Weights;
using GroupViT.Tests.Engine;
using GroupViT.Tests.Kernels;

namespace GroupViT.Tests.Equivalence;

/// <summary>A model's folder held against a folder of recorded values on a device.</summary>
internal static class Verification
{
    /// <summary>Asserts that everything is within tolerance and returns the report.</summary>
    public static VerificationReport Check(TestDevice device, string model, string reference, string? only)
    {
        VerificationReport report = Run(device.Device, model, reference, only, Precision.Float32);
        // A band that holds many tokens would excuse wrong assignments: the reference's own margins are almost all wide.
        Assert.That(report.InTieBand, Is.LessThanOrEqualTo(report.Assignments / 100));
        return report;
    }

    /// <summary>As above, within the tolerance of a precision, whose band is as much wider as its numbers are coarser.</summary>
    public static VerificationReport Run(Device device, string model, string reference, string? only, Precision precision)
    {
        using Checkpoint checkpoint = TestModels.Open(model);
        using ReferenceFile expected = ReferenceFile.Open(Path.Combine(reference, "expected.safetensors"), null, precision);
        VerificationReport report = new Verifier(checkpoint, device, threads: 2, precision.WeightFormat()).Run(expected, only);
        foreach (VerifiedValue value in report.Values)
        {
            TestContext.Out.WriteLine($"{value.Name,-60} {value.Error:G3} of {value.Tolerance:G3} ({value.ReferenceError:G3}) {value.Note}");
        }
        TestContext.Out.WriteLine($"{report.Values.Count} values; {report.Assignments} assignments, {report.InTieBand} in the tie band, {report.Flipped} flipped");
        Assert.That(report.Values.Where(value => !value.Passed), Is.Empty);
        return report;
    }
}
