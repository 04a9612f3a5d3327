using System.Diagnostics;
using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Native;

/// <summary>A graph prepared for a worker: steps in an array. Running it walks the array, allocates nothing, and looks nothing up.</summary>
/// <remarks>Used by the one caller that holds the worker.</remarks>
internal sealed class Program : IDisposable
{
    private readonly Worker worker;
    private readonly MemoryPlan plan;
    private readonly Step[] steps;
    private readonly bool streamed;
    private Recording? recording;
    private bool hasRun;
    private bool isRecorded;

    /// <summary>Prepares every operation: kernels are chosen, constants packed, arguments bound.</summary>
    /// <param name="graph">The operations.</param>
    /// <param name="plan">Where their tensors lie.</param>
    /// <param name="worker">What runs them.</param>
    /// <param name="streamed">Whether weights are brought to the device in each run.</param>
    public Program(Graph graph, MemoryPlan plan, Worker worker, bool streamed = false)
    {
        (this.worker, this.plan, this.streamed) = (worker, plan, streamed);
        worker.BeginProgram(streamed);
        steps = new Step[graph.Operations.Count];
        for (int i = 0; i < steps.Length; i++)
        {
            steps[i] = worker.Prepare(graph.Operations[i], plan.Offsets);
        }
        worker.CommitScratch();
        Outputs = graph.Outputs;
    }

    public IReadOnlyDictionary<string, TensorView> Outputs { get; }

    public void Upload<T>(Tensor tensor, ReadOnlySpan<T> values)
        where T : unmanaged
    {
        if (values.Length != tensor.Count)
        {
            throw new ArgumentException($"{tensor} takes {tensor.Count} values, not {values.Length}");
        }
        worker.Upload(values, plan.Offsets[tensor]);
    }

    /// <remarks>
    /// Where the device can record steps and launch them as one, whole runs do so from the second on: the first brings every kernel to the
    /// device. Streamed weights are brought by a stream of their own, which is not recorded.
    /// </remarks>
    /// <param name="first">The step to begin with: 0, or a later one where everything before it is still in the arena.</param>
    /// <param name="cancellation">Looked at between steps; where they are launched as one, before them.</param>
    /// <exception cref="OperationCanceledException">The run was given up; the arena's contents are undefined, the program usable.</exception>
    public void Run(int first = 0, CancellationToken cancellation = default)
    {
        if (first == 0 && hasRun && !streamed)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!isRecorded)
            {
                recording = worker.Record(steps);
                isRecorded = true;
            }
            if (recording is not null)
            {
                recording.Launch();
                return;
            }
        }
        for (int i = first; i < steps.Length; i++)
        {
            if (cancellation.IsCancellationRequested)
            {
                // What was started may still read what the caller frees next.
                worker.Synchronize();
                cancellation.ThrowIfCancellationRequested();
            }
            steps[i].Run();
        }
        hasRun = true;
    }

    /// <summary>Runs everything and tells each step's time. It waits after every step, which a run does not: on a GPU it takes longer.</summary>
    /// <param name="milliseconds">One per operation of the graph.</param>
    public void RunTimed(Span<double> milliseconds)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(milliseconds.Length, steps.Length);
        worker.Synchronize();
        for (int i = 0; i < steps.Length; i++)
        {
            long start = Stopwatch.GetTimestamp();
            steps[i].Run();
            worker.Synchronize();
            milliseconds[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
    }

    /// <summary>Copies the first values of a tensor; waits for the run.</summary>
    public void Download<T>(Tensor tensor, Span<T> values)
        where T : unmanaged
    {
        if (values.Length > tensor.Count)
        {
            throw new ArgumentException($"{tensor} holds {tensor.Count} values, not {values.Length}");
        }
        worker.Download(plan.Offsets[tensor], values);
    }

    /// <summary>Copies the first values of three tensors; waits for the run once.</summary>
    public void Download<T1, T2, T3>(Tensor first, Span<T1> firstValues, Tensor second, Span<T2> secondValues, Tensor third, Span<T3> thirdValues)
        where T1 : unmanaged
        where T2 : unmanaged
        where T3 : unmanaged
    {
        worker.Fetch<T1>(plan.Offsets[first], firstValues.Length, 0);
        worker.Fetch<T2>(plan.Offsets[second], secondValues.Length, 1);
        worker.Fetch<T3>(plan.Offsets[third], thirdValues.Length, 2);
        worker.Collect(0, plan.Offsets[first], firstValues);
        worker.Collect(1, plan.Offsets[second], secondValues);
        worker.Collect(2, plan.Offsets[third], thirdValues);
    }

    /// <summary>Frees what was recorded; the worker is idle.</summary>
    public void Dispose()
    {
        recording?.Dispose();
        recording = null;
    }

    /// <summary>An output as a dense array, gathered from its view.</summary>
    public T[] Read<T>(string name)
        where T : unmanaged
    {
        TensorView view = Outputs[name];
        T[] whole = new T[view.Tensor.Count];
        Download<T>(view.Tensor, whole);
        if (view.IsWhole)
        {
            return whole;
        }
        T[] dense = new T[view.Batch * view.Rows * view.Columns];
        for (int b = 0; b < view.Batch; b++)
        {
            for (int r = 0; r < view.Rows; r++)
            {
                whole.AsSpan(view.Index(b, r, 0), view.Columns).CopyTo(dense.AsSpan((b * view.Rows + r) * view.Columns));
            }
        }
        return dense;
    }
}
