using System.Diagnostics;
using GroupViT.Kernels.Devices;
using GroupViT.Native.Imaging;
using Microsoft.Extensions.Logging;

namespace GroupViT.Native;

/// <summary>
/// A model on a device, with its memory allocated. Thread-safe: each call takes one of the workers and gives it back; when all are
/// taken, callers wait. Results do not depend on how many callers, workers or threads there are. Cancellation is looked at between
/// the steps of the network. <see cref="Dispose"/> waits for running calls.
/// </summary>
public sealed partial class Session : IDisposable
{
    private readonly GroupVitModel model;
    private readonly SessionOptions options;
    private readonly SessionPlan plan;
    private readonly Device device;
    private readonly MemoryAccount account;
    private readonly ConstantPool constants;
    private readonly Stack<SessionWorker> idle = [];
    private readonly SemaphoreSlim available;
    private readonly Lock gate = new();
    // Held by whoever collects all workers: two that each held some would wait for each other for ever.
    private readonly SemaphoreSlim collecting = new(1);
    private bool disposed;

    /// <param name="model">What to run.</param>
    /// <param name="options">For what.</param>
    /// <param name="opened">Instead of the one that the options name; the session disposes of it.</param>
    internal Session(GroupVitModel model, SessionOptions options, Device? opened = null)
    {
        (this.model, this.options) = (model, options);
        account = new MemoryAccount(options.MemoryLimit);
        device = Watched(Opened(options, opened));
        try
        {
            plan = new SessionPlan(model, options, device);
            device.CompileAhead(Layers.Kernel(model.Config.Vision.HiddenAct));
            constants = device.CreateConstants(account);
            PositionTables positions = new(constants);
            (WeightPlacement placement, MemoryEstimate estimate) = plan.Place();
            StreamedWeights = placement.Streamed;
            if (StreamedWeights != StreamedWeights.None)
            {
                options.Logger?.LogInformation(
                    "weights are streamed ({Streamed}): {Limit} bytes do not hold all; {All} bytes of windows", StreamedWeights, options.MemoryLimit, estimate.Windows);
            }
            long scratch = estimate.Scratch / options.Workers;
            for (int i = 0; i < options.Workers; i++)
            {
                idle.Push(new SessionWorker(model, plan, options, device, account, constants, positions, scratch, placement));
            }
        }
        catch
        {
            Close();
            throw;
        }
        available = new SemaphoreSlim(options.Workers);
        options.Logger?.LogInformation("GroupViT session on {Device} ({Hardware}), {Workers} workers, arena {Arena} bytes each", device.Name, device.Description, options.Workers, plan.ArenaBytes);
    }

    /// <summary>
    /// Raised once, when the device fails: by an error that the driver does not take back, or because it is gone. Calls that run then, and
    /// all later ones, throw <see cref="DeviceLostException"/>; a new session may work. Handlers run on the thread that met the failure.
    /// </summary>
    public event EventHandler<DeviceLostEventArgs>? DeviceLost;

    /// <summary>True once the device has failed.</summary>
    public bool IsFaulted => (device as WatchedDevice)?.Failure is not null;

    /// <summary>Which weights do not stay on the device, because <see cref="SessionOptions.MemoryLimit"/> or its memory does not hold them.</summary>
    public StreamedWeights StreamedWeights { get; }

    /// <summary>The device's name: cpu, cuda:N, opencl:N, simulator.</summary>
    public string DeviceName => device.Name;

    /// <summary>The hardware.</summary>
    public string DeviceDescription => device.Description;

    /// <summary>The model that was opened.</summary>
    public GroupVitModel Model => model;

    /// <summary>Device memory in use now, in bytes: packed weights, arenas, scratch.</summary>
    public long MemoryInUse => account.InUse;

    /// <summary>The most that was in use at once, in bytes.</summary>
    public long MemoryPeak => account.Peak;

    /// <summary>Bytes of packed weights so far.</summary>
    public long WeightBytes => constants.Bytes;

    /// <summary>Bytes of all arenas.</summary>
    public long ArenaBytes => plan.ArenaBytes * options.Workers;

