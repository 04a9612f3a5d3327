namespace GroupViT.Tests.Devices;

/// <summary>What a device test does where its device is missing.</summary>
internal static class RequiredDevices
{
    /// <summary>
    /// Ends the test: as failed where GROUPVIT_REQUIRE_DEVICES (comma-separated: opencl, cuda) names the kind,
    /// as ignored elsewhere. A lane that exists for one kind of device sets it, so that it cannot pass by skipping.
    /// </summary>
    public static void Missing(string kind)
    {
        string required = Environment.GetEnvironmentVariable("GROUPVIT_REQUIRE_DEVICES") ?? "";
        if (required.Split(',', StringSplitOptions.TrimEntries).Contains(kind, StringComparer.OrdinalIgnoreCase))
        {
            Assert.Fail($"GROUPVIT_REQUIRE_DEVICES asks for '{kind}', and this machine has no usable device of that kind.");
        }
        Assert.Ignore($"No usable {kind} device on this machine.");
    }
}
