using GroupViT.Tool.Segmenting;

namespace GroupViT.Tests.Tools;

[Category("Cpu")]
internal sealed class PixelBudgetTests
{
    [Test]
    public void What_does_not_fit_waits_for_its_turn_and_is_not_overtaken()
    {
        PixelBudget budget = new(10);
        long first = budget.Take(6, CancellationToken.None);
        Task<long> large = Task.Run(() => budget.Take(100, CancellationToken.None));
        Assert.That(large.Wait(100), Is.False, "4 of 10 are free");
        Task<long> small = Task.Run(() => budget.Take(1, CancellationToken.None));
        Assert.That(small.Wait(100), Is.False, "the large one asked before");
        budget.Return(first);
        Assert.That(large.GetAwaiter().GetResult(), Is.EqualTo(10), "more than all is all");
        Assert.That(small.Wait(100), Is.False);
        budget.Return(10);
        Assert.That(small.GetAwaiter().GetResult(), Is.EqualTo(1));
    }

    [Test]
    public void Who_is_cancelled_takes_nothing_and_holds_nobody_up()
    {
        PixelBudget budget = new(10);
        long first = budget.Take(10, CancellationToken.None);
        using CancellationTokenSource stop = new();
        Task<long> waiting = Task.Run(() => budget.Take(5, stop.Token));
        Assert.That(waiting.Wait(50), Is.False);
        stop.Cancel();
        Assert.That(async () => await waiting.ConfigureAwait(false), Throws.InstanceOf<OperationCanceledException>());
        budget.Return(first);
        Assert.That(budget.Take(10, CancellationToken.None), Is.EqualTo(10));
    }

    [Test]
    public void Never_more_than_all_are_taken_whatever_many_ask_for()
    {
        PixelBudget budget = new(100);
        long held = 0, most = 0;
        Lock gate = new();
        Parallel.For(0, 400, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            long share = budget.Take(i % 60, CancellationToken.None);
            lock (gate)
            {
                held += share;
                most = Math.Max(most, held);
            }
            Thread.SpinWait(200);
            lock (gate)
            {
                held -= share;
            }
            budget.Return(share);
        });
        Assert.That(most, Is.InRange(1, 100));
    }
}
