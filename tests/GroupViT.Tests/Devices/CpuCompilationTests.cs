using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Devices;

[Category("Cpu")]
internal sealed class CpuCompilationTests
{
    /// <summary>In the background its failures are nobody's; here they are seen.</summary>
    [Test]
    public void The_small_program_that_is_compiled_ahead_runs([Values] Activation activation)
    {
        using CpuDevice device = new();
        Assert.DoesNotThrow(() => CpuCompilation.Run(device, activation));
    }
}
