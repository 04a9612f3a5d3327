namespace GroupViT.Kernels.Devices;

/// <summary>A prepared operation of the CPU device: independent tiles of output, spread over a team's threads.</summary>
internal abstract class CpuStep : Step
{
    private readonly CpuTeam team;

    protected CpuStep(CpuBinding binding, int tiles)
    {
        team = binding.Team;
        Tiles = tiles;
        Worker = binding.Worker;
    }

    protected CpuWorker Worker { get; }

    protected int Tiles { get; set; }

    public override void Run() => team.Run(this, Tiles);

    /// <summary>Computes one tile. Which thread does it changes nothing but its scratch memory.</summary>
    public abstract void Tile(int tile, int thread);
}

/// <summary>Several steps, in order, as one.</summary>
internal sealed class CpuSequence(params Step[] steps) : Step
{
    public override void Run()
    {
        foreach (Step step in steps)
        {
            step.Run();
        }
    }
}

/// <summary>
/// Persistent threads that share out the tiles of one step after another. The caller is one of them. Tiles write disjoint outputs
/// in an order of summation of their own, so results do not depend on the number of threads or on who takes which tile.
/// </summary>
internal sealed class CpuTeam : IDisposable
{
    // About 20 µs on a 3 GHz machine: the gap between two steps of a program is shorter, the gap between two programs is longer.
    private const int SpinLimit = 400;

    private readonly Thread[] helpers;
    private readonly SemaphoreSlim wake = new(0);
    private readonly Lock gate = new();
    private CpuStep? step;
    private Exception? failure;
    private int tiles;
    private int next;
    private int generation;
    private int busy;
    private int sleeping;
    private volatile bool stopping;

    public CpuTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        helpers = new Thread[threads - 1];
        for (int i = 0; i < helpers.Length; i++)
        {
            int thread = i + 1;
            helpers[i] = new Thread(() => Help(thread)) { IsBackground = true, Name = $"GroupViT cpu {thread}" };
            helpers[i].Start();
        }
    }

    public int Threads => helpers.Length + 1;

    public void Run(CpuStep work, int count)
    {
        if (helpers.Length == 0 || count <= 1)
        {
            for (int tile = 0; tile < count; tile++)
            {
                work.Tile(tile, 0);
            }
            return;
        }
        lock (gate)
        {
            (step, tiles, failure) = (work, count, null);
            Volatile.Write(ref next, 0);
            Volatile.Write(ref busy, helpers.Length);
            Interlocked.Increment(ref generation);
            int asleep = Volatile.Read(ref sleeping);
            if (asleep > 0)
            {
                wake.Release(asleep);
            }
            Share(work, count, 0);
            SpinWait spin = default;
            while (Volatile.Read(ref busy) != 0)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
            step = null;
            if (failure is { } exception)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(exception);
            }
        }
    }

    public void Dispose()
    {
        if (stopping)
        {
            return;
        }
        stopping = true;
        Interlocked.Increment(ref generation);
        wake.Release(helpers.Length + 1);
        foreach (Thread helper in helpers)
        {
            helper.Join();
        }
        wake.Dispose();
    }

    private void Share(CpuStep work, int count, int thread)
    {
        try
        {
            for (int tile; (tile = Interlocked.Increment(ref next) - 1) < count;)
            {
                work.Tile(tile, thread);
            }
        }
        catch (Exception exception)
        {
            // The first failure is reported; the others are of the same step.
            Interlocked.CompareExchange(ref failure, exception, null);
            Volatile.Write(ref next, count);
        }
    }

    private void Help(int thread)
    {
        int seen = 0;
        while (true)
        {
            for (int spin = 0; Volatile.Read(ref generation) == seen && spin < SpinLimit; spin++)
            {
                Thread.SpinWait(20);
            }
            if (Volatile.Read(ref generation) == seen)
            {
                // Announce the sleep, then look again: a caller that saw no sleeper has already raised the generation.
                Interlocked.Increment(ref sleeping);
                while (Volatile.Read(ref generation) == seen)
                {
                    wake.Wait();
                }
                Interlocked.Decrement(ref sleeping);
            }
            if (stopping)
            {
                return;
            }
            seen++;
            Share(step!, tiles, thread);
            Interlocked.Decrement(ref busy);
        }
    }
}
