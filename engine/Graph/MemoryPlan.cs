using GroupViT.Kernels;

namespace GroupViT.Native;

/// <summary>
/// Gives every tensor of a graph its place in one arena. Two tensors share bytes only if the last use of one comes before the first
/// of the other, or if an operation may write its result over an operand that nobody needs afterwards.
/// </summary>
/// <remarks>
/// Largest first, each at the lowest place that is free for its whole life: a greedy rule that is within a few per cent of the lower
/// bound (the most bytes alive at once) on this network; <see cref="LowerBound"/> says how far.
/// </remarks>
internal sealed class MemoryPlan
{
    // The strictest device's: ILGPU's back ends assume that views start on 256 bytes.
    private const long Alignment = 256;

    private readonly Dictionary<Tensor, long> offsets = [];
    private readonly List<Tensor> order = [];

    private MemoryPlan()
    {
    }

    /// <summary>Byte offset by tensor; constants have none.</summary>
    public IReadOnlyDictionary<Tensor, long> Offsets => offsets;

    /// <summary>The arena's size.</summary>
    public long Bytes { get; private set; }

    /// <summary>The most bytes that are alive at once: no plan can take less.</summary>
    public long LowerBound { get; private set; }

    /// <param name="graph">What to plan.</param>
    /// <param name="ceiling">
    /// The plan of the same network at the largest size, whose arena must do: a size within it may take the ceiling's own places, since
    /// every tensor is no larger than there and lives as long.
    /// </param>
    public static MemoryPlan For(Graph graph, MemoryPlan? ceiling = null)
    {
        MemoryPlan plan = new();
        plan.Place(Lives(graph, plan.order));
        if (ceiling is not null && plan.Bytes > ceiling.Bytes)
        {
            plan.Adopt(ceiling);
        }
        return plan;
    }

    /// <summary>The places of a larger size's plan, whether a plan of its own would fit there or not.</summary>
    internal static MemoryPlan Within(Graph graph, MemoryPlan ceiling)
    {
        MemoryPlan plan = For(graph);
        plan.Adopt(ceiling);
        return plan;
    }

    /// <summary>Tensors that share one place, and the steps from the first write to the last read.</summary>
    private sealed class Life(Tensor first, int start)
    {
        public List<Tensor> Tensors { get; } = [first];

        public long Bytes { get; set; } = Round(first.Bytes);

        public int Start { get; } = start;

        public int End { get; set; } = start;

        public bool Kept { get; set; }

        public long Offset { get; set; }

        public bool Meets(Life other) => Start <= other.End && other.Start <= End;
    }

    private static List<Life> Lives(Graph graph, List<Tensor> order)
    {
        Dictionary<Tensor, Life> lives = [];
        Dictionary<Tensor, int> lastRead = [];
        OperationUses[] uses = new OperationUses[graph.Operations.Count];
        for (int step = 0; step < uses.Length; step++)
        {
            graph.Operations[step].Describe(uses[step] = new OperationUses());
            foreach (Tensor tensor in uses[step].Reads)
            {
                lastRead[tensor] = step;
            }
        }
        HashSet<Tensor> kept = [.. graph.Outputs.Values.Select(view => view.Tensor)];
        List<Life> all = [];

        Life Born(Tensor tensor, int step)
        {
            Life life = new(tensor, step) { Kept = kept.Contains(tensor) };
            all.Add(life);
            order.Add(tensor);
            return life;
        }

        // Inputs are uploaded before the first step.
        foreach (Tensor input in graph.Inputs)
        {
            lives[input] = Born(input, -1);
        }
        for (int step = 0; step < uses.Length; step++)
        {
            foreach (Tensor tensor in uses[step].Reads)
            {
                if (!tensor.IsConstant)
                {
                    Life life = lives.TryGetValue(tensor, out Life? found) ? found
                        : throw new InvalidOperationException($"{graph.Operations[step].GetType().Name} (step {step}) reads {tensor}, which nothing has written");
                    life.End = Math.Max(life.End, step);
                }
            }
            foreach (Tensor tensor in uses[step].Writes.Select(view => view.Tensor).Distinct())
            {
                if (!lives.TryGetValue(tensor, out Life? life))
                {
                    Tensor? under = uses[step].Overwrites.FirstOrDefault(pair => pair.Written == tensor
                        && lastRead[pair.Read] == step && !lives[pair.Read].Kept && lives[pair.Read].Start >= 0 && !kept.Contains(tensor)).Read;
                    if (under is not null)
                    {
                        life = lives[under];
                        life.Tensors.Add(tensor);
                        order.Add(tensor);
                    }
                    else
                    {
                        life = Born(tensor, step);
                    }
                    lives.Add(tensor, life);
                }
                life.End = Math.Max(life.End, step);
            }
        }
        foreach (Life life in all.Where(life => life.Kept))
        {
            life.End = uses.Length;
        }
        return all;
    }

    private void Place(List<Life> lives)
    {
        List<Life> placed = [];
        foreach (Life life in lives.OrderByDescending(life => life.Bytes).ThenBy(life => life.Start))
        {
            long offset = 0;
            foreach (Life other in placed.Where(life.Meets).OrderBy(other => other.Offset))
            {
                if (offset + life.Bytes <= other.Offset)
                {
                    break;
                }
                offset = Math.Max(offset, other.Offset + other.Bytes);
            }
            life.Offset = offset;
            placed.Add(life);
            Bytes = Math.Max(Bytes, offset + life.Bytes);
            foreach (Tensor tensor in life.Tensors)
            {
                offsets[tensor] = offset;
            }
        }
        int last = lives.Count == 0 ? 0 : lives.Max(life => life.End);
        for (int step = -1; step <= last; step++)
        {
            LowerBound = Math.Max(LowerBound, lives.Where(life => life.Start <= step && step <= life.End).Sum(life => life.Bytes));
        }
    }

    private void Adopt(MemoryPlan ceiling)
    {
        if (order.Count != ceiling.order.Count)
        {
            throw new InvalidOperationException($"a plan of {order.Count} tensors cannot take the places of one of {ceiling.order.Count}");
        }
        for (int i = 0; i < order.Count; i++)
        {
            if (order[i].Bytes > ceiling.order[i].Bytes)
            {
                throw new InvalidOperationException($"{order[i]} is larger than {ceiling.order[i]}, whose place it should take");
            }
            offsets[order[i]] = ceiling.offsets[ceiling.order[i]];
        }
        Bytes = ceiling.Bytes;
    }

    private static long Round(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
