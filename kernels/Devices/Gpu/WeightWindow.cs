using GroupViT.Native;
using ILGPU;
using ILGPU.Runtime;

namespace GroupViT.Kernels.Devices;

/// <summary>
/// Weights that have no place of their own on the device: a program's operations are cut into segments whose weights fit into half a
/// window, and while one segment runs, the next one's weights come into the other half.
/// </summary>
/// <remarks>
/// <para>A segment is as many operations as the half holds. When segment s begins, the launches of s - 1 are all made: the copies of s + 1,
/// which go where s - 1 read, are told to wait for those (<see cref="CopyLane"/>), and the launches of s wait for the copies of s. The host
/// waits for nothing.</para>
/// <para>Small constants (norms, biases) stay on the device: a copy of a few kilobytes costs more than they take.</para>
/// </remarks>
internal sealed class WeightWindow : IDisposable
{
    /// <summary>Bytes from which on a constant is streamed.</summary>
    public const long Least = 32 << 10;

    private readonly GpuBlock memory;
    private readonly CopyLane lane;
    private StreamedProgram? program;
    private long filled;
    private bool overflowed;

    public WeightWindow(GpuDevice device, AcceleratorStream stream, long halfBytes, MemoryAccount account)
    {
        HalfBytes = GpuBlock.SizeOf(halfBytes);
        memory = new GpuBlock(device, 2 * HalfBytes, account, "window of streamed weights");
        try
        {
            lane = CopyLane.Open(device, stream, memory);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    public long HalfBytes { get; }

    public void BeginProgram()
    {
        program = new StreamedProgram();
        filled = 0;
    }

    /// <summary>Prepares one operation, whose constants ask for places by <see cref="Place"/>; in a new segment if this one cannot take them.</summary>
    public Step Prepare(Func<Step> prepare)
    {
        Segment segment = program!.Segments[^1];
        (int copies, long before) = (segment.Copies.Count, filled);
        overflowed = false;
        Step step = prepare();
        if (overflowed)
        {
            segment.Copies.RemoveRange(copies, segment.Copies.Count - copies);
            if (before == 0)
            {
                throw TooSmall();
            }
            program.Segments.Add(segment = new Segment());
            filled = 0;
            overflowed = false;
            step = prepare();
            if (overflowed)
            {
                throw TooSmall();
            }
        }
        bool first = !segment.HasSteps;
        segment.HasSteps = true;
        return first ? new FirstOfSegment(this, program, program.Segments.Count - 1, step) : step;
    }

    /// <summary>Where the operation that is being prepared will find these values when it runs.</summary>
    public ArrayView<float> Place(HostBlock block)
    {
        long bytes = GpuBlock.SizeOf(block.Bytes);
        if (filled + bytes > HalfBytes)
        {
            overflowed = true;
            return memory.View<float>(0, 1);
        }
        int half = (program!.Segments.Count - 1) & 1;
        long offset = half * HalfBytes + filled;
        filled += bytes;
        program.Segments[^1].Copies.Add((block, offset));
        return memory.View<float>(offset, block.Values.Length);
    }

    public void Dispose()
    {
        lane.Dispose();
        memory.Dispose();
    }

    private OutOfDeviceMemoryException TooSmall()
        => new("one operation's streamed weights", 2 * (HalfBytes + 1), 0, 2 * HalfBytes);

    private void Enter(StreamedProgram running, int index)
    {
        if (index == 0)
        {
            // What an earlier run, of whichever program, still reads.
            lane.MarkComputed(0);
            lane.MarkComputed(1);
            Fill(running, 0);
        }
        else
        {
            lane.MarkComputed((index - 1) & 1);
        }
        lane.ComputeWaits(index & 1);
        if (index + 1 < running.Segments.Count)
        {
            Fill(running, index + 1);
        }
    }

    private void Fill(StreamedProgram running, int index)
    {
        lane.CopyWaits(index & 1);
        foreach ((HostBlock block, long offset) in running.Segments[index].Copies)
        {
            lane.Copy(block, offset);
        }
        lane.MarkCopied(index & 1);
    }

    private sealed class StreamedProgram
    {
        public List<Segment> Segments { get; } = [new Segment()];
    }

    private sealed class Segment
    {
        public List<(HostBlock Block, long Offset)> Copies { get; } = [];

        public bool HasSteps { get; set; }
    }

    private sealed class FirstOfSegment(WeightWindow window, StreamedProgram program, int index, Step step) : Step
    {
        public override void Run()
        {
            window.Enter(program, index);
            step.Run();
        }
    }
}
