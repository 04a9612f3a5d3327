using System.Runtime.Intrinsics;

namespace GroupViT.Tests.Devices;

/// <summary>A lane that switches instruction sets off is worth nothing if the switch had no effect.</summary>
[Category("Cpu")]
internal sealed class InstructionSetTests
{
    [Test]
    public void The_widest_vector_is_the_one_the_lane_asked_for()
    {
        string widest = Vector512.IsHardwareAccelerated ? "512"
            : Vector256.IsHardwareAccelerated ? "256"
            : Vector128.IsHardwareAccelerated ? "128"
            : "0";
        TestContext.Out.WriteLine($"Widest accelerated vector: {widest} bits.");
        string? asked = Environment.GetEnvironmentVariable("GROUPVIT_EXPECT_VECTOR_BITS");
        if (asked is null)
        {
            Assert.Ignore("GROUPVIT_EXPECT_VECTOR_BITS is not set: no lane asked for a level.");
        }
        Assert.That(widest, Is.EqualTo(asked));
    }
}
