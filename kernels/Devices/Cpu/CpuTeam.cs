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

    private readonly Helper[] helpers;
    private readonly Lock gate = new();
    private CpuStep? step;
    private Exception? failure;
    private int tiles;
    private int next;
    private int generation;
    private int busy;
    private volatile bool stopping;

    public CpuTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        helpers = new Helper[threads - 1];
        for (int i = 0; i < helpers.Length; i++)
        {
            helpers[i] = new Helper(this, i + 1);
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
            Announce();
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
        Announce();
        foreach (Helper helper in helpers)
        {
            helper.Dispose();
        }
    }

    private void Announce()
    {
        Interlocked.Increment(ref generation);
        foreach (Helper helper in helpers)
        {
            helper.Wake();
        }
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

    /// <summary>A thread that shares in every step: it spins for the next one a little, then sleeps until it is woken.</summary>
    private sealed class Helper : IDisposable
    {
        private readonly CpuTeam team;
        private readonly Thread thread;
        private readonly int number;

        // One semaphore each: with a common one, a helper that is early back in bed takes the wake-up of one that still sleeps.
        private readonly SemaphoreSlim wake = new(0);
        private int asleep;

        public Helper(CpuTeam team, int number)
        {
            (this.team, this.number) = (team, number);
            thread = new Thread(Work) { IsBackground = true, Name = $"GroupViT cpu {number}" };
            thread.Start();
        }

        /// <summary>After the generation was raised: whoever clears the flag owes, or owns, one wake-up.</summary>
        public void Wake()
        {
            if (Interlocked.Exchange(ref asleep, 0) != 0)
            {
                wake.Release();
            }
        }

        public void Dispose()
        {
            thread.Join();
            wake.Dispose();
        }

        private void Work()
        {
            for (int seen = 1; ; seen++)
            {
                WaitFor(seen);
                if (team.stopping)
                {
                    return;
                }
                team.Share(team.step!, team.tiles, number);
                Interlocked.Decrement(ref team.busy);
            }
        }

        // Generations follow one another only when every helper is done, so the one waited for is never passed over.
        private void WaitFor(int generation)
        {
            for (int spin = 0; spin < SpinLimit; spin++)
            {
                if (Volatile.Read(ref team.generation) == generation)
                {
                    return;
                }
                Thread.SpinWait(20);
            }
            // A wake-up may be one for the step just done: the caller was slow to send it. So look again after each.
            while (Volatile.Read(ref team.generation) != generation)
            {
                Interlocked.Exchange(ref asleep, 1);
                if (Volatile.Read(ref team.generation) != generation || Interlocked.Exchange(ref asleep, 0) == 0)
                {
                    wake.Wait();
                }
            }
        }
    }
}
