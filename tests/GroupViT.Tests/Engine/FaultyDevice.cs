using GroupViT.Kernels;
using GroupViT.Kernels.Devices;
using ILGPU.Runtime.OpenCL;

namespace GroupViT.Tests.Engine;

/// <summary>Where a driver can fail.</summary>
internal enum FaultPlace
{
    Stream,
    Arena,
    Prepare,
    Upload,
    Launch,
    Replay,
    Download,
}

/// <summary>A GPU as a session sees it, whose driver fails on demand: our code for the processor underneath, so that results are checked as well.</summary>
internal sealed class FaultyDevice : Device
{
    private readonly CpuDevice inner = new();

    /// <summary>Where to fail from now on, or null.</summary>
    public FaultPlace? Place { get; set; }

    /// <summary>With which error.</summary>
    public CLError Error { get; set; } = CLError.CL_OUT_OF_RESOURCES;

    /// <summary>Calls of the place that still succeed.</summary>
    public int Spared { get; set; }

    /// <summary>Whether it can record steps; where it cannot, it says so.</summary>
    public bool Records { get; init; }

    /// <summary>How often a recording was asked for, made, launched, freed.</summary>
    public (int Asked, int Made, int Launched, int Freed) Recordings;

    /// <summary>Steps that ran one by one.</summary>
    public int Steps { get; private set; }

    /// <summary>How often the driver was called after it had failed for the first time.</summary>
    public int CallsAfterFailure { get; private set; }

    public override string Name => "opencl:7";

    public override DeviceKind Kind => DeviceKind.OpenCL;

    public override string Description => "a device that fails";

    public override long MemoryBytes => 1 << 30;

    public override IEnumerable<(WeightFormat Format, string Kernel, string Reason)> Products => inner.Products;

    private bool failed;

    public override ConstantPool CreateConstants(MemoryAccount account) => inner.CreateConstants(account);

    public override Worker CreateWorker(MemoryAccount? account, ConstantPool constants, int threads)
    {
        if (account is null)
        {
            // It only measures, and opens nothing.
            return inner.CreateWorker(null, constants, threads);
        }
        Call(FaultPlace.Stream);
        return new FaultyWorker(this, inner.CreateWorker(account, constants, threads));
    }

    public override void Dispose() => inner.Dispose();

    private void Call(FaultPlace place)
    {
        CallsAfterFailure += failed ? 1 : 0;
        if (Place == place && Spared-- <= 0)
        {
            failed = true;
            throw new CLException(Error);
        }
    }

    private sealed class FaultyWorker(FaultyDevice device, Worker inner) : Worker
    {
        public override long ScratchBytes => inner.ScratchBytes;

        public override void AllocateArena(long bytes)
        {
            device.Call(FaultPlace.Arena);
            inner.AllocateArena(bytes);
        }

        public override Step Prepare(Operation operation, IReadOnlyDictionary<Tensor, long> offsets)
        {
            device.Call(FaultPlace.Prepare);
            return new FaultyStep(device, inner.Prepare(operation, offsets));
        }

        public override Recording? Record(IReadOnlyList<Step> steps)
        {
            device.Recordings.Asked++;
            if (!device.Records)
            {
                return null;
            }
            device.Recordings.Made++;
            return new FaultyRecording(device, [.. steps.Select(step => ((FaultyStep)step).Inner)]);
        }

        public override void CommitScratch() => inner.CommitScratch();

        public override long ArenaSize(long bytes) => inner.ArenaSize(bytes);

        public override void Upload<T>(ReadOnlySpan<T> values, long arenaOffset)
        {
            device.Call(FaultPlace.Upload);
            inner.Upload(values, arenaOffset);
        }

        public override void Download<T>(long arenaOffset, Span<T> values)
        {
            device.Call(FaultPlace.Download);
            inner.Download(arenaOffset, values);
        }

        public override void Synchronize() => inner.Synchronize();

        public override void Dispose() => inner.Dispose();
    }

    private sealed class FaultyRecording(FaultyDevice device, Step[] steps) : Recording
    {
        public override void Launch()
        {
            device.Call(FaultPlace.Replay);
            device.Recordings.Launched++;
            foreach (Step step in steps)
            {
                step.Run();
            }
        }

        public override void Dispose() => device.Recordings.Freed++;
    }

    private sealed class FaultyStep(FaultyDevice device, Step inner) : Step
    {
        public Step Inner => inner;

        public override void Run()
        {
            device.Call(FaultPlace.Launch);
            device.Steps++;
            inner.Run();
        }
    }
}
