using GroupViT.Kernels;
using GroupViT.Native;

namespace GroupViT.Tests.Engine;

/// <summary>When each tensor of a graph holds something that is still needed, worked out from the operations' uses alone.</summary>
internal sealed class Liveness
{
    private readonly Dictionary<Tensor, (int Born, int Last)> lives = [];
    private readonly HashSet<(Tensor Written, Tensor Read, int Step)> inPlace = [];
    private readonly HashSet<Tensor> kept;

    public Liveness(Graph graph)
    {
        kept = [.. graph.Outputs.Values.Select(view => view.Tensor)];
        foreach (Tensor input in graph.Inputs)
        {
            lives[input] = (-1, -1);
        }
        for (int step = 0; step < graph.Operations.Count; step++)
        {
            OperationUses uses = new();
            graph.Operations[step].Describe(uses);
            foreach (Tensor tensor in uses.Reads.Concat(uses.Writes.Select(view => view.Tensor)).Where(tensor => !tensor.IsConstant))
            {
                lives[tensor] = (lives.TryGetValue(tensor, out (int Born, int Last) life) ? life.Born : step, step);
            }
            inPlace.UnionWith(uses.Overwrites.Select(pair => (pair.Written, pair.Read, step)));
        }
        foreach (Tensor tensor in kept)
        {
            lives[tensor] = (lives[tensor].Born, graph.Operations.Count);
        }
    }

    public int Shared { get; private set; }

    /// <summary>The most bytes that are needed at once where nothing is written in place.</summary>
    public long Peak => Enumerable.Range(-1, lives.Values.Max(life => life.Last) + 2)
        .Max(step => lives.Where(life => life.Value.Born <= step && step <= life.Value.Last).Sum(life => life.Key.Bytes));

    /// <summary>Every pair of tensors that the plan puts on common bytes while both are needed, and every tensor without a place or out of bounds.</summary>
    public List<string> Faults(MemoryPlan plan)
    {
        List<string> faults = [];
        Tensor[] tensors = [.. lives.Keys];
        foreach (Tensor tensor in tensors)
        {
            if (!plan.Offsets.TryGetValue(tensor, out long at) || at < 0 || at % 256 != 0 || at + tensor.Bytes > plan.Bytes)
            {
                faults.Add($"{tensor} has no proper place");
                return faults;
            }
        }
        Shared = 0;
        for (int i = 0; i < tensors.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                (Tensor a, Tensor b) = (tensors[i], tensors[j]);
                bool overlap = plan.Offsets[a] < plan.Offsets[b] + b.Bytes && plan.Offsets[b] < plan.Offsets[a] + a.Bytes;
                bool together = lives[a].Born <= lives[b].Last && lives[b].Born <= lives[a].Last;
                Shared += overlap ? 1 : 0;
                if (overlap && together && !MayReplace(a, b, plan) && !MayReplace(b, a, plan))
                {
                    faults.Add($"{a} (steps {lives[a]}) and {b} (steps {lives[b]}) share bytes");
                }
            }
        }
        return faults;
    }

    // The step that writes one is the last to look at the other, says that it may, and no one needs the other's values any more.
    private bool MayReplace(Tensor written, Tensor read, MemoryPlan plan)
        => lives[written].Born == lives[read].Last && lives[read].Born >= 0 && !kept.Contains(read)
            && inPlace.Contains((written, read, lives[written].Born)) && plan.Offsets[written] == plan.Offsets[read];
}
