using GroupViT.Kernels.Devices;
using GroupViT.Native;

namespace GroupViT.Tests.Devices;

/// <summary>A driver that is older than the kernels is named before a kernel is compiled for it.</summary>
[Category("Cpu")]
internal sealed class CudaDriverTests
{
    [TestCase(90, "11.7", "11.8")]
    [TestCase(89, "11.0", "11.8")]
    [TestCase(86, "11.0", "11.1")]
    [TestCase(80, "10.2", "11.0")]
    [TestCase(75, "10.1", "10.2")]
    [TestCase(60, "8.0", "9.0")]
    public void Both_versions_are_named(int compute, string installed, string required)
    {
        DeviceUnavailableException error = Assert.Throws<DeviceUnavailableException>(() => CudaDriver.Require("cuda:3", compute, Version.Parse(installed)))!;
        Assert.That(error.Device, Is.EqualTo("cuda:3"));
        Assert.That(error.Message, Does.Contain($"CUDA {installed},").And.Contain($"CUDA {required} or later").And.Contain($"compute {compute / 10}.{compute % 10}"));
    }

    [Test]
    public void Every_architecture_takes_the_version_it_needs_and_newer_ones()
    {
        foreach (int compute in DeviceFacts.CudaArchitectures)
        {
            Version required = CudaDriver.Required(compute);
            Assert.DoesNotThrow(() => CudaDriver.Require("cuda:0", compute, required));
            Assert.DoesNotThrow(() => CudaDriver.Require("cuda:0", compute, new Version(13, 0)));
            Assert.DoesNotThrow(() => CudaDriver.Require("cuda:0", compute, null), "a driver that does not tell");
        }
    }
}
