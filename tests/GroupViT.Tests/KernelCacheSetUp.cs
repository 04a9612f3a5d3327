using GroupViT.Kernels.Devices;

namespace GroupViT.Tests;

/// <summary>The suite leaves nothing in its user's cache; within a run, devices that are opened again take their kernels from disk.</summary>
[SetUpFixture]
internal sealed class KernelCacheSetUp
{
    private DirectoryInfo? folder;

    [OneTimeSetUp]
    public void Redirect()
    {
        folder = Directory.CreateTempSubdirectory("groupvit-");
        Environment.SetEnvironmentVariable(KernelCache.Variable, Path.Combine(folder.FullName, "kernels"));
    }

    [OneTimeTearDown]
    public void Delete()
    {
        Environment.SetEnvironmentVariable(KernelCache.Variable, null);
        folder?.Delete(recursive: true);
    }
}
