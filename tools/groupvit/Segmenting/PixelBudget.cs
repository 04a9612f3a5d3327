namespace GroupViT.Tool.Segmenting;

/// <summary>
/// How many pixels may be in memory at once: who wants more waits until others are done, in the order of asking. One that wants more than all
/// there are gets all of them, alone. Ask once for everything that is held together; two that ask twice could wait for each other.
/// </summary>
internal sealed class PixelBudget(long pixels)
{
    private readonly Lock gate = new();
    private readonly Queue<(long Pixels, TaskCompletionSource Ready)> waiting = [];
    private readonly long all = pixels;
    private long free = pixels;

    /// <summary>Waits for so many; what is returned must be given back by <see cref="Return"/>.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; then nothing was taken.</exception>
    public long Take(long wanted, CancellationToken cancellation)
    {
        long share = Math.Clamp(wanted, 0, all);
        TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            waiting.Enqueue((share, ready));
            Serve();
        }
        using CancellationTokenRegistration registration = cancellation.Register(() => ready.TrySetCanceled(cancellation));
        ready.Task.GetAwaiter().GetResult();
        return share;
    }

    public void Return(long share)
    {
        lock (gate)
        {
            free += share;
            Serve();
        }
    }

    private void Serve()
    {
        while (waiting.TryPeek(out (long Pixels, TaskCompletionSource Ready) first) && (first.Pixels <= free || first.Ready.Task.IsCompleted))
        {
            waiting.Dequeue();
            // Of one that was cancelled nothing is taken.
            if (first.Ready.TrySetResult())
            {
                free -= first.Pixels;
            }
        }
    }
}
