using GroupViT.Kernels;
using GroupViT.Kernels.Devices;

namespace GroupViT.Native;

/// <summary>
/// Keeps in 16 bits what lies between operations and is rounded to 16 bits by all that read it: of a transformer block the norms' results, the hidden
/// layer's, queries, keys and values, and what attention mixed. Results have the same bits; half the bytes are moved and held.
/// </summary>
/// <remarks>
/// The residual stream, the assignment's logits and their factors, inputs and outputs (taps too) are read by something that does not round them: they stay
/// float32. On a device without matrix instructions of 16 bits nothing rounds, and nothing changes.
/// </remarks>
internal static class NarrowTensors
{
    /// <summary>Once, after the graph is described and before its memory is planned.</summary>
    /// <param name="graph">Whose tensors.</param>
    /// <param name="facts">Of the device that will run it; null of the cpu.</param>
    public static void Choose(Graph graph, DeviceFacts? facts)
    {
        if (facts is null)
        {
            return;
        }
        HashSet<Tensor> wide = [.. graph.Inputs, .. graph.Outputs.Values.Select(view => view.Tensor)];
        Dictionary<Tensor, WeightFormat> formats = [];
        foreach ((Operation operation, OperationUses uses) in Uses(graph))
        {
            foreach (Tensor tensor in uses.Reads.Where(tensor => !tensor.IsConstant))
            {
                WeightFormat format = operation.RoundsTo(tensor, facts);
                if (format == WeightFormat.Float32 || (formats.TryGetValue(tensor, out WeightFormat other) && other != format))
                {
                    wide.Add(tensor);
                }
                formats[tensor] = format;
            }
        }
        foreach ((Operation operation, OperationUses uses) in Uses(graph))
        {
            wide.UnionWith(uses.Writes.Select(view => view.Tensor).Where(tensor => formats.TryGetValue(tensor, out WeightFormat format) && !operation.CanWrite(tensor, format, facts)));
        }
        foreach ((Tensor tensor, WeightFormat format) in formats.Where(entry => !wide.Contains(entry.Key)))
        {
            tensor.KeepAs(format);
        }
    }

    private static IEnumerable<(Operation Operation, OperationUses Uses)> Uses(Graph graph)
    {
        foreach (Operation operation in graph.Operations)
        {
            OperationUses uses = new();
            operation.Describe(uses);
            yield return (operation, uses);
        }
    }
}
