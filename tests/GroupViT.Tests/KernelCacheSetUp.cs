using GroupViT.Kernels.Devices;
using GroupViT.Tests.Tools;

namespace GroupViT.Tests;

/// <summary>The suite leaves nothing in its user's cache; within a run, devices that are opened again take their kernels from disk.</summary>
[SetUpFixture]
internal sealed class KernelCacheSetUp
{
    private TemporaryFolder? folder;

    [OneTimeSetUp]
    public void Redirect()
    {
        folder = new TemporaryFolder();
        Environment.SetEnvironmentVariable(KernelCache.Variable, folder.Join("kernels"));
    }

    [OneTimeTearDown]
    public void Delete()
    {
        Environment.SetEnvironmentVariable(KernelCache.Variable, null);
        folder?.Dispose();
    }
}