    /// <summary>Kernels brought to the device so far: from disk, and compiled.</summary>
    internal (int FromDisk, int Compiled) KernelCounts => device.KernelCounts;

    /// <summary>Prepares for pictures of these sizes ahead of the first: kernels are compiled, weights packed.</summary>
    /// <param name="sizes">Pictures' widths and heights; none for a square of the model's segmentation short side.</param>
    /// <exception cref="SessionLimitException">A size is above the session's maximum.</exception>
    public void Warmup(params ReadOnlySpan<(int Width, int Height)> sizes)
    {
        int side = model.SegmentationShortSide;
        LabelBank nothing = new(["nothing"], hasBackground: false, new float[model.Config.ProjectionDim], model.Config.ProjectionDim, ["{}"], TextNormalization.OpenAI, model.Fingerprint);
        foreach ((int width, int height) in sizes.IsEmpty ? [(side, side)] : sizes)
        {
            RgbImage blank = new(width, height);
            // Each worker has programs of its own.
            List<SessionWorker> taken = [];
            collecting.Wait();
            try
            {
                for (int i = 0; i < options.Workers; i++)
                {
                    taken.Add(Take(CancellationToken.None));
                }
                foreach (SessionWorker worker in taken)
                {
                    InputShape shape = worker.Shape(blank, InputWay.Nvlabs, side);
                    worker.Prepare(blank, InputWay.Nvlabs, shape, 0, 1);
                    worker.Encode(shape, 1, CancellationToken.None);
                    if (worker.SegmentsAtOnce)
                    {
                        // Of the labels only their number matters, and that little: the kernels are compiled, and the rest of the work is ahead of them.
                        worker.Segment(shape, width, nothing, new SegmentationOptions(), new ushort[width * height], new long[1], new double[1], CancellationToken.None);
                    }
                }
            }
            finally
            {
                taken.ForEach(Return);
                collecting.Release();
            }
        }
    }

    /// <summary>Waits for running calls, then frees the device memory. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
            {
                return;
            }
            disposed = true;
        }
        collecting.Wait();
        for (int i = 0; i < options.Workers; i++)
        {
            available.Wait();
        }
        Close();
        // Callers that wait for a worker are let go; they see that the session is gone.
        available.Release(options.Workers);
        collecting.Release();
        model.SessionClosed();
    }

    private void Close()
    {
        while (idle.TryPop(out SessionWorker? worker))
        {
            worker.Dispose();
        }
        // Not yet there where opening failed early.
        constants?.Dispose();
        device.Dispose();
    }

    private SessionWorker Take(CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        available.Wait(cancellation);
        return Taken();
    }

    private async Task<SessionWorker> TakeAsync(CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        await available.WaitAsync(cancellation).ConfigureAwait(false);
        return Taken();
    }

    private SessionWorker Taken()
    {
        DeviceLostException? lost = (device as WatchedDevice)?.Failure;
        lock (gate)
        {
            if (!disposed && lost is null)
            {
                return idle.Pop();
            }
        }
        available.Release();
        throw lost is null ? new ObjectDisposedException(nameof(Session)) : new DeviceLostException(lost.Device, lost.Doing, lost.DriverMessage, lost);
    }

    private static Device Opened(SessionOptions options, Device? opened)
    {
        try
        {
            options.Validate();
            return opened ?? DeviceCatalog.Open(options.Device, options.Precision, options.BlockingWait, options.KernelCache);
        }
        catch
        {
            opened?.Dispose();
            throw;
        }
    }

    // Our own code on the processor throws what it means; a driver's errors must be read.
    private Device Watched(Device opened)
    {
        if (opened.Kind == DeviceKind.Cpu)
        {
            return opened;
        }
        WatchedDevice watched = new(opened);
        watched.Failed += lost =>
        {
            options.Logger?.LogError(lost, "GroupViT session on {Device} is lost", lost.Device);
            DeviceLost?.Invoke(this, new DeviceLostEventArgs(lost));
        };
        return watched;
    }

    private void Return(SessionWorker worker)
    {
        lock (gate)
        {
            idle.Push(worker);
        }
        available.Release();
    }

    private static double Milliseconds(long since) => Stopwatch.GetElapsedTime(since).TotalMilliseconds;
}
