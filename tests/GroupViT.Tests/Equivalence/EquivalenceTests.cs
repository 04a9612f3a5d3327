using GroupViT.Native;
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
        => Verification.Check(device, Fixtures.Path(model), Fixtures.Path(reference), device.IsSlow ? "image64x48*" : null);

    /// <summary>Trained weights: assignment logits are large and margins narrow, so the replay of recorded assignments is at work.</summary>
    [Test]
    public void The_demonstration_network_is_the_references()
    {
        if (device.IsSlow)
        {
            Assert.Ignore("a whole scene takes the simulator minutes");
        }
        VerificationReport report = Verification.Check(device, Fixtures.Models("scenes"), Fixtures.Path("scenes"), null);
        Assert.That(report.Assignments, Is.EqualTo(8 * (196 + 32) + 2 * (784 + 32)));
        Assert.That(report.Flipped, Is.LessThanOrEqualTo(report.InTieBand));
    }
}
