using GroupViT.Kernels.Devices;

namespace GroupViT.Tests.Kernels;

/// <summary>A device as the tests see it: opened once, shared by all fixtures.</summary>
internal sealed class TestDevice(string name, DeviceKind kind, Func<Device> open)
{
    private readonly Lazy<Device> device = new(open);

    public string Name => name;

    public DeviceKind Kind => kind;

    public Device Device => device.Value;

    /// <summary>The simulator takes milliseconds per barrier and microseconds per multiply-add: it gets the tiny shapes only.</summary>
    public bool IsSlow => kind == DeviceKind.Simulator;

    public bool IsCpu => kind == DeviceKind.Cpu;

    public override string ToString() => name;

    public void Close()
    {
        if (device.IsValueCreated)
        {
            device.Value.Dispose();
        }
    }
}

/// <summary>Every device that the suite runs on. A kind that is missing here is one ignored fixture, by name.</summary>
internal static class TestDevices
{
    private static readonly Lazy<(IReadOnlyList<TestDevice> Present, IReadOnlyList<TestDevice> Disguised)> Found = new(Find);

    public static IReadOnlyList<TestDevice> Present => Found.Value.Present;

    /// <summary>Processors behind OpenCL that are given a GPU's kernels, for what a processor's own choice leaves out.</summary>
    public static IReadOnlyList<TestDevice> Disguised => Found.Value.Disguised;

    /// <summary>For [TestFixtureSource]: one fixture per <see cref="Disguised"/> device, category OpenCL.</summary>
    public static IEnumerable<TestFixtureData> AsGpu => Disguised.Select(Fixture);

    /// <summary>For [TestFixtureSource]: one fixture per device, categories Cpu, Simulator, OpenCL, Cuda.</summary>
    public static IEnumerable<TestFixtureData> All
    {
        get
        {
            foreach (TestDevice device in Present)
            {
                yield return Fixture(device);
            }
            foreach (DeviceKind kind in (DeviceKind[])[DeviceKind.OpenCL, DeviceKind.Cuda])
            {
                if (Present.All(device => device.Kind != kind))
                {
                    string name = kind.ToString().ToLowerInvariant() + ":0";
                    TestDevice missing = new(name, kind, () => throw new InvalidOperationException($"there is no {name}"));
                    yield return (TestFixtureData)Fixture(missing).Ignore($"{name}: no such device on this machine");
                }
            }
        }
    }

    private static TestFixtureData Fixture(TestDevice device)
    {
        TestFixtureData data = new(device);
        data.Properties.Add("Category", device.Kind.ToString());
        return data;
    }

    private static (IReadOnlyList<TestDevice> Present, IReadOnlyList<TestDevice> Disguised) Find()
    {
        List<TestDevice> disguised = [];
        List<TestDevice> devices =
        [
            new("cpu", DeviceKind.Cpu, () => new CpuDevice()),
            new("simulator", DeviceKind.Simulator, GpuDevice.OpenSimulator),
        ];
        foreach ((DeviceKind kind, int index, string _, bool isGpu) in GpuDevice.Find())
        {
            if (kind == DeviceKind.OpenCL && !isGpu)
            {
                disguised.Add(new TestDevice($"opencl:{index} as a GPU", kind, () => GpuDevice.OpenAsGpu(index)));
            }
            devices.Add(new TestDevice($"{kind.ToString().ToLowerInvariant()}:{index}", kind, () => GpuDevice.Open(kind, index)));
        }
        return (devices, disguised);
    }
}

/// <summary>Closes the devices when the suite is through.</summary>
[SetUpFixture]
internal sealed class TestDevicesTearDown
{
    [OneTimeTearDown]
    public void Close()
    {
        foreach (TestDevice device in TestDevices.Present.Concat(TestDevices.Disguised))
        {
            device.Close();
        }
    }
}
